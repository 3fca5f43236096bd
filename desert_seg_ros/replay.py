"""`desert-seg-replay`: publish a bag or a folder of images on live topics, at the pace it was recorded.

`Replayer` does the work for any node; `main` is the command. Messages go out as CDR bytes serialised by `rosbags`, so
nothing is copied field by field. This module knows nothing of its subscribers. rclpy, OpenCV and the bag reader are
imported when they are needed, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import importlib
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, dropwhile
from typing import TYPE_CHECKING, Any

from desert_seg.errors import DesertSegError, FrameError
from desert_seg.program import Work, run_program
from desert_seg_ros.environment import split_ros_arguments

if TYPE_CHECKING:
    from desert_seg.recordings.drive import Drive, DriveFrame

TRANSPORTS = ("auto", "raw", "compressed")

_POLL_S = 0.05
_TOPIC_NAME = re.compile(r"(~/|/)?[a-z_]\w*(/[a-z_]\w*)*", re.ASCII | re.IGNORECASE)
_STILL_PERIOD_S = 0.1
"""Time between two passes over a drive of one frame, which has no rate of its own."""


@dataclass(frozen=True)
class ReplayOptions:
    """How to replay.

    Attributes:
        image_topic: Base name of the images; compressed ones go to `<image_topic>/compressed`. `camera_info` and
            `ground_truth` are published beside it.
        transport: `raw` or `compressed` converts images and masks; `auto` leaves them as they are stored, unless only
            the other form has a subscriber.
        rate: Factor on the recorded pace.
        start_s: Where to begin, seconds after the first frame.
        loop: Begin again after the last frame, until stopped.
        keep_stamps: Publish the recorded stamps; otherwise every frame gets the time at which it is published.
        clock: Publish the stamp of every frame on `/clock` before the frame.
        wait_subscribers_s: Wait at most this long for a subscriber to the images before the first frame.
    """

    image_topic: str = "/camera/image_raw"
    transport: str = "auto"
    rate: float = 1.0
    start_s: float = 0.0
    loop: bool = False
    keep_stamps: bool = False
    clock: bool = False
    wait_subscribers_s: float = 5.0

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise DesertSegError(f"found transport {self.transport!r}, expected one of: {', '.join(TRANSPORTS)}")
        if not _TOPIC_NAME.fullmatch(self.image_topic):
            raise DesertSegError(f"found topic {self.image_topic!r}, expected a ROS name such as /camera/image_raw")
        if self.image_topic.endswith("/compressed"):
            base = self.image_topic.removesuffix("/compressed")
            raise DesertSegError(
                f"found topic {self.image_topic!r}, expected the base name, to which /compressed is added; give {base}"
            )
        if not self.wait_subscribers_s >= 0:
            raise DesertSegError(f"found a wait of {self.wait_subscribers_s} s for subscribers, expected 0 or more")
        if not self.rate > 0:
            raise DesertSegError(f"found a rate of {self.rate}, expected a positive factor; 1 is the recorded pace")
        if not 0 <= self.start_s < math.inf:
            raise DesertSegError(f"found a start at {self.start_s} s, expected 0 or more seconds after the first frame")


class Replayer:
    """Publishes the frames of a drive through a node, which need not be spun.

    Attributes:
        image_topic: Where the images go, in full; empty until the first one does.
        was_heard: Whether anybody subscribed to the images.
        bad: The errors of messages that could not be read or converted and were left out.
    """

    def __init__(self, node: Any, drive: Drive, options: ReplayOptions) -> None:
        self._node, self._drive, self._options = node, drive, options
        self._publishers: dict[str, Any] = {}
        self._transport = options.transport
        self.image_topic, self.was_heard = "", False
        self.bad: list[DesertSegError] = []

    def run(
        self,
        on_publish: Callable[[int, int, DriveFrame], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Publish until the drive ends or `should_stop`, which is polled at least every 50 ms.

        Args:
            on_publish: Called just before each frame goes out, with its published stamp in nanoseconds, its index, and
                the frame as stored.
            should_stop: True ends the replay.

        Returns:
            How many frames were published.

        Raises:
            DesertSegError: No frame of the drive can be read, or it ends before `start_s`.
        """
        from desert_seg.recordings.bag import serialize

        num_published = 0
        begin = 0.0
        self._heard_by = time.monotonic() + self._options.wait_subscribers_s
        for due, stored, frame in self._timetable(should_stop):
            if num_published == 0:
                self._wait_for_subscribers(frame, should_stop)
                begin = time.monotonic()
            _sleep_until(begin + due, should_stop)
            if should_stop():
                break
            if not self._options.keep_stamps:
                frame = frame.with_stamp(time.time_ns())
            if on_publish is not None:
                on_publish(frame.stamp_ns, num_published, stored)
            for topic, message in self._messages(frame):
                publisher = self._publisher(topic, message)
                publisher.publish(serialize(message))
            self.image_topic = publisher.topic_name
            self.was_heard = self.was_heard or publisher.get_subscription_count() > 0
            num_published += 1
        return num_published

    def wait_for_delivery(self, timeout_s: float) -> None:
        """Wait until reliable subscribers have everything: messages in flight are lost with the publishers."""
        from rclpy.duration import Duration

        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=timeout_s))

    def _timetable(self, should_stop: Callable[[], bool]) -> Iterator[tuple[float, DriveFrame, DriveFrame]]:
        """When each frame is due, in seconds after the first; the frame as stored, and as published."""
        from desert_seg.recordings.drive import pass_over

        pass_begin, is_chosen = 0.0, False
        leave_out: Callable[[DesertSegError], None] = self.bad.append
        while True:
            num_frames, first_ns, due = 0, 0, pass_begin
            for stored in self._frames_from_start(leave_out):
                if not is_chosen:
                    self._choose_transport(stored, should_stop)
                    is_chosen = True
                try:
                    frame = self._in_transport(stored)
                except FrameError as error:
                    leave_out(error)
                    continue
                first_ns = first_ns if num_frames else stored.recorded_ns
                due = pass_begin + (stored.recorded_ns - first_ns) / 1e9 / self._options.rate
                yield due, stored, frame
                num_frames += 1
            if num_frames == 0 and self.bad:
                raise DesertSegError(f"{self._drive.path}: no frame can be read; the first: {self.bad[0]}")
            if num_frames == 0:
                raise DesertSegError(f"{self._drive.path}: ends before {self._options.start_s} s; start earlier")
            if not self._options.loop:
                return
            period = (due - pass_begin) / (num_frames - 1) if num_frames > 1 else _STILL_PERIOD_S
            pass_begin = due + period
            leave_out = pass_over  # what is left out is counted in the first pass only

    def _frames_from_start(self, leave_out: Callable[[DesertSegError], None]) -> Iterator[DriveFrame]:
        frames = self._drive.frames(leave_out)
        first = next(frames, None)
        if first is None:
            return frames
        begin_ns = first.recorded_ns + round(self._options.start_s * 1e9)
        return dropwhile(lambda frame: frame.recorded_ns < begin_ns, chain([first], frames))

    def _in_transport(self, frame: DriveFrame) -> DriveFrame:
        if self._transport == "auto":
            return frame
        return frame.as_raw() if self._transport == "raw" else frame.as_compressed()

    def _choose_transport(self, frame: DriveFrame, should_stop: Callable[[], bool]) -> None:
        """Wait for a subscriber to either form of the images, and use its form; the stored form is preferred."""
        if self._transport != "auto":
            return
        base = self._node.resolve_topic_name(self._options.image_topic)
        topics = {"raw": base, "compressed": f"{base}/compressed"}
        is_compressed = hasattr(frame.image, "format")
        stored, other = ("compressed", "raw") if is_compressed else ("raw", "compressed")
        while time.monotonic() < self._heard_by and not should_stop():
            if self._node.count_subscribers(topics[stored]):
                return
            if self._node.count_subscribers(topics[other]):
                self._transport = other
                return
            time.sleep(_POLL_S)

    def _messages(self, frame: DriveFrame) -> list[tuple[str, Any]]:
        """What to publish for a frame and where; the image comes last, so that its receiver has the rest."""
        from rosbags.typesys.stores.ros2_kilted import rosgraph_msgs__msg__Clock as Clock

        from desert_seg.recordings.image_topic import COMPRESSED_IMAGE, sibling_topic

        base = self._options.image_topic
        messages: list[tuple[str, Any]] = []
        if self._options.clock:
            messages.append(("/clock", Clock(frame.image.header.stamp)))
        if frame.camera_info is not None:
            messages.append((sibling_topic(base, "camera_info"), frame.camera_info))
        if frame.truth is not None:
            messages.append((sibling_topic(base, "ground_truth"), frame.truth))
        messages.append((base, frame.image))
        return [
            (f"{topic}/compressed" if message.__msgtype__ == COMPRESSED_IMAGE else topic, message)
            for topic, message in messages
        ]

    def _publisher(self, topic: str, message: Any) -> Any:
        """The publisher of a topic, created on first use."""
        from rclpy.qos import QoSProfile, ReliabilityPolicy

        if topic not in self._publishers:
            package, _, name = message.__msgtype__.split("/")
            message_type = getattr(importlib.import_module(f"{package}.msg"), name)
            # A reliable publisher matches reliable and best-effort subscribers; a depth of ten bridges a slow moment.
            qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
            self._publishers[topic] = self._node.create_publisher(message_type, topic, qos)
        return self._publishers[topic]

    def _wait_for_subscribers(self, frame: DriveFrame, should_stop: Callable[[], bool]) -> None:
        """Wait for a subscriber to the images, and until subscribers to the other topics are matched."""
        publishers = [self._publisher(topic, message) for topic, message in self._messages(frame)]

        def matched() -> bool:
            return publishers[-1].get_subscription_count() > 0 and all(
                publisher.get_subscription_count() >= self._node.count_subscribers(publisher.topic_name)
                for publisher in publishers
            )

        while not matched() and time.monotonic() < self._heard_by and not should_stop():
            time.sleep(_POLL_S)


