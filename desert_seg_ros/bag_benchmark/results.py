"""The numbers of a benchmark. Every field is annotated with what it means; the JSON file is these fields.

Names follow NVIDIA's ros2_benchmark where it has them: each run holds its figures under those names too.

None stands for what could not be measured; a field beside it says why if that is not obvious.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

FORMAT = "desert-seg-bag-benchmark-1"


@dataclass(frozen=True)
class Spread:
    """Statistics of values."""

    p50: Annotated[float, "median"]
    p95: Annotated[float, "95th percentile, linear between values"]
    p99: Annotated[float, "99th percentile"]
    max: Annotated[float, "largest value"]
    mean: Annotated[float, "arithmetic mean"]
    min: Annotated[float, "smallest value"]


@dataclass(frozen=True)
class Frames:
    """What happened to the images: sent = masks + all of dropped + pending."""

    sent: Annotated[int, "images published"]
    received: Annotated[int, "of these, images that the node counted"]
    masks: Annotated[int, "masks that arrived back here"]
    dropped: Annotated[
        Mapping[str, int],
        "images without a mask by cause: the node's own causes; lost: on the way to the node, as its DDS counts them; "
        "not_received: neither lost nor counted by the node, which took a newer one before it came to them; "
        "mask_lost: masks published but not received here",
    ]
    pending: Annotated[int, "images received by the node but neither answered nor dropped 10 s after the last one"]


@dataclass(frozen=True)
class Rates:
    """Frames per second."""

    asked_hz: Annotated[float | None, "rate the images should have been sent at; null in lockstep"]
    sent_hz: Annotated[float | None, "rate they were sent at, first to last"]
    masks_hz: Annotated[float | None, "throughput: rate of masks, first to last arrival"]


@dataclass(frozen=True)
class Jitter:
    """How unevenly masks arrive: absolute difference between one gap and the next, as in ros2_benchmark."""

    mean: Annotated[float, "mean, ms"]
    max: Annotated[float, "largest, ms"]
    min: Annotated[float, "smallest, ms"]
    std: Annotated[float, "standard deviation, ms"]


@dataclass(frozen=True)
class Start:
    """How long the node takes to start; a new process is started for every run."""

    ready_s: Annotated[float, "from starting the process to its subscription to the images"]
    first_mask_s: Annotated[float, "from starting the process to its first mask here"]


@dataclass(frozen=True)
class NodeUse:
    """What the node's process used during the run, sampled four times a second from /proc."""

    pid: Annotated[int, "process id"]
    cpu_percent: Annotated[float, "mean use of processors; 100 is one core fully busy"]
    cpu_percent_max: Annotated[float, "highest use between two samples"]
    cpu_ms_per_mask: Annotated[float | None, "processor time for each mask, all threads"]
    rss_mb_begin: Annotated[float, "resident memory before the first frame, 10^6 bytes"]
    rss_mb_end: Annotated[float, "resident memory after the last mask"]
    rss_mb_max: Annotated[float, "largest resident memory of the samples"]
    rss_mb_peak: Annotated[float, "largest resident memory since the process began, loading included"]
    num_threads: Annotated[int, "threads after the last mask"]


@dataclass(frozen=True)
class ReplayerUse:
    """Resource use of the benchmark's own process, and how well it kept to its timetable."""

    cpu_percent: Annotated[float, "mean use of processors; 100 is one core fully busy"]
    rss_mb: Annotated[float, "resident memory, prepared frames included, 10^6 bytes"]
    late_ms: Annotated[Spread, "how long after its due time an image was published; zeros in lockstep"]


@dataclass(frozen=True)
class Warped:
    """Agreement of consecutive masks, compensated for camera motion."""

    num_pairs: Annotated[int, "pairs of consecutive frames compared"]
    agreement: Annotated[float, "share of pixels, seen in both frames, that have the same class, 0..1"]
    coverage: Annotated[float, "share of all pixels that could be compared, 0..1"]


@dataclass(frozen=True)
class Consistency:
    """Temporal stability of the masks, without ground truth; unknown pixels (255) are left out."""

    num_pairs: Annotated[int, "pairs of consecutive frames that both have a mask"]
    flip_rate: Annotated[float | None, "share of pixels whose class differs from the frame before, 0..1"]
    flip_rate_p95: Annotated[float | None, "95th percentile of that over the pairs"]
    flicker_rate: Annotated[
        float | None,
        "share of pixels that change and are back in the next frame (A, B, A), which motion alone rarely does",
    ]
    truth_flip_rate: Annotated[float | None, "flip rate of the true masks over the same pairs, if the bag holds them"]
    warped: Annotated[Warped | None, "needs depth, camera_info and the camera's odometry in the bag"]
    warped_missing: Annotated[str | None, "why warped is null"]


@dataclass(frozen=True)
class Accuracy:
    """The first mask of every frame against the bag's ground truth, one confusion matrix over all frames."""

    label_map: Annotated[str, "what the raw values of the true masks mean"]
    num_frames: Annotated[int, "frames that have both a mask and a truth"]
    classes: Annotated[Sequence[str], "class names, in the order of the lists in scores"]
    scores: Annotated[
        Mapping[str, Any],
        "miou_present, the mean IoU over the classes present in the truth, is the headline; "
        "the others are those of `desert-seg evaluate`",
    ]


