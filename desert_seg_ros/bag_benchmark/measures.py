"""Figures of a run, calculated from its recording. Knows nothing of ROS, files or pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from desert_seg_ros.bag_benchmark.pace import Fixed, Recorded
from desert_seg_ros.bag_benchmark.recording import Recording
from desert_seg_ros.bag_benchmark.resources import PERIOD_S, Sample
from desert_seg_ros.bag_benchmark.results import Endurance, Frames, Jitter, NodeUse, Rates, ReplayerUse, Spread, Start

Floats = npt.NDArray[np.float64]

ENDURANCE_S = 60.0
"""A shorter run does not show whether memory and latency stay constant."""

FLAT_PERCENT = 2.0
BOUNDED_GROWTH = 1.25

_STAGE = re.compile(r"(\w+)_ms_(p50|p95|p99)")
_MB = 1e-6


def spread(values: Sequence[float] | Floats) -> Spread | None:
    """Statistics of values; None if there are none."""
    if not len(values):
        return None
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return Spread(*(float(value) for value in (p50, p95, p99, np.max(values), np.mean(values), np.min(values))))


@dataclass(frozen=True)
class Timeline:
    """When images were sent and masks arrived, in seconds after the first image.

    Attributes:
        sent: N times of publication.
        answered_sent: M times of publication of the frames with a mask, in the order of the masks' arrival.
        arrived: M times of arrival, ascending.
    """

    sent: Floats
    answered_sent: Floats
    arrived: Floats

    @classmethod
    def of(cls, recording: Recording) -> Timeline:
        """Put a recording in order."""
        begin = recording.sent[0].at_s if recording.sent else 0.0
        sent = np.array([each.at_s - begin for each in recording.sent], np.float64)
        arrivals = sorted((each.answered_s - begin, each.at_s - begin) for each in recording.sent if each.answered_s)
        arrived, answered_sent = np.array(arrivals, np.float64).reshape(-1, 2).T
        return cls(sent, answered_sent, arrived)

    @property
    def latency_ms(self) -> Floats:
        """One value per mask, in order of arrival."""
        return (self.arrived - self.answered_sent) * 1e3

    @property
    def seconds(self) -> float:
        """From the first image to the last mask, or to the last image if there is none."""
        return float(max(self.sent[-1] if len(self.sent) else 0.0, self.arrived[-1] if len(self.arrived) else 0.0))


def frames(recording: Recording) -> Frames:
    """What became of the images."""
    counters, num_masks = recording.counters, len(recording.answered)
    missing = len(recording.sent) - counters.received
    lost = max(0, min(counters.lost, missing))
    dropped = {
        **counters.dropped,
        "lost": lost,
        "not_received": missing - lost,
        "mask_lost": counters.answered - num_masks,
    }
    return Frames(len(recording.sent), counters.received, num_masks, dropped, counters.pending)


def rates(recording: Recording, timeline: Timeline) -> Rates:
    """Frames per second, requested and achieved."""
    asked = None
    if isinstance(recording.pace, Fixed):
        asked = recording.pace.hz
    elif isinstance(recording.pace, Recorded):
        asked = _rate(np.array([sent.due_s for sent in recording.sent]))
    return Rates(asked, _rate(timeline.sent), _rate(timeline.arrived))


def jitter(arrived: Floats) -> Jitter | None:
    """Unevenness of arrivals, seconds in, milliseconds out; None for fewer than three."""
    if len(arrived) < 3:
        return None
    values = np.abs(np.diff(arrived, 2)) * 1e3
    return Jitter(float(values.mean()), float(values.max()), float(values.min()), float(values.std()))


def start(recording: Recording) -> Start | None:
    """How long the node took to begin."""
    if recording.ready_s is None or recording.first_mask_s is None:
        return None
    return Start(recording.ready_s, recording.first_mask_s)


def stages(recording: Recording) -> tuple[dict[str, dict[str, float]], str]:
    """Percentiles by stage in ms, from the node's `<stage>_ms_<percentile>`, and a phrase on their source."""
    stages: dict[str, dict[str, float]] = {}
    for name, value in recording.status.values.items():
        if match := _STAGE.fullmatch(name):
            stages.setdefault(match[1], {})[match[2]] = float(value)
    return stages, "the node's last report on /diagnostics"