def _sleep_until(deadline: float, should_stop: Callable[[], bool]) -> None:
    while (remaining := deadline - time.monotonic()) > 0 and not should_stop():
        time.sleep(min(remaining, _POLL_S))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command; see `run_program` for how it ends, except that Ctrl-C ends a replay with 0."""
    run_program("desert-seg-replay", _prepare, arguments)


def _prepare(arguments: Sequence[str]) -> Work:
    own, ros = split_ros_arguments(arguments)
    return partial(_replay, make_parser().parse_args(own), ros)


def _replay(arguments: argparse.Namespace, ros_arguments: list[str]) -> None:
    options = ReplayOptions(
        image_topic=arguments.image_topic,
        transport=arguments.transport,
        rate=arguments.rate,
        start_s=arguments.start,
        loop=arguments.loop,
        keep_stamps=arguments.keep_stamps,
        clock=arguments.clock,
        wait_subscribers_s=arguments.wait_subscribers,
    )
    from desert_seg.share import share_directory
    from desert_seg_ros.environment import require_ros, start_ros, use_dds_profile

    require_ros()
    use_dds_profile(share_directory() / "config" / "fastdds_shm.xml")
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from desert_seg.console import Console, Progress
    from desert_seg.recordings.drive import open_drive, refuse_left_out

    drive = open_drive(arguments.path, arguments.topic, arguments.hz)
    drive.warn()
    start_ros(ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("desert_seg_replay")
    replayer, num_published = Replayer(node, drive, options), 0

    try:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task(str(drive.path), total=None if options.loop else drive.num_frames)

            def count(_stamp_ns: int, index: int, _frame: DriveFrame) -> None:
                nonlocal num_published
                num_published = index + 1
                progress.advance(task)

            replayer.run(count)
            replayer.wait_for_delivery(timeout_s=2.0)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    where = f" on {replayer.image_topic}" if num_published else ""
    sys.stdout.write(f"published {num_published} frames of {drive.path}{where}\n")
    if num_published and not replayer.was_heard:
        sys.stderr.write(f"warning: nobody subscribed to {replayer.image_topic}; compare with `ros2 topic list`\n")
    refuse_left_out(drive.path, replayer.bad)


def make_parser() -> argparse.ArgumentParser:
    """What the command takes."""
    defaults = ReplayOptions()
    parser = argparse.ArgumentParser(
        prog="desert-seg-replay",
        description="Publish a bag or a folder of images on live topics, at the pace it was recorded.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("path", help="bag folder, .mcap, .db3 or .bag file, folder of images, or dataset folder")
    add("--topic", help="image topic of the bag, needed if there are several")
    add("--hz", type=float, default=10.0, help="frames per second of a folder")
    add("--rate", type=float, default=defaults.rate, help="factor on the recorded pace")
    add("--start", type=float, default=defaults.start_s, help="begin this many seconds after the first frame")
    add("--loop", action="store_true", help="begin again after the last frame, until stopped")
    add("--keep-stamps", action="store_true", help="publish the recorded stamps instead of the present time")
    add("--clock", action="store_true", help="publish every stamp on /clock before its frame")
    add("--image-topic", default=defaults.image_topic, help="publish here; camera_info and ground_truth go beside it")
    add(
        "--transport",
        choices=TRANSPORTS,
        default=defaults.transport,
        help="form of the images; auto: as stored, or the form that has a subscriber",
    )
    add(
        "--wait-subscribers",
        type=float,
        metavar="SECONDS",
        default=defaults.wait_subscribers_s,
        help="wait at most this long for somebody to subscribe to the images",
    )
    return parser


if __name__ == "__main__":
    main()
