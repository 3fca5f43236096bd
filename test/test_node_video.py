"""Video on topics: every packet is decoded in order, whatever the worker has time for."""

from __future__ import annotations

import threading
from array import array
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the extra `video`")
rclpy = pytest.importorskip("rclpy")

from ros import DiagnosticArray, NodeProcess, Peer, mask_of  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from video_packets import KEY_EVERY, encode, scene  # noqa: E402

from desert_seg.errors import DesertSegError, FrameError  # noqa: E402
from desert_seg.recordings.video_stream import VideoStream  # noqa: E402
from desert_seg_ros.transport import load_transport  # noqa: E402
from desert_seg_ros.video import MAX_WAITING, VideoReceiver, decode_video_frame  # noqa: E402

FRAMES = scene()
PACKETS = encode("h264", FRAMES)


def foxglove(index: int, data: bytes, codec: str = "h264") -> SimpleNamespace:
    return SimpleNamespace(timestamp=index, frame_id="camera", format=codec, data=array("B", data))


class Bench:
    """A receiver and what came out of it."""

    def __init__(self, on_frame=None):
        self.frames, self.overloads, self.crashes = [], 0, []
        self.arrived = threading.Condition()
        self.receiver = VideoReceiver(
            stream=VideoStream(),
            make_header=lambda stamp, frame_id: SimpleNamespace(stamp=stamp, frame_id=frame_id),
            on_frame=on_frame or self._on_frame,
            on_overload=self._on_overload,
            on_crash=self.crashes.append,
        )

    def _on_frame(self, frame):
        with self.arrived:
            self.frames.append(frame)
            self.arrived.notify()

    def _on_overload(self):
        self.overloads += 1

    def take(self, count):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.frames) >= count, timeout=20)
        self.receiver.stop()
        return self.frames


def test_every_packet_comes_out_as_its_frame_under_its_header():
    bench = Bench()
    for index, data in PACKETS:
        bench.receiver.put(foxglove(index, data))
    for index, frame in enumerate(bench.take(len(PACKETS))):
        assert (frame.header.stamp, frame.header.frame_id) == (index, "camera")
        assert np.abs(decode_video_frame(frame).astype(int) - FRAMES[index]).mean() < 4


def test_a_packet_that_cannot_be_decoded_is_a_bad_frame():
    bench = Bench()
    for index, data in PACKETS[KEY_EVERY - 1 :]:
        bench.receiver.put(foxglove(index, data))
    bench.receiver.put(foxglove(99, b"", codec="av1"))
    first, *middle, last = bench.take(len(PACKETS) - KEY_EVERY + 2)
    with pytest.raises(FrameError, match="comes before the first key frame"):
        decode_video_frame(first)
    with pytest.raises(FrameError, match="codec 'av1', expected h264 or hevc"):
        decode_video_frame(last)
    assert [frame.header.stamp for frame in middle] == list(range(KEY_EVERY, len(PACKETS)))


def test_packets_are_dropped_and_counted_only_when_too_many_wait():
    entered, permission = threading.Event(), threading.Event()

    def on_frame(frame):
        entered.set()
        assert permission.wait(timeout=20)

    bench = Bench(on_frame)
    bench.receiver.put(foxglove(*PACKETS[0]))
    assert entered.wait(timeout=20)
    for _ in range(MAX_WAITING + 3):
        bench.receiver.put(foxglove(*PACKETS[0]))
    assert bench.overloads == 3
    permission.set()
    bench.receiver.stop()


def test_a_bug_is_handed_on_so_that_the_process_can_end():
    def on_frame(frame):
        raise ZeroDivisionError

    bench = Bench(on_frame)
    bench.receiver.put(foxglove(*PACKETS[0]))
    bench.receiver._thread.join(20)
    assert [type(error) for error in bench.crashes] == [ZeroDivisionError]


@pytest.mark.parametrize(
    ("name", "package"), [("ffmpeg", "ffmpeg-image-transport-msgs"), ("foxglove", "foxglove-msgs")]
)
def test_a_missing_message_package_is_named(name, package):
    with pytest.raises(DesertSegError, match=rf"install ros-\$ROS_DISTRO-{package}, or choose raw or compressed"):
        load_transport(name, 2**20)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A message package whose type is another name of Image, which has the fields that are read, on the real DDS."""
    package = tmp_path / "ffmpeg_image_transport_msgs"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "msg.py").write_text("from sensor_msgs.msg import Image as FFMPEGPacket\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")


def test_the_node_segments_video(stand_in, tmp_path: Path):
    rclpy.init()
    node = NodeProcess(*("-r", "__node:=video", "-p", "image_transport:=ffmpeg"), log=tmp_path / "node.log")
    peer = Peer("video")
    try:
        peer.publishers["image/ffmpeg"] = peer.node.create_publisher(Image, "image/ffmpeg", 10)
        peer.until_ready("image/ffmpeg")
        masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
        key, _lost, *rest = PACKETS[KEY_EVERY : 2 * KEY_EVERY + 2]

        def publish(index: int, data: bytes) -> None:
            message = Image(encoding="h264;yuv420p;bgr8;bgr8", data=array("B", data))
            message.header.stamp.sec, message.header.frame_id = 100 + index, "camera"
            peer.publishers["image/ffmpeg"].publish(message)

        peer.until(lambda: publish(*key) or masks, "the mask of a key frame")
        assert mask_of(masks[0]).shape == FRAMES[0].shape[:2]
        assert masks[0].header.frame_id == "camera"
        for index, data in rest:
            publish(index, data)
            if index >= 2 * KEY_EVERY:
                peer.until(lambda stamp=100 + index: masks[-1].header.stamp.sec == stamp, f"mask {index}")
        stamps = {mask.header.stamp.sec - 100 for mask in masks}
        assert stamps == {KEY_EVERY, 2 * KEY_EVERY, 2 * KEY_EVERY + 1}  # none after the lost packet before a key frame
        peer.until(lambda: dropped(health) >= len(rest) - 2, "the packets after the lost one to be counted")
        assert node.stop() == 0, node.output()
        assert "Traceback" not in node.output()
    finally:
        node.stop()
        peer.close()
        rclpy.try_shutdown()


def dropped(health: list) -> int:
    values = {value.key: value.value for message in health for value in message.status[0].values}
    return int(values.get("dropped_bad_frame", 0)) + int(values.get("dropped_overload", 0))