def samples_of(recording: Recording) -> Sequence[Sample]:
    """The samples up to the last mask or image; after that the node only waits for its last report."""
    end = max(moment for sent in recording.sent for moment in (sent.at_s, sent.answered_s or 0.0))
    return [sample for sample in recording.samples[:-1] if sample.at_s < end] + [
        next(sample for sample in recording.samples if sample.at_s >= end)
    ]


def node_use(recording: Recording) -> NodeUse | None:
    """Resources that the node's process used between the first and the last sample."""
    looks = [(sample.at_s, sample.node) for sample in samples_of(recording) if sample.node is not None]
    if recording.pid is None or recording.peak_rss_bytes is None or len(looks) < 2:
        return None
    times = np.array([at_s for at_s, _ in looks])
    cpu_s, rss_mb = np.array([(node.cpu_s, node.rss_bytes * _MB) for _, node in looks]).T
    used, num_masks = cpu_s[-1] - cpu_s[0], len(recording.answered)
    return NodeUse(
        pid=recording.pid,
        cpu_percent=float(100 * used / (times[-1] - times[0])),
        cpu_percent_max=float(_percent(times, cpu_s).max()),
        cpu_ms_per_mask=float(1e3 * used / num_masks) if num_masks else None,
        rss_mb_begin=float(rss_mb[0]),
        rss_mb_end=float(rss_mb[-1]),
        rss_mb_max=float(rss_mb.max()),
        rss_mb_peak=recording.peak_rss_bytes * _MB,
        num_threads=looks[-1][1].num_threads,
    )


def replayer_use(recording: Recording) -> ReplayerUse:
    """What measuring cost."""
    samples = samples_of(recording)
    first, last = samples[0], samples[-1]
    late = spread([1e3 * (sent.at_s - sent.due_s) for sent in recording.sent])
    assert late is not None, "a run sends at least one frame"
    percent = 100 * (last.own.cpu_s - first.own.cpu_s) / (last.at_s - first.at_s)
    return ReplayerUse(percent, last.own.rss_bytes * _MB, late)


def use_over_time(recording: Recording) -> list[tuple[float, float | None, float | None]]:
    """Seconds since the first image, the node's use of processors since the sample before, its memory in MB."""
    begin, samples, series = recording.sent[0].at_s, samples_of(recording), []
    for before, sample in pairwise(samples):
        percent = rss = None
        if before.node is not None and sample.node is not None and sample.at_s > before.at_s:
            percent = round(100 * (sample.node.cpu_s - before.node.cpu_s) / (sample.at_s - before.at_s), 1)
            rss = round(sample.node.rss_bytes * _MB, 2)
        series.append((round(sample.at_s - begin, 3), percent, rss))
    return series


def endurance(timeline: Timeline, rss_mb: Sequence[float]) -> Endurance | None:
    """Whether memory and latency stay constant; None if the run is too short to show it.

    Args:
        timeline: The run's.
        rss_mb: Resident memory, evenly sampled over the run; empty if unknown.
    """
    if not len(timeline.arrived) or timeline.sent[-1] < ENDURANCE_S:
        return None
    drift = None
    if len(rss_mb) >= 10:
        tenth = len(rss_mb) // 10
        drift = float(100 * (np.median(rss_mb[-tenth:]) / np.median(rss_mb[:tenth]) - 1))
    third = timeline.arrived[-1] / 3
    latency = timeline.latency_ms
    first, last = latency[timeline.arrived < third], latency[timeline.arrived >= 2 * third]
    growth = float(np.median(last) / np.median(first)) if len(first) and len(last) else float("inf")
    return Endurance(
        seconds=float(timeline.sent[-1]),
        rss_drift_percent=drift,
        latency_growth=growth,
        memory_is_flat=None if drift is None else drift < FLAT_PERCENT,
        latency_is_bounded=growth < BOUNDED_GROWTH,
    )


