"""Video in bags: a frame is the one that was encoded, or it is refused; every packet is accounted for once."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.stores.ros2_kilted import builtin_interfaces__msg__Time as Time
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header
from video_packets import KEY_EVERY, encode, scene

from desert_seg.errors import DataError, FrameError
from desert_seg.recordings.drive import open_drive
from desert_seg.recordings.h264 import FrameNumbers, nal_units
from desert_seg.recordings.image_codec import decode_image
from desert_seg.recordings.video import VideoImages
from desert_seg.recordings.video_decoder import CODECS, VideoDecoder
from desert_seg.recordings.video_messages import COMPRESSED_VIDEO, FFMPEG_PACKET, VIDEO_TYPES
from desert_seg.recordings.video_stream import video_packet

pytest.importorskip("av", reason="needs the extra `video`")

FRAMES = scene()
STREAMS = {codec: encode(codec, FRAMES) for codec in CODECS}
REORDERED = {codec: encode(codec, FRAMES, reordered=2) for codec in CODECS}
TYPES = get_typestore(Stores.ROS2_KILTED)
TYPES.register(VIDEO_TYPES)


def decode(codec: str, packets: list[tuple[int, bytes]]) -> dict[int, np.ndarray | None]:
    decoder: VideoDecoder[int] = VideoDecoder(codec)
    decoded = [frame for index, data in packets for frame in decoder.push(data, index)] + decoder.finish()
    assert sorted(frame.token for frame in decoded) == sorted(index for index, _ in packets)
    shown = [frame.token for frame in decoded if frame.rgb is not None]
    assert shown == sorted(shown)
    return {frame.token: frame.rgb for frame in decoded}


def assert_right(decoded: dict[int, np.ndarray | None], indices: set[int]) -> None:
    assert {index for index, rgb in decoded.items() if rgb is not None} == indices
    for index in indices:
        difference = np.abs(decoded[index].astype(int) - FRAMES[index]).mean()
        assert difference < 4, index  # the next frame differs by 10 and more


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("streams", [STREAMS, REORDERED], ids=["in order", "reordered"])
def test_every_packet_gives_its_own_frame(codec: str, streams: dict[str, list[tuple[int, bytes]]]) -> None:
    assert_right(decode(codec, streams[codec]), set(range(15)))


@pytest.mark.parametrize("codec", CODECS)
def test_a_frame_comes_with_its_packet(codec: str) -> None:
    decoder: VideoDecoder[int] = VideoDecoder(codec)
    for index, data in STREAMS[codec]:
        assert [frame.token for frame in decoder.push(data, index)] == [index]


@pytest.mark.parametrize("codec", CODECS)
def test_frames_of_more_pixels_than_allowed_are_not_decoded(codec: str) -> None:
    decoder: VideoDecoder[int] = VideoDecoder(codec, max_pixels=FRAMES[0][..., 0].size // 2)
    assert all(frame.rgb is None for index, data in STREAMS[codec] for frame in decoder.push(data, index))


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_joined_midway_begins_with_its_first_key_frame(codec: str) -> None:
    assert_right(decode(codec, STREAMS[codec][2:]), set(range(KEY_EVERY, 15)))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("lost", [5, 6, 8, 9])
def test_after_a_lost_packet_nothing_is_taken_before_the_next_key_frame(codec: str, lost: int) -> None:
    packets = [packet for packet in STREAMS[codec] if packet[0] != lost]
    assert_right(decode(codec, packets), set(range(15)) - set(range(lost, 2 * KEY_EVERY)))


@pytest.mark.parametrize("codec", CODECS)
def test_after_a_broken_packet_nothing_is_taken_before_the_next_key_frame(codec: str) -> None:
    for junk in (b"", b"no video", b"\0\0\1\x09\xf0"):
        packets = [(index, junk if index == 6 else data) for index, data in STREAMS[codec]]
        assert_right(decode(codec, packets), set(range(15)) - {6, 7, 8, 9})


@given(
    st.sampled_from(CODECS),
    st.sampled_from((b"", b"\0\0\1\x67")),
    st.lists(st.binary(max_size=60), max_size=4),
    st.integers(0, 6),
)
@settings(deadline=None, max_examples=40)
def test_any_bytes_are_accounted_for(codec: str, start: bytes, junk: list[bytes], begin: int) -> None:
    packets = [*STREAMS[codec][:begin], *((50 + n, start + data) for n, data in enumerate(junk))]
    decoder: VideoDecoder[int] = VideoDecoder(codec)
    decoded = [frame.token for index, data in packets for frame in decoder.push(data, index)]
    decoded += [frame.token for frame in decoder.finish()]
    assert sorted(decoded) == [index for index, _ in packets]


@given(st.sampled_from(CODECS), st.integers(0, 14), st.floats(0, 0.999), st.binary(min_size=1, max_size=9))
@settings(deadline=None, max_examples=40)
def test_changed_bytes_are_survived(codec: str, index: int, place: float, junk: bytes) -> None:
    data = STREAMS[codec][index][1]
    start = int(place * len(data))
    packets = [*STREAMS[codec]]
    packets[index] = index, data[:start] + junk + data[start + len(junk) :]
    decode(codec, packets)


def test_frame_numbers_tell_a_gap() -> None:
    packets = [data for _, data in STREAMS["h264"]]
    numbers = FrameNumbers()
    assert all(numbers.is_next(packet) for packet in packets)
    assert [numbers.is_next(packet) for packet in (packets[0], packets[2])] == [True, False]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("h264;yuv420p;bgr8;bgr8", "h264"), ("libx264", "h264"), ("HEVC_nvenc", "hevc"), ("h265", "hevc")],
)
def test_codecs_have_many_names(name: str, codec: str) -> None:
    message = SimpleNamespace(header=Header(Time(1, 2), "camera"), encoding=name, data=b"")
    assert video_packet(message).codec == codec


@pytest.mark.parametrize("codec", CODECS)
def test_packets_in_the_form_of_mp4_files_are_named(codec: str) -> None:
    video = VideoImages()
    for _, data in STREAMS[codec][:2]:
        units = b"".join(len(unit).to_bytes(4, "big") + unit for unit in nal_units(data))
        message = SimpleNamespace(header=Header(Time(1, 2), "camera"), encoding=codec, data=units)
        (image,) = video.add(message)
        with pytest.raises(FrameError, match=f"{codec} video without a start code; have the encoder write Annex B"):
            decode_image(image)


def test_another_codec_is_refused() -> None:
    message = SimpleNamespace(timestamp=Time(1, 2), frame_id="camera", format="av1", data=b"")
    with pytest.raises(DataError, match="codec 'av1', expected h264 or hevc"):
        video_packet(message)


def write_bag(path: Path, kind: str, codec: str, packets: list[tuple[int, bytes]]) -> Path:
    topic = "/camera/image_raw/ffmpeg" if kind == FFMPEG_PACKET else "/camera/image_raw/foxglove"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, kind, typestore=TYPES)
        for place, (index, data) in enumerate(packets):
            payload = np.frombuffer(data, np.uint8)
            if kind == FFMPEG_PACKET:
                header = Header(Time(100, index), "camera")
                message = TYPES.types[kind](header, 96, 64, f"{codec};yuv420p;bgr8;bgr8", index, 0, False, payload)
            else:
                message = TYPES.types[kind](Time(100, index), "camera", payload, codec)
            writer.write(connection, 1000 + place, TYPES.serialize_cdr(message, kind))
    return path


@pytest.mark.parametrize("kind", [FFMPEG_PACKET, COMPRESSED_VIDEO])
def test_a_bag_of_video_is_a_drive(kind: str, tmp_path: Path) -> None:
    drive = open_drive(write_bag(tmp_path / "bag", kind, "h264", STREAMS["h264"][3:]))
    frames = list(drive.frames())
    assert [frame.stamp_ns for frame in frames] == [100 * 10**9 + index for index in range(3, 15)]
    assert drive.num_frames == len(frames)
    assert {frame.frame_id for frame in frames} == {"camera"}
    for frame in frames[:2]:
        with pytest.raises(
            FrameError, match="packet of h264 video that is broken, or comes before the first key frame"
        ):
            frame.rgb()
    assert_right({index + 3: frame.rgb() for index, frame in enumerate(frames[2:], 2)}, set(range(5, 15)))
    assert frames[5].as_raw().image.encoding == "rgb8"
    assert frames[5].as_compressed().image.format == "jpeg"


def test_a_drive_of_reordered_video_is_in_the_order_of_time(tmp_path: Path) -> None:
    drive = open_drive(write_bag(tmp_path / "bag", FFMPEG_PACKET, "hevc", REORDERED["hevc"]))
    frames = list(drive.frames())
    assert [frame.stamp_ns - 100 * 10**9 for frame in frames] == list(range(15))
    assert_right({index: frame.rgb() for index, frame in enumerate(frames)}, set(range(15)))


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = open_drive(write_bag(tmp_path / "bag", COMPRESSED_VIDEO, "h264", STREAMS["h264"]))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match="expected PyAV to decode it with; install the extra `video`"):
        next(drive.frames())
