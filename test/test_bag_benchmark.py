"""`desert-seg-benchmark`: real nodes, real DDS, on a few small frames; and the arithmetic behind its numbers."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import launch_stand_in
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys.stores.ros2_kilted import builtin_interfaces__msg__Time as Time
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Point as Point
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Pose as Pose
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__PoseWithCovariance as PoseWithCovariance
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Quaternion as Quaternion
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Twist as Twist
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__TwistWithCovariance as TwistWithCovariance
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Vector3 as Vector3
from rosbags.typesys.stores.ros2_kilted import nav_msgs__msg__Odometry as Odometry
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__Image as Image
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__RegionOfInterest as RegionOfInterest
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header

from desert_seg.errors import DesertSegError
from desert_seg.labels import load_label_map
from desert_seg.recordings.bag import BagWriter
from desert_seg.recordings.drive import Drive, open_drive
from desert_seg.recordings.image_codec import decode
from desert_seg_ros.bag_benchmark import charts, measures
from desert_seg_ros.bag_benchmark.frames import prepared_frames
from desert_seg_ros.bag_benchmark.judge import Flips, determinism, judge
from desert_seg_ros.bag_benchmark.masks import masked_frames, recorded_masks
from desert_seg_ros.bag_benchmark.measures import Timeline
from desert_seg_ros.bag_benchmark.node_process import NodeError, node_command
from desert_seg_ros.bag_benchmark.node_status import Counters, NodeStatus
from desert_seg_ros.bag_benchmark.options import parse
from desert_seg_ros.bag_benchmark.pace import Fixed, Length, Lockstep, Multiple, Recorded, parse_pace, schedule
from desert_seg_ros.bag_benchmark.page import render_page
from desert_seg_ros.bag_benchmark.recording import Recording, Sent
from desert_seg_ros.bag_benchmark.report import describe_machine, describe_model, make_run, to_json
from desert_seg_ros.bag_benchmark.resources import Sampler
from desert_seg_ros.bag_benchmark.results import Results, Source, meanings
from desert_seg_ros.bag_benchmark.warp import find_surroundings
from desert_seg_ros.cdr import stamp_of

NUM_FRAMES = 5
SIZE = (240, 136)
"""Width and height: small enough for every default of DDS."""


def run_command(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "desert_seg_ros.bag_benchmark.command", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250, **options)


def header(stamp_ns: int, frame_id: str = "camera") -> Header:
    return Header(Time(*divmod(stamp_ns, 10**9)), frame_id)


def small_drive(path: Path, source: Path, storage: str, transport: str) -> Path:
    """The first frames of the sample drive, small, as another recorder would have stored them."""
    with BagWriter(path, storage=storage) as bag:  # type: ignore[arg-type]
        for frame in open_drive(source, limit=NUM_FRAMES).frames():
            rgb = cv2.resize(frame.rgb(), SIZE, interpolation=cv2.INTER_AREA)
            truth = frame.ground_truth()
            assert truth is not None
            truth = np.ascontiguousarray(cv2.resize(truth, SIZE, interpolation=cv2.INTER_NEAREST))
            stamp = frame.image.header
            if transport == "raw":
                image = Image(stamp, SIZE[1], SIZE[0], "rgb8", 0, 3 * SIZE[0], rgb.reshape(-1))
                bag.write_message("/front/image", frame.recorded_ns, image)
            else:
                jpeg = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].reshape(-1)
                bag.write_message("/front/image/compressed", frame.recorded_ns, CompressedImage(stamp, "jpeg", jpeg))
            png = cv2.imencode(".png", truth)[1].reshape(-1)
            bag.write_message("/front/ground_truth/compressed", frame.recorded_ns, CompressedImage(stamp, "png", png))
            bag.write_message("/front/camera_info", frame.recorded_ns, camera_info(stamp, *SIZE, 200.0))
    return path


def camera_info(stamp: Header, width: int, height: int, focal: float) -> CameraInfo:
    matrix = np.array([focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1], np.float64)
    projection = np.column_stack([matrix.reshape(3, 3), np.zeros(3)]).reshape(-1)
    region = RegionOfInterest(0, 0, 0, 0, False)
    return CameraInfo(
        stamp, height, width, "plumb_bob", np.zeros(5), matrix, np.eye(3).reshape(-1), projection, 0, 0, region
    )


@pytest.fixture(scope="module")
def compressed_mcap(tmp_path_factory: pytest.TempPathFactory, sample_drive: Path) -> Path:
    return small_drive(tmp_path_factory.mktemp("bags") / "mcap_drive", sample_drive, "mcap", "compressed")


@pytest.fixture(scope="module")
def raw_db3(tmp_path_factory: pytest.TempPathFactory, sample_drive: Path) -> Path:
    return small_drive(tmp_path_factory.mktemp("bags") / "db3_drive", sample_drive, "sqlite3", "raw")


# ---------------------------------------------------------------------------------------------- whole benchmarks
@pytest.fixture(scope="module")
def finished(compressed_mcap: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two runs on the compressed drive: in lockstep, and faster than a small machine can follow."""
    pytest.importorskip("rclpy")
    out = tmp_path_factory.mktemp("benchmark") / "out"
    done = run_command(compressed_mcap, "--rate", "lockstep", "100", "--loops", 3, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


@pytest.fixture(scope="module")
def results(finished: tuple[Path, str]) -> dict[str, Any]:
    return json.loads((finished[0] / "results.json").read_text())  # type: ignore[no-any-return]


def test_every_image_is_answered_or_accounted_for_in_every_run(results: dict[str, Any]) -> None:
    assert [run["name"] for run in results["runs"]] == ["lockstep", "100fps"]
    for run in results["runs"]:
        frames = run["frames"]
        assert frames["sent"] == 3 * NUM_FRAMES
        assert frames["sent"] == frames["masks"] + sum(frames["dropped"].values()) + frames["pending"]
        assert all(count >= 0 for count in (frames["masks"], frames["pending"], *frames["dropped"].values()))
        assert len(run["latency_over_time"]) == frames["masks"]
    assert results["runs"][0]["frames"]["masks"] == 3 * NUM_FRAMES


def test_the_fixed_rate_is_kept_and_lockstep_never_has_two_images_out(results: dict[str, Any]) -> None:
    lockstep, fixed = results["runs"]
    assert fixed["rates"]["asked_hz"] == 100
    assert fixed["rates"]["sent_hz"] == pytest.approx(100, rel=0.2)
    assert lockstep["rates"]["asked_hz"] is None
    sent, latency_ms = np.array(lockstep["latency_over_time"]).T
    assert (np.diff(sent) * 1e3 >= latency_ms[:-1] - 0.01).all()


def test_percentiles_are_ordered_and_agree_with_ros2_benchmark_s_names(results: dict[str, Any]) -> None:
    for run in results["runs"]:
        latency, theirs = run["latency_ms"], run["ros2_benchmark"]
        assert 0 < latency["min"] <= latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
        assert theirs["BasicPerformanceMetrics.MAX_LATENCY"] == latency["max"]
        assert theirs["BasicPerformanceMetrics.NUM_FRAMES_SENT"] == run["frames"]["sent"]
        missed = run["frames"]["sent"] - run["frames"]["masks"]
        assert theirs["BasicPerformanceMetrics.NUM_MISSED_FRAMES"] == missed
        assert 0 <= theirs["ResourceMetrics.MEAN_OVERALL_CPU_UTILIZATION"] <= 100


def test_the_node_and_the_replayer_are_measured(results: dict[str, Any]) -> None:
    for run in results["runs"]:
        assert 0 < run["start"]["ready_s"] < run["start"]["first_mask_s"]
        assert run["node_use"]["cpu_ms_per_mask"] > 0
        assert 20 < run["node_use"]["rss_mb_begin"] <= run["node_use"]["rss_mb_peak"]
        assert run["replayer_use"]["cpu_percent"] < run["node_use"]["cpu_percent"]
        assert run["stages_ms"]["inference"]["p50"] > 0


def test_the_recorded_masks_have_the_drive_s_stamps_and_the_reported_hashes(
    finished: tuple[Path, str], results: dict[str, Any], compressed_mcap: Path
) -> None:
    stamps = [frame.stamp_ns for frame in open_drive(compressed_mcap).frames()]
    recorded = list(recorded_masks(finished[0] / results["runs"][0]["mask_bag"]))
    assert [stamp for stamp, _ in recorded] == stamps
    assert all(mask.shape == SIZE[::-1] for _, mask in recorded)
    hashes = {str(index): hashlib.sha256(mask.tobytes()).hexdigest() for index, (_, mask) in enumerate(recorded)}
    assert results["runs"][0]["mask_sha256"] == hashes


def test_accuracy_and_steadiness_are_told_and_what_is_not_measured_is_said(results: dict[str, Any]) -> None:
    run = results["runs"][0]
    assert run["accuracy"]["num_frames"] == NUM_FRAMES
    assert 0 < run["accuracy"]["scores"]["miou_present"] < 1
    assert run["consistency"]["num_pairs"] == NUM_FRAMES - 1
    assert 0 < run["consistency"]["flicker_rate"] < run["consistency"]["flip_rate"] < 1
    assert 0 < run["consistency"]["truth_flip_rate"] < 1
    assert run["consistency"]["warped_missing"] == "the bag has no depth"


def test_every_key_of_the_results_is_explained_and_every_explained_key_is_there(results: dict[str, Any]) -> None:
    explained = dict(meanings())
    assert all(len(meaning) > 3 for meaning in explained.values())
    found: set[str] = set()
    empty: set[str] = set()

    def walk(value: Any, path: str) -> None:
        found.add(path)
        if value is None:
            empty.add(path)
        elif f"{path}[]" in explained:
            found.discard(path)
            for each in value:
                walk(each, f"{path}[]")
        elif any(key.startswith(f"{path}.") for key in explained):
            for name, inner in value.items():
                walk(inner, f"{path}.{name}")

    for name, value in results.items():
        walk(value, name)
    assert found <= explained.keys()
    missing = explained.keys() - found
    assert all(any(key.startswith(f"{path}.") for path in empty) for key in missing)


def test_the_documentation_lists_exactly_the_keys_there_are() -> None:
    text = (ROOT / "docs" / "reference" / "reports.md").read_text().split("\n## A live node on a bag\n")[1]
    listed = re.findall(r"^\| `(.+?)` \| (.+) \|$", text, re.MULTILINE)
    assert listed == list(meanings())


def test_the_terminal_shows_the_runs_and_where_everything_is(finished: tuple[Path, str]) -> None:
    out, text = finished
    for expected in ("lockstep", "100fps", "latency p95, ms", "mIoU", str(out / "report.html")):
        assert expected in text
    assert "Traceback" not in text
    assert sorted(path.name for path in out.iterdir()) == ["logs", "masks", "report.html", "results.json"]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_opens_in_a_browser_without_a_complaint(finished: tuple[Path, str], width: int, scheme: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((finished[0] / "report.html").as_uri())
        assert said == []
        assert len(requests) == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        drawn = page.locator("svg")
        runs = json.loads((finished[0] / "results.json").read_text())["runs"]
        # A run of a few frames may be over before memory was looked at twice, and then has no curve of it.
        curves = sum(len([use for use in run["use_over_time"] if use[1] is not None]) > 1 for run in runs)
        assert drawn.count() == 2 + 2 * len(runs) + 2 * curves
        assert all(drawn.nth(index).bounding_box()["height"] > 40 for index in range(drawn.count()))
        smallest = page.evaluate(
            "Math.min(...[...document.querySelectorAll('svg text')].map(each => each.getBoundingClientRect().height))"
        )
        assert smallest > 8
        browser.close()


def test_two_deterministic_runs_on_a_raw_db3_bag_give_the_same_masks(raw_db3: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    done = run_command(raw_db3, "--deterministic", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["source"]["transport"] == "raw"
    assert results["determinism"]["identical"] is True
    first, second = results["runs"]
    assert first["mask_sha256"] == second["mask_sha256"]
    assert sorted(first["mask_sha256"]) == [str(index) for index in range(NUM_FRAMES)]
    assert f"deterministic: {NUM_FRAMES} masks identical in two runs" in done.stdout


def test_a_node_that_is_running_is_measured_at_a_multiple_of_what_it_can_sustain(
    compressed_mcap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rclpy")
    from ros import NodeProcess

    from desert_seg_ros.bag_benchmark import session
    from desert_seg_ros.bag_benchmark.command import benchmark

    monkeypatch.setattr(session, "PROBE", Length(loops=2))
    remaps = ["-r", "__node:=eyes", "-r", "image/compressed:=/eyes_in/compressed", "-p", "image_transport:=compressed"]
    node = NodeProcess(*remaps, log=tmp_path / "node.log")
    try:
        given_ = ["--node", "/eyes", "--pid", str(node.process.pid), "--image-topic", "/eyes_in", "--loops", "2"]
        arguments = [str(compressed_mcap), *given_, "--rate", "1.5x-sustainable", "--out", str(tmp_path / "out")]
        results = benchmark(parse(arguments))
        assert node.process.poll() is None, "the node was not ours to stop"
    finally:
        assert node.stop() == 0, node.output()
    probe, run = results.runs
    assert (probe.name, run.name) == ("sustainable", "1.5x-sustainable")
    assert results.sustainable_hz == probe.rates.masks_hz
    assert results.sustainable_hz is not None
    assert run.rates.asked_hz == pytest.approx(1.5 * results.sustainable_hz)
    for each in results.runs:  # the node's counters began long before
        frames = each.frames
        assert frames.sent == 2 * NUM_FRAMES == frames.masks + sum(frames.dropped.values()) + frames.pending
    assert run.start is None
    assert run.node_use is not None
    assert run.node_use.pid == node.process.pid
    assert run.accuracy_missing == "the model is not known here; name it with --model"
    assert "accuracy not measured" in capsys.readouterr().out


def test_a_live_camera_is_not_measured_as_if_it_were_the_benchmark(compressed_mcap: Path, tmp_path: Path) -> None:
    """Its images would be counted too; the node here answers the benchmark's name alone."""
    pytest.importorskip("rclpy")
    from sensor_msgs.msg import CompressedImage as LiveImage

    from desert_seg_ros.bag_benchmark.command import benchmark
    from desert_seg_ros.side_node import spinning_node

    with spinning_node("live_camera") as camera:
        camera.create_publisher(LiveImage, "/live/image/compressed", 10)
        arguments = [str(compressed_mcap), "--image-topic", "/live/image", "--out", str(tmp_path)]
        with pytest.raises(
            NodeError, match=r"found another publisher on /live/image/compressed, .*; stop it, or choose"
        ):
            benchmark(parse(arguments))
    assert not (tmp_path / "results.json").exists()


def test_the_benchmark_is_interrupted_without_leaving_a_node_behind(compressed_mcap: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    command = [
        sys.executable,
        "-m",
        "desert_seg_ros.bag_benchmark.command",
        str(compressed_mcap),
        "--out",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        log = tmp_path / "logs" / "recorded.log"
        deadline = time.monotonic() + 60
        while not (log.is_file() and "waiting for images" in log.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (node,) = children(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not Path(f"/proc/{node}").exists()
    assert not (tmp_path / "results.json").exists()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_a_node_that_dies_ends_the_run_with_its_last_words(compressed_mcap: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from desert_seg_ros.bag_benchmark.run import Subject, measure

    drive = open_drive(compressed_mcap)
    log = tmp_path / "node.log"
    subject = Subject("compressed", command=node_command({"image_transport": "compressed"}), log=log)

    def kill(sent: int, masks: int) -> None:
        (pid,) = [
            each
            for each in children(os.getpid())
            if b"desert_seg_ros.start" in Path(f"/proc/{each}/cmdline").read_bytes()
        ]
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(NodeError, match="the node ended with signal SIGKILL") as caught:
        measure(subject, lambda: prepared_frames(drive, "compressed"), Fixed(5), Length(), tmp_path / "masks", kill)
    said = log.read_text()
    assert "waiting for images on /camera/image_raw/compressed" in said
    assert str(caught.value).endswith(said.splitlines()[-1])
    assert not (tmp_path / "masks").exists()


def test_a_node_that_does_not_start_is_shown_with_its_log(compressed_mcap: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    done = run_command(compressed_mcap, "--param", "engine:=steam", "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the node ended with exit code 1; its log ")
    assert "engine is 'steam'; choose one of" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results.json").exists()


def test_a_node_that_refuses_every_frame_is_asked_why_and_its_log_is_shown(
    compressed_mcap: Path, tmp_path: Path
) -> None:
    pytest.importorskip("rclpy")
    done = run_command(compressed_mcap, "--param", "enabled:=false", "--out", tmp_path)
    assert done.returncode == 1
    *log, sentence = done.stderr.splitlines()
    assert re.match("error: the node drops the first frame again and again: [0-9]+ as disabled", sentence)
    assert len(log) > 1
    assert all(line.startswith("node | ") for line in log)


# ---------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.mcap"], "there is no nowhere.mcap; give a bag or a folder of images"),
        (["broken.mcap"], "broken.mcap: cannot be opened as a bag"),
        (["infos"], "infos: holds no images"),
        (["--rate", "fast"], "found rate 'fast', expected recorded, lockstep, frames per second, or a multiple"),
        (["--rate", "nan"], "found rate 'nan'"),
        (["--rate", "0x-sustainable"], "found rate '0x-sustainable'"),
        (["--loops", "0"], "found 0 loops, expected 1 or more"),
        (["--seconds", "nan"], "found a run of nan seconds"),
        (["--deterministic", "--rate", "10"], "leave out --rate and --seconds"),
        (["--param", "tta"], "found --param 'tta', expected NAME:=VALUE"),
        (["--param", "artifact:=light"], "use --model"),
        (["--pid", "1"], "name it with --node"),
        (["--param", "tea:=flip"], "the node has no parameter 'tea'; its parameters are: artifact,"),
        (["--model", "heavy"], "there is no shipped model 'heavy'"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "broken.mcap").write_bytes(b"no bag")
    with BagWriter(tmp_path / "infos") as bag:
        bag.write_message("/camera/camera_info", 1, camera_info(header(1), 8, 6, 5.0))
    done = run_command(*arguments, "--out", "out", cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_help_is_instant_because_nothing_heavy_is_imported() -> None:
    heavy = "{'rclpy', 'numpy', 'cv2', 'rich', 'rosbags', 'jinja2', 'openvino'}"
    script = f"import sys, desert_seg_ros.bag_benchmark.command; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_drive_too_large_for_the_memory_is_refused_before_anything_starts(
    raw_db3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from desert_seg_ros.bag_benchmark import frames

    monkeypatch.setattr(frames, "MEMORY_SHARE", 1e-9)
    with pytest.raises(DesertSegError, match=r"must be in memory before the clock starts.*use --limit"):
        frames.prepare(prepared_frames(open_drive(raw_db3), "raw"), raw_db3)


# ---------------------------------------------------------------------------------------------- the launch file
def test_the_launch_file_starts_the_command_that_its_arguments_describe(tmp_path: Path) -> None:
    program = tmp_path / "lib" / "desert_seg_ros" / "desert-seg-benchmark"
    marker = tmp_path / "share/ament_index/resource_index/packages/desert_seg_ros"
    for path in (program, marker):
        path.parent.mkdir(parents=True)
        path.touch(0o755)
    environment = os.environ | {"AMENT_PREFIX_PATH": str(tmp_path)}
    launch_file = ROOT / "launch" / "benchmark.launch.py"

    (bare,) = launch_stand_in.evaluate(launch_file, {}, environment)
    assert bare.command == (str(program), "--ros-args")
    assert parse(bare.command[1:]) == parse([])

    given_ = {
        "bag": "/my drive",
        "out": "/results",
        "rate": "10 2x-sustainable",
        "seconds": "20",
        "artifact": "mine",
        "parameters": "tta:=flip threads:=1",
        "image": "/cam",
        "topic": "/front/image",
        "transport": "raw",
    }
    (full,) = launch_stand_in.evaluate(launch_file, given_, environment)
    options = parse(full.command[1:])
    assert (options.bag, options.out, options.model) == ("/my drive", Path("/results"), "mine")
    assert options.paces == [Fixed(10), Multiple(2)]
    assert options.length == Length(seconds=20)
    assert options.parameters == {"tta": "flip", "threads": "1"}
    assert (options.image_topic, options.topic, options.transport) == ("/cam", "/front/image", "raw")

    (twice,) = launch_stand_in.evaluate(launch_file, {"deterministic": "true", "loops": "2"}, environment)
    assert parse(twice.command[1:]).paces == [Lockstep(), Lockstep()]


# ---------------------------------------------------------------------------------------------- paces and frames
class At:
    """A thing that was recorded at a time."""

    def __init__(self, recorded_ns: int) -> None:
        self.recorded_ns = recorded_ns


@given(st.floats(0.1, 500), st.integers(1, 7), st.integers(1, 4))
def test_a_fixed_rate_is_kept_through_all_loops(hz: float, num_frames: int, loops: int) -> None:
    frames = [At(index**2) for index in range(num_frames)]
    due = [moment for moment, _ in schedule(lambda: frames, Fixed(hz), Length(loops))]
    assert due == pytest.approx([index / hz for index in range(loops * num_frames)])


@given(st.floats(0.5, 50), st.floats(0.1, 3), st.integers(1, 7))
def test_seconds_end_a_run_at_the_announced_number_of_frames(hz: float, seconds: float, num_frames: int) -> None:
    length = Length(seconds=seconds)
    sent = list(schedule(lambda: [At(index) for index in range(num_frames)], Fixed(hz), length))
    assert abs(len(sent) - (length.num_frames(Fixed(hz), num_frames) or 0)) <= 1  # i / hz rounds at the very end


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.floats(0.1, 10))
def test_the_recorded_pace_keeps_the_gaps_and_scales_them(gaps: list[int], factor: float) -> None:
    times = np.cumsum([10**18, *gaps])
    due = [moment for moment, _ in schedule(lambda: [At(int(time)) for time in times], Recorded(factor), Length())]
    assert np.diff(np.array(due, float)) == pytest.approx(np.array(gaps) / 1e9 / factor, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("word", "pace"),
    [
        ("recorded", Recorded()),
        ("lockstep", Lockstep()),
        ("7.5", Fixed(7.5)),
        ("2x-sustainable", Multiple(2)),
        ("0.5x-sustainable", Multiple(0.5)),
    ],
)
def test_a_pace_is_read_from_a_word(word: str, pace: object) -> None:
    assert parse_pace(word) == pace


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_prepared_frames_hold_the_drive_s_pictures_in_the_form_asked_for(raw_db3: Path, transport: str) -> None:
    from desert_seg.recordings.bag import BagMessage, deserialize

    drive = open_drive(raw_db3)
    kind = f"sensor_msgs/msg/{'Image' if transport == 'raw' else 'CompressedImage'}"
    for prepared, frame in zip(prepared_frames(drive, transport), drive.frames(), strict=True):
        message = deserialize(BagMessage("/t", kind, 0, prepared.image))
        assert np.abs(decode(message).astype(int) - frame.rgb()).mean() < 4
        assert prepared.camera_info is not None
        assert stamp_of(prepared.camera_info) == stamp_of(prepared.image) == frame.stamp_ns


# ---------------------------------------------------------------------------------------------- arithmetic
def timeline(seconds: float, latency_ms: np.ndarray[Any, Any]) -> Timeline:
    sent = np.linspace(0, seconds, len(latency_ms))
    return Timeline(sent, sent, sent + latency_ms / 1e3)


def test_endurance_tells_a_growing_queue_and_a_leak_from_a_steady_node() -> None:
    generator = np.random.default_rng(0)
    steady, rss = 50 + generator.normal(0, 3, 3000), 400 + generator.normal(0, 0.5, 2400)
    verdict = measures.endurance(timeline(600, steady), rss.tolist())
    assert verdict is not None
    assert verdict.memory_is_flat
    assert verdict.latency_is_bounded
    verdict = measures.endurance(
        timeline(600, steady + np.linspace(0, 400, 3000)), (rss + np.linspace(0, 20, 2400)).tolist()
    )
    assert verdict is not None
    assert not verdict.memory_is_flat
    assert verdict.rss_drift_percent == pytest.approx(100 * 18 / 401, rel=0.1)
    assert not verdict.latency_is_bounded
    assert measures.endurance(timeline(20, steady), rss.tolist()) is None


@given(st.lists(st.floats(0.001, 10), min_size=2, max_size=20))
def test_jitter_is_none_of_an_even_stream_and_that_of_ros2_benchmark_of_any_other(gaps: list[float]) -> None:
    arrived = np.cumsum([0.0, *gaps])
    uneven = measures.jitter(arrived)
    assert uneven is not None
    expected = np.abs(np.diff(gaps)) * 1e3  # the change from one gap to the next
    assert uneven.mean == pytest.approx(expected.mean(), abs=1e-6)
    assert uneven.max == pytest.approx(expected.max(), abs=1e-6)
    even = measures.jitter(np.arange(10.0))
    assert even is not None
    assert even.max == pytest.approx(0)
    assert measures.jitter(arrived[:2]) is None


def test_flips_and_flickers_count_pixels_and_leave_unknown_ones_out() -> None:
    flips = Flips()
    flips.add(0, np.array([[0, 0, 0, 255]], np.uint8))
    flips.add(1, np.array([[1, 1, 0, 3]], np.uint8))
    flips.add(2, np.array([[0, 1, 0, 3]], np.uint8))
    assert flips.rates == pytest.approx({1: 2 / 3, 2: 1 / 4})
    assert flips.flickers == pytest.approx([1 / 3])  # only the first pixel went and came back
    flips.add(4, np.array([[5, 5, 5, 5]], np.uint8))
    assert 4 not in flips.rates, "frame 3 is missing, so nothing can be said of frame 4"


def test_determinism_names_the_first_frame_that_differs_or_is_missing() -> None:
    same = determinism({0: "a", 1: "b"}, {0: "a", 1: "b"}, range(2))
    assert (same.identical, same.first_difference) == (True, None)
    assert determinism({0: "a", 1: "b"}, {0: "a", 1: "c"}, range(2)).first_difference == 1
    assert determinism({0: "a"}, {0: "a"}, range(2)).first_difference == 1


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_an_axis_covers_its_values_with_few_round_ticks(low: float, length: float) -> None:
    axis = charts.Axis.over(low, low + length)
    slack = 1e-6 * (abs(low) + length)
    assert axis.low <= low + slack
    assert axis.high >= low + length - slack
    assert 2 <= len(axis.ticks) <= 9


def test_a_chart_of_many_values_stays_small() -> None:
    seconds = np.linspace(0, 600, 30_000)
    svg = charts.over_time(seconds, 50 + np.sin(seconds), "ms", 'latency of "a < b"', [(50.0, "p50")])
    assert len(svg) < 10_000
    assert 'aria-label="latency of &quot;a &lt; b&quot;"' in svg


def test_a_run_that_got_nothing_back_is_still_told_in_full(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "nothing"):
        pass
    with Sampler(os.getpid()) as sampler:
        begin = time.perf_counter()
        sent = [Sent(index, begin + index * 1e-6, begin + index * 1e-6) for index in range(3)]
    recording = Recording(
        pace=Fixed(1e6),
        sent=sent,
        counters=Counters(received=1, answered=0, dropped={"overload": 1}, lost=1),
        status=NodeStatus(begin, "1 frames dropped", {"model": "<light>"}),
        ready_s=1.0,
        first_mask_s=1.5,
        pid=os.getpid(),
        samples=sampler.samples,
        peak_rss_bytes=10**8,
        mask_bag=tmp_path / "nothing",
        mask_topic="/segment/mask",
        masked=[],
    )
    judgement = judge([], None, "the drive is a folder of images")
    run = make_run("1e+06fps", Length(), recording, judgement)
    assert run.frames.dropped == {"overload": 1, "lost": 1, "not_received": 1, "mask_lost": 0}
    assert (run.frames.masks, run.frames.pending, run.latency_ms, run.rates.masks_hz) == (0, 0, None, None)
    results = Results(
        format="",
        made="",
        source=Source("drive", "/drive", 3, 0.0, "raw", converted=False, sha256=""),
        model=describe_model(recording),
        command=[],
        machine=describe_machine("some middleware"),
        sustainable_hz=None,
        determinism=None,
        runs=[run],
    )
    assert json.loads(to_json(results))["runs"][0]["latency_ms"] is None
    page = render_page(results)
    assert "1e+06fps: 3 of 3 images without a mask" in page
    assert "&lt;light&gt;" in page
    assert "<light>" not in page


# ---------------------------------------------------------------------------------------------- warped agreement
class Wall:
    """A camera that moves along a wall of coloured squares five metres away, by three pixels from frame to frame."""

    width, height, focal, distance = 64, 48, 60.0, 5.0
    period_ns = 100_000_000

    def position(self, index: float) -> float:
        return 0.25 * index

    def mask(self, index: int) -> np.ndarray[Any, Any]:
        columns, rows = np.meshgrid(np.arange(self.width), np.arange(self.height))
        x = (columns - (self.width - 1) / 2) / self.focal * self.distance + self.position(index)
        y = (rows - (self.height - 1) / 2) / self.focal * self.distance
        return ((np.floor(x) + np.floor(y)) % 3).astype(np.uint8)

    def odometry(self, index: float, child: str = "camera") -> Odometry:
        where = Pose(Point(self.position(index), 0.0, 0.0), Quaternion(0.0, 0.0, 0.0, 1.0))
        still = TwistWithCovariance(Twist(Vector3(0.0, 0.0, 0.0), Vector3(0.0, 0.0, 0.0)), np.zeros(36))
        stamp = header(round(10**9 + index * self.period_ns), "odom")
        return Odometry(stamp, child, PoseWithCovariance(where, np.zeros(36)), still)

    def depth(self, index: int, encoding: str) -> Image:
        stamp, metres = header(10**9 + index * self.period_ns), np.full((self.height, self.width), self.distance)
        metres[:4] = 0  # as a stereo camera leaves holes
        data = metres.astype("<f4") if encoding == "32FC1" else (metres * 1000).astype("<u2")
        return Image(
            stamp, self.height, self.width, encoding, 0, data.nbytes // self.height, data.reshape(-1).view(np.uint8)
        )

    def record(self, folder: Path, encoding: str = "32FC1", between: float = 0.0, child: str = "camera") -> Drive:
        """The drive's bag and, in `masks`, its masks; poses are recorded `between` frames."""
        with BagWriter(folder / "drive") as bag, BagWriter(folder / "masks") as masks:
            for index in range(4):
                stamp = header(10**9 + index * self.period_ns)
                recorded_ns = stamp.stamp.sec * 10**9 + stamp.stamp.nanosec
                png = cv2.imencode(".png", np.zeros((self.height, self.width, 3), np.uint8))[1].reshape(-1)
                bag.write_message("/cam/image/compressed", recorded_ns, CompressedImage(stamp, "png", png))
                bag.write_message(
                    "/cam/camera_info", recorded_ns, camera_info(stamp, self.width, self.height, self.focal)
                )
                bag.write_message("/cam/depth/image", recorded_ns, self.depth(index, encoding))
                mask = self.mask(index)
                message = Image(stamp, self.height, self.width, "mono8", 0, self.width, mask.reshape(-1))
                masks.write_message("/segment/mask", recorded_ns, message)
            for index in range(-1, 5):
                moment = index + between
                bag.write_message("/cam/odometry", round(10**9 + moment * self.period_ns), self.odometry(moment, child))
        return open_drive(folder / "drive", "/cam/image/compressed")


@pytest.mark.parametrize(("encoding", "between"), [("32FC1", 0.0), ("16UC1", 0.4)])
def test_what_only_the_camera_s_motion_changes_agrees_once_it_is_taken_out(
    tmp_path: Path, encoding: str, between: float
) -> None:
    drive = Wall().record(tmp_path, encoding, between)
    surroundings = find_surroundings(drive.path, "/cam/image/compressed", "camera")
    judged = judge(masked_frames(drive, tmp_path / "masks", range(4)), load_label_map("falcon7"), surroundings)
    warped = judged.consistency.warped
    assert warped is not None, judged.consistency.warped_missing
    assert warped.num_pairs == 3
    assert 0.8 < warped.coverage < 0.95  # less the holes, and what was out of sight before
    assert warped.agreement == 1
    assert judged.consistency.flip_rate is not None
    assert judged.consistency.flip_rate > 0.2
    assert judged.accuracy_missing == "the drive holds no true masks for these frames"


def test_a_motion_that_was_not_the_camera_s_does_not_agree(tmp_path: Path) -> None:
    class Standing(Wall):
        def odometry(self, index: float, child: str = "camera") -> Odometry:
            message = super().odometry(index, child)
            message.pose.pose.position.x = 0.0
            return message

    drive = Standing().record(tmp_path)
    surroundings = find_surroundings(drive.path, "/cam/image/compressed", "camera")
    warped = judge(masked_frames(drive, tmp_path / "masks", range(4)), None, surroundings).consistency.warped
    assert warped is not None
    assert warped.agreement < 0.8


def test_a_pose_of_another_frame_or_several_depths_are_not_guessed_about(tmp_path: Path) -> None:
    drive = Wall().record(tmp_path, child="base_link")
    assert find_surroundings(drive.path, "/cam/image/compressed", "camera") == (
        "/cam/odometry tells where base_link is, not the camera 'camera'"
    )
    with BagWriter(tmp_path / "two") as bag:
        for name in ("left", "right"):
            bag.write_message(f"/{name}/depth", 1, Wall().depth(0, "32FC1"))
    assert find_surroundings(tmp_path / "two", "/image", "camera") == (
        "the bag has several topics of depth: /left/depth, /right/depth"
    )


def test_depth_of_another_size_than_the_images_is_said(tmp_path: Path) -> None:
    class Narrow(Wall):
        def depth(self, index: int, encoding: str) -> Image:
            message = super().depth(index, encoding)
            return Image(message.header, 24, 32, encoding, 0, 128, message.data[: 24 * 128])

    drive = Narrow().record(tmp_path)
    surroundings = find_surroundings(drive.path, "/cam/image/compressed", "camera")
    judged = judge(masked_frames(drive, tmp_path / "masks", range(4)), None, surroundings)
    assert judged.consistency.warped is None
    assert re.match("found depth of 32x24 pixels for images of 64x48", judged.consistency.warped_missing or "")