def ros2_benchmark_names(recording: Recording, timeline: Timeline) -> dict[str, float]:
    """The figures under the names and by the definitions of NVIDIA's ros2_benchmark (its two calculators); in ms."""
    sent_ms, arrived_ms = timeline.sent * 1e3, timeline.arrived * 1e3
    figures: dict[str, float] = {
        "NUM_FRAMES_SENT": len(sent_ms),
        "NUM_MISSED_FRAMES": len(sent_ms) - len(arrived_ms),
    }
    if len(sent_ms) > 1:
        figures["MEAN_PLAYBACK_FRAME_RATE"] = 1e3 * len(sent_ms) / float(sent_ms[-1] - sent_ms[0])
    if len(arrived_ms):
        by_frame = timeline.latency_ms[np.argsort(timeline.answered_sent)]
        figures |= {
            "RECEIVED_DURATION": float(arrived_ms[-1] - arrived_ms[0]),
            "FIRST_SENT_RECEIVED_LATENCY": float(arrived_ms[0] - sent_ms[0]),
            "LAST_SENT_RECEIVED_LATENCY": float(arrived_ms[-1] - sent_ms[-1]),
            "FIRST_INPUT_LATENCY": float(by_frame[0]),
            "LAST_INPUT_LATENCY": float(by_frame[-1]),
            "MAX_LATENCY": float(by_frame.max()),
            "MIN_LATENCY": float(by_frame.min()),
            "MEAN_LATENCY": float(by_frame.mean()),
        }
    if len(arrived_ms) > 1:
        figures["MEAN_FRAME_RATE"] = 1e3 * len(arrived_ms) / float(arrived_ms[-1] - arrived_ms[0])
    uneven = jitter(timeline.arrived)
    if uneven is not None:
        figures |= {
            "MAX_JITTER": uneven.max,
            "MIN_JITTER": uneven.min,
            "MEAN_JITTER": uneven.mean,
            "STD_DEV_JITTER": uneven.std,
        }
    return {
        **{f"BasicPerformanceMetrics.{name}": value for name, value in figures.items()},
        **{f"ResourceMetrics.{name}": value for name, value in _machine_use(recording).items()},
    }


def _machine_use(recording: Recording) -> dict[str, float]:
    """Use of the whole machine, including everything else that ran on it, in percent."""
    busy, total, memory = np.array(
        [(each.machine.busy_s, each.machine.total_s, 100 * each.machine.memory_share) for each in samples_of(recording)]
    ).T
    cpu = np.minimum(_percent(total, busy), 100)  # rounding can make it a little more
    use = {"RESOURCE_PROFILING_SAMPLING_RATE": 1 / PERIOD_S}
    for name, values in (("OVERALL_CPU", cpu), ("HOST_MEMORY", memory)):
        for how, value in (
            ("MAX", values.max()),
            ("MIN", values.min()),
            ("MEAN", values.mean()),
            ("STDDEV", values.std()),
        ):
            use[f"{how}_{name}_UTILIZATION"] = float(value)
    return use


def _rate(moments: Floats) -> float | None:
    """Events per second, from the first to the last."""
    return float((len(moments) - 1) / (moments[-1] - moments[0])) if len(moments) > 1 else None


def _percent(times: Floats, used: Floats) -> Floats:
    """Use between samples whose times differ."""
    apart = np.diff(times) > 0
    return 100 * np.diff(used)[apart] / np.diff(times)[apart] if apart.any() else np.zeros(1)