@dataclass(frozen=True)
class Endurance:
    """Whether memory and latency stay constant; only for runs that are long enough."""

    seconds: Annotated[float, "from the first image to the last"]
    rss_drift_percent: Annotated[
        float | None, "median resident memory of the last tenth over that of the first, minus 1"
    ]
    latency_growth: Annotated[float, "median latency of the last third over that of the first"]
    memory_is_flat: Annotated[bool | None, "rss_drift_percent is below 2"]
    latency_is_bounded: Annotated[bool, "latency_growth is below 1.25, so that no queue grows"]


@dataclass(frozen=True)
class Run:
    """One run."""

    name: Annotated[str, "recorded, lockstep, a rate such as 10fps, or a multiple of the sustainable rate"]
    loops: Annotated[int | None, "passes over the drive; null if the run was limited by time"]
    seconds: Annotated[float, "from the first image to the last mask"]
    frames: Annotated[Frames, "what became of the images"]
    latency_ms: Annotated[Spread | None, "from publishing an image to receiving its mask, both in this process"]
    rates: Annotated[Rates, "frames per second"]
    jitter_ms: Annotated[Jitter | None, "of the masks' arrivals; needs three"]
    stages_ms: Annotated[Mapping[str, Mapping[str, float]], "where the node spends a frame's time, by stage"]
    stages_source: Annotated[str, "where the stage times come from"]
    start: Annotated[Start | None, "null for a node that was running already"]
    node_use: Annotated[NodeUse | None, "null if the node's process is not known"]
    replayer_use: Annotated[ReplayerUse, "what measuring costs"]
    consistency: Annotated[Consistency, "how steady the masks are"]
    accuracy: Annotated[Accuracy | None, "how right the masks are"]
    accuracy_missing: Annotated[str | None, "why accuracy is null"]
    endurance: Annotated[Endurance | None, "null for a run of less than a minute"]
    mask_sha256: Annotated[Mapping[str, str], "SHA-256 of the first mask's pixels by frame number"]
    mask_bag: Annotated[str, "folder of the recorded masks, with the drive's stamps"]
    ros2_benchmark: Annotated[Mapping[str, float], "the same figures under ros2_benchmark's names and definitions"]
    latency_over_time: Annotated[Sequence[tuple[float, float]], "pairs: seconds since the first image, latency in ms"]
    use_over_time: Annotated[
        Sequence[tuple[float, float | None, float | None]],
        "triples: seconds since the first image, the node's use of processors in percent, its resident memory in MB",
    ]
    node: Annotated[Mapping[str, str], "the node's last diagnostic values, as published"]
    node_says: Annotated[str, "the node's last verdict on itself"]


@dataclass(frozen=True)
class Determinism:
    """Whether two runs gave the same masks."""

    identical: Annotated[bool, "every frame has a mask in both runs, and all of them are equal"]
    num_frames: Annotated[int, "frames of the drive"]
    first_difference: Annotated[int | None, "number of the first frame whose masks differ or are missing"]
    digest: Annotated[str, "SHA-256 over the hashes of the first run's masks in order"]


@dataclass(frozen=True)
class Machine:
    """What everything ran on."""

    cpu: Annotated[str, "processor and number of cores"]
    num_cores: Annotated[int, "cores that this process may use"]
    system: Annotated[str, "operating system"]
    python: Annotated[str, "version of Python"]
    ros: Annotated[str, "ROS distribution and middleware"]
    load_average: Annotated[float, "processes that wanted to run, mean of the minute before the first run"]


@dataclass(frozen=True)
class Source:
    """What was replayed."""

    name: Annotated[str, "of the bag or folder"]
    path: Annotated[str, "of the bag or folder"]
    num_frames: Annotated[int, "frames of one pass"]
    seconds: Annotated[float, "from the first frame to the last, as recorded"]
    transport: Annotated[str, "raw or compressed, as published"]
    converted: Annotated[bool, "images are stored in the other form and were converted before the clock started"]
    sha256: Annotated[str, "over the image messages in order, as published"]


@dataclass(frozen=True)
class Model:
    """What the node ran."""

    name: Annotated[str, "of the model artifact, as the node reports it"]
    digest: Annotated[str, "SHA-256 that identifies the artifact, as the node reports it"]
    engine: Annotated[str, "inference engine, precision and device, as the node reports them"]


@dataclass(frozen=True)
class Results:
    """A whole benchmark."""

    format: Annotated[str, "name and version of this format"]
    made: Annotated[str, "when, ISO 8601"]
    source: Annotated[Source, "what was replayed"]
    model: Annotated[Model, "what the node ran"]
    command: Annotated[Sequence[str], "how the node was started; empty for a node that was running already"]
    machine: Annotated[Machine, "what everything ran on"]
    sustainable_hz: Annotated[float | None, "highest rate without drops, if a run needed it; see the run of that name"]
    determinism: Annotated[Determinism | None, "only with --deterministic"]
    runs: Annotated[Sequence[Run], "in the order they were made"]


def meanings(kind: type[Any] = Results, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of the JSON file and what it means: `runs[].frames.sent`, "images published"."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        inner, meaning = get_args(hint)
        group, is_list = _group(inner)
        path = prefix + name + "[]" * is_list
        yield path, meaning
        if group is not None:
            yield from meanings(group, path + ".")


def _group(hint: Any) -> tuple[type[Any] | None, bool]:
    """The dataclass in a field's type, if there is one, and whether the field is a list of them."""
    for each in (hint, *get_args(hint)):
        if is_dataclass(each) and isinstance(each, type):
            return each, get_origin(hint) is Sequence
    return None, False
