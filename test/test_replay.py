"""Replay over real DDS: what is published is what the drive holds, in order, and bad input ends in one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__RegionOfInterest as RegionOfInterest

from desert_seg.errors import DesertSegError
from desert_seg.images import write_image
from desert_seg.recordings.bag import BagWriter, serialize
from desert_seg.recordings.drive import Drive, open_drive
from desert_seg.recordings.image_codec import decode, decode_mask
from desert_seg_ros.replay import Replayer, ReplayOptions

needs_ros = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import rclpy"], capture_output=True, check=False).returncode != 0,
    reason="rclpy is not installed",
)

NUM_FRAMES = 5
COMMAND = [sys.executable, "-m", "desert_seg_ros.replay"]


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Five small frames with masks and camera_info, in a bag, at 100 Hz."""
    generator = np.random.default_rng(0)
    data = tmp_path / "data"
    for index in range(NUM_FRAMES):
        write_image(data / "Color_Images" / f"{index}.png", generator.integers(0, 256, (6, 8, 3), np.uint8))
        write_image(data / "Segmentation" / f"{index}.png", generator.integers(0, 65536, (6, 8), np.uint16))
    region, zeros = RegionOfInterest(0, 0, 0, 0, False), np.zeros(9)
    with BagWriter(tmp_path / "bag") as bag:
        for frame in open_drive(data, hz=100).frames():
            header = frame.image.header
            info = CameraInfo(header, 6, 8, "plumb_bob", np.zeros(5), zeros, zeros, np.zeros(12), 0, 0, region)
            bag.write_message("/camera/image_raw/compressed", frame.stamp_ns, frame.image)
            bag.write_message("/camera/camera_info", frame.stamp_ns, info)
            bag.write_message("/camera/ground_truth/compressed", frame.stamp_ns, frame.truth)
    return open_drive(tmp_path / "bag")


class Ear:
    """A node that keeps what it hears, and another one to publish through."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("ear", context=self.context)
        self.mouth = rclpy.create_node("mouth", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def listen(self, package: str, kind: str, topic: str, qos: Any = 100) -> list[Any]:
        heard: list[Any] = []
        message_type = getattr(__import__(f"{package}.msg").msg, kind)
        self.node.create_subscription(message_type, topic, heard.append, qos)
        return heard

    def spin_until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "nothing more was heard"
            self.executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.mouth.destroy_node()
        self.context.shutdown()


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.close()


def stamps(messages: list[Any]) -> list[int]:
    return [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in messages]


@needs_ros
@pytest.mark.parametrize(("transport", "kind"), [("raw", "Image"), ("compressed", "CompressedImage")])
def test_a_drive_arrives_in_order_with_one_stamp_per_frame(drive: Drive, ear: Ear, transport: str, kind: str) -> None:
    suffix = "/compressed" if transport == "compressed" else ""
    images = ear.listen("sensor_msgs", kind, f"/{transport}/image{suffix}")
    masks = ear.listen("sensor_msgs", kind, f"/{transport}/ground_truth{suffix}")
    infos = ear.listen("sensor_msgs", "CameraInfo", f"/{transport}/camera_info")
    published: list[tuple[int, int, int]] = []
    options = ReplayOptions(image_topic=f"/{transport}/image", transport=transport, rate=10, wait_subscribers_s=20)
    began = time.time_ns()
    count = Replayer(ear.mouth, drive, options).run(
        lambda stamp_ns, index, frame: published.append((stamp_ns, index, frame.stamp_ns))
    )
    ear.spin_until(lambda: min(map(len, (images, masks, infos))) == NUM_FRAMES)

    frames = list(drive.frames())
    assert count == NUM_FRAMES
    assert stamps(images) == stamps(masks) == stamps(infos) == [stamp for stamp, _, _ in published]
    assert began <= stamps(images)[0] < stamps(images)[-1] <= time.time_ns()
    assert [(index, stored) for _, index, stored in published] == [(i, f.stamp_ns) for i, f in enumerate(frames)]
    for image, mask, frame in zip(images, masks, frames, strict=True):
        assert image.header.frame_id == frame.frame_id
        np.testing.assert_array_equal(decode(image), frame.rgb())
        np.testing.assert_array_equal(decode_mask(mask), frame.ground_truth())


@needs_ros
def test_kept_stamps_are_the_recorded_ones_on_the_clock_too(drive: Drive, ear: Ear) -> None:
    images = ear.listen("sensor_msgs", "CompressedImage", "/kept/image/compressed")
    clocks = ear.listen("rosgraph_msgs", "Clock", "/clock")
    options = ReplayOptions("/kept/image", rate=10, keep_stamps=True, clock=True, wait_subscribers_s=20)
    Replayer(ear.mouth, drive, options).run()
    ear.spin_until(lambda: len(images) == len(clocks) == NUM_FRAMES)
    recorded = [frame.stamp_ns for frame in drive.frames()]
    assert stamps(images) == recorded
    assert [clock.clock.sec * 10**9 + clock.clock.nanosec for clock in clocks] == recorded


@needs_ros
def test_a_loop_starts_over_until_it_is_stopped(drive: Drive, ear: Ear) -> None:
    images = ear.listen("sensor_msgs", "CompressedImage", "/loop/image/compressed")
    seen: list[int] = []
    options = ReplayOptions("/loop/image", rate=10, loop=True, keep_stamps=True, start_s=0.02, wait_subscribers_s=20)
    Replayer(ear.mouth, drive, options).run(
        lambda stamp_ns, _index, _frame: seen.append(stamp_ns), should_stop=lambda: len(seen) >= 7
    )
    recorded = [frame.stamp_ns for frame in drive.frames()][2:]
    assert seen == [*recorded, *recorded, recorded[0]]
    ear.spin_until(lambda: stamps(images) == seen)


@needs_ros
def test_nothing_is_published_early(drive: Drive, ear: Ear) -> None:
    arrivals: list[float] = []
    Replayer(ear.mouth, drive, ReplayOptions("/pace/image", rate=0.5, wait_subscribers_s=0)).run(
        lambda *_: arrivals.append(time.monotonic())
    )
    recorded = [frame.recorded_ns / 1e9 for frame in drive.frames()]
    due = [arrivals[0] + (time_s - recorded[0]) / 0.5 for time_s in recorded]
    # The first frame was due a little before it was seen here.
    assert all(arrival > expected - 0.01 for arrival, expected in zip(arrivals, due, strict=True))


@needs_ros
def test_a_stop_ends_the_wait_for_subscribers(drive: Drive, ear: Ear) -> None:
    options = ReplayOptions("/nobody/image", wait_subscribers_s=3600)
    assert Replayer(ear.mouth, drive, options).run(should_stop=lambda: True) == 0


@needs_ros
def test_the_command_replays_a_folder_and_says_so(drive: Drive, ear: Ear, tmp_path: Path) -> None:
    images = ear.listen("sensor_msgs", "CompressedImage", "/command/image/compressed")
    arguments = [tmp_path / "data", "--hz", "100", "--image-topic", "/command/image", "--wait-subscribers", "20"]
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (
        0,
        f"published 5 frames of {tmp_path / 'data'} on /command/image/compressed\n",
    )
    ear.spin_until(lambda: len(images) == NUM_FRAMES)


@needs_ros
def test_images_go_out_in_the_form_that_somebody_listens_to(drive: Drive, ear: Ear) -> None:
    images = ear.listen("sensor_msgs", "Image", "/heard/image")
    replayer = Replayer(ear.mouth, drive, ReplayOptions("/heard/image", rate=10, wait_subscribers_s=20))
    assert replayer.run() == NUM_FRAMES
    ear.spin_until(lambda: len(images) == NUM_FRAMES)
    assert (replayer.image_topic, replayer.was_heard) == ("/heard/image", True)


@needs_ros
def test_the_command_leaves_out_a_broken_message_and_says_where_it_published(
    drive: Drive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from desert_seg_ros.replay import main

    with BagWriter(tmp_path / "broken") as bag:
        for index, frame in enumerate(drive.frames()):
            whole = serialize(frame.image)
            data = whole[:20] if index in (1, 2) else whole
            bag.write("/cam/compressed", "sensor_msgs/msg/CompressedImage", frame.recorded_ns, data)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "broken"), "--rate", "100", "--image-topic", "/lonely", "--wait-subscribers", "0"])
    assert str(ended.value).startswith(f"error: {tmp_path / 'broken'}: 2 messages could not be read and were left out;")
    told = capsys.readouterr()
    assert told.out == f"published 3 frames of {tmp_path / 'broken'} on /lonely/compressed\n"
    assert "warning: nobody subscribed to /lonely/compressed" in told.err


@needs_ros
def test_images_that_cannot_be_converted_are_counted_one_by_one(drive: Drive, ear: Ear, tmp_path: Path) -> None:
    with BagWriter(tmp_path / "broken") as bag:
        for index, frame in enumerate(drive.frames()):
            image = replace(frame.image, data=np.zeros(9, np.uint8)) if index in (0, 3) else frame.image
            bag.write_message("/cam/compressed", frame.recorded_ns, image)
    options = ReplayOptions("/converted/image", "raw", rate=10, loop=True, wait_subscribers_s=0)
    seen: list[int] = []
    replayer = Replayer(ear.mouth, open_drive(tmp_path / "broken"), options)
    replayer.run(lambda stamp_ns, _index, _frame: seen.append(stamp_ns), should_stop=lambda: len(seen) >= 7)
    assert ["found 9 bytes" in str(error) for error in replayer.bad] == [True, True]


@needs_ros
def test_large_raw_images_arrive_at_a_camera_s_listener(ear: Ear, tmp_path: Path) -> None:
    """Best effort and between processes: without the DDS profile hardly any of them fits into shared memory."""
    from rclpy.qos import qos_profile_sensor_data

    for index in range(NUM_FRAMES):
        write_image(tmp_path / "large" / f"{index}.png", np.full((540, 960, 3), index, np.uint8))
    images = ear.listen("sensor_msgs", "Image", "/large/image", qos_profile_sensor_data)
    arguments = ["--hz", "5", "--transport", "raw", "--image-topic", "/large/image", "--wait-subscribers", "20"]
    with subprocess.Popen([*COMMAND, str(tmp_path / "large"), *arguments]) as command:
        ear.spin_until(lambda: len(images) == NUM_FRAMES or command.poll() is not None, timeout_s=60.0)
    assert [image.data[0] for image in images] == list(range(NUM_FRAMES))


@needs_ros
def test_the_command_ends_cleanly_on_sigint(drive: Drive, ear: Ear) -> None:
    images = ear.listen("sensor_msgs", "CompressedImage", "/endless/image/compressed")
    arguments = [str(drive.path), "--loop", "--image-topic", "/endless/image"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        ear.spin_until(lambda: len(images) > NUM_FRAMES)
        command.send_signal(signal.SIGINT)
        output, errors = command.communicate(timeout=30)
    assert command.returncode == 0
    assert output.startswith("published ")
    assert "Traceback" not in errors


@needs_ros
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "missing; give a bag or a folder of images"),
        (["empty"], "empty: found no image"),
        (["broken.mcap"], "broken.mcap: cannot be opened as a bag"),
        (["pipe.mcap"], "pipe.mcap: is no regular file"),
        (["images", "--rate", "0"], "found a rate of 0.0"),
        (["images", "--start", "-1"], "found a start at -1.0 s"),
        (["images", "--image-topic", "/front camera"], "found topic '/front camera'"),
        (["images", "--ros-args", "image:=/x"], "ROS did not start (['image:=/x']); write what follows --ros-args"),
        (["images", "--hz", "0"], "found a rate of 0.0 frames per second"),
    ],
)
def test_bad_input_ends_in_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.mcap").write_bytes(b"no bag")
    os.mkfifo(tmp_path / "pipe.mcap")
    write_image(tmp_path / "images" / "0.png", np.zeros((4, 4, 3), np.uint8))
    command = [*COMMAND, str(tmp_path / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_topic_with_the_ending_of_a_transport_and_a_wait_that_is_no_time_are_refused() -> None:
    with pytest.raises(DesertSegError, match="expected the base name, to which /compressed is added; give /cam"):
        ReplayOptions("/cam/compressed")
    with pytest.raises(DesertSegError, match="found a wait of nan s for subscribers, expected 0 or more"):
        ReplayOptions(wait_subscribers_s=float("nan"))


@needs_ros
def test_a_start_after_the_end_is_named(drive: Drive, ear: Ear) -> None:
    with pytest.raises(DesertSegError, match="ends before 9"):
        Replayer(ear.mouth, drive, ReplayOptions(start_s=9)).run()


def test_a_machine_without_ros_is_told_how_to_get_it(drive: Drive) -> None:
    script = "import sys; sys.modules['rclpy'] = None; from desert_seg_ros.replay import main; main()"
    command = [sys.executable, "-c", script, str(drive.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ROS 2's Python library does not load")
    assert done.stderr.count("\n") == 1


def test_importing_the_module_imports_nothing_heavy() -> None:
    script = (
        "import sys, desert_seg_ros.replay; print({'rclpy', 'cv2', 'numpy', 'rosbags', 'rich'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
