"""Drives: a bag and a folder of the same frames are the same drive, and what belongs together stays together."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import bag_kinds
import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__RegionOfInterest as RegionOfInterest

from desert_seg.errors import DataError, FrameError
from desert_seg.images import write_image
from desert_seg.recordings.bag import BagWriter
from desert_seg.recordings.drive import Drive, DriveFrame, open_drive

NUM_FRAMES = 12


def write_dataset(root: Path, suffix: str = ".png", num_masks: int = NUM_FRAMES) -> Path:
    generator = np.random.default_rng(0)
    for index in range(NUM_FRAMES):
        write_image(root / "Color_Images" / f"{index:03}{suffix}", generator.integers(0, 256, (6, 8, 3), np.uint8))
    for index in range(num_masks):
        write_image(root / "Segmentation" / f"{index:03}.png", generator.integers(0, 65536, (6, 8), np.uint16))
    return root


def camera_info(frame: DriveFrame) -> CameraInfo:
    zeros = np.zeros(9)
    region = RegionOfInterest(0, 0, 0, 0, False)
    return CameraInfo(frame.image.header, 6, 8, "plumb_bob", np.zeros(5), zeros, zeros, np.zeros(12), 0, 0, region)


def write_bag(path: Path, drive: Drive, truth_delay: int = 0, info_every: int = 1) -> Path:
    """The frames of a drive; true masks come `truth_delay` frames late, camera_info with some frames only."""
    frames = list(drive.frames())
    with BagWriter(path) as bag:
        for index in range(len(frames) + truth_delay):
            recorded_ns = 1000 + index
            if index < len(frames):
                bag.write_message("/camera/image_raw/compressed", recorded_ns, frames[index].image)
                if index % info_every == 0:
                    bag.write_message("/camera/camera_info", recorded_ns, camera_info(frames[index]))
            if index >= truth_delay:
                bag.write_message("/camera/ground_truth/compressed", recorded_ns, frames[index - truth_delay].truth)
    return path


def assert_same_pixels(some: Sequence[DriveFrame], others: Sequence[DriveFrame]) -> None:
    for one, other in zip(some, others, strict=True):
        assert (one.stamp_ns, one.frame_id) == (other.stamp_ns, other.frame_id)
        np.testing.assert_array_equal(one.rgb(), other.rgb())
        np.testing.assert_array_equal(truth_of(one), truth_of(other))


def truth_of(frame: DriveFrame) -> Any:
    truth = frame.ground_truth()
    assert truth is not None
    assert truth.dtype == np.uint16
    return truth


@pytest.mark.parametrize("truth_delay", [0, 1, 4])
def test_a_bag_of_a_folder_is_the_same_drive(tmp_path: Path, truth_delay: int) -> None:
    folder = open_drive(write_dataset(tmp_path / "data"))
    bag = open_drive(write_bag(tmp_path / "bag", folder, truth_delay))
    assert folder.num_frames == bag.num_frames == NUM_FRAMES
    frames = list(bag.frames())
    assert_same_pixels(list(folder.frames()), frames)
    assert all(frame.camera_info.header == frame.image.header for frame in frames if frame.camera_info)
    assert [frame.recorded_ns for frame in frames] == list(range(1000, 1000 + NUM_FRAMES))


def test_a_drive_can_be_walked_through_again_and_twice_at_once(tmp_path: Path) -> None:
    bag = open_drive(write_bag(tmp_path / "bag", open_drive(write_dataset(tmp_path / "data"))))
    assert_same_pixels(list(bag.frames()), list(bag.frames()))
    pairs = list(zip(bag.frames(), bag.frames(), strict=True))
    assert_same_pixels([one for one, _ in pairs], [other for _, other in pairs])


def test_a_frame_without_camera_info_has_the_latest_one(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", open_drive(write_dataset(tmp_path / "data")), info_every=5)
    frames = list(open_drive(bag).frames())
    stamps = [frame.stamp_ns for frame in frames]
    expected = [stamps[index // 5 * 5] for index in range(NUM_FRAMES)]
    found = [frame.camera_info and frame.camera_info.header.stamp for frame in frames]
    assert [stamp and stamp.sec * 10**9 + stamp.nanosec for stamp in found] == expected


def test_a_folder_runs_at_the_given_rate_from_a_fixed_time(tmp_path: Path) -> None:
    data = write_dataset(tmp_path)
    first, second = (list(open_drive(data, hz=hz).frames()) for hz in (10, 4))
    assert {b.stamp_ns - a.stamp_ns for a, b in pairwise(first)} == {100_000_000}
    assert {b.stamp_ns - a.stamp_ns for a, b in pairwise(second)} == {250_000_000}
    assert first[0].stamp_ns == second[0].stamp_ns > 0


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_every_kind_of_image_file_is_a_frame(tmp_path: Path, suffix: str) -> None:
    data = write_dataset(tmp_path, suffix, num_masks=2)
    frames = list(open_drive(data).frames())
    assert [frame.rgb().shape for frame in frames] == [(6, 8, 3)] * NUM_FRAMES
    assert [frame.truth is not None for frame in frames] == [True] * 2 + [False] * 10
    plain = list(open_drive(data / "Color_Images").frames())
    assert all(frame.ground_truth() is None for frame in plain)
    np.testing.assert_array_equal(plain[0].rgb(), frames[0].rgb())


def test_a_limit_keeps_the_first_frames(tmp_path: Path) -> None:
    data = write_dataset(tmp_path)
    assert_same_pixels(list(open_drive(data, limit=3).frames()), list(open_drive(data).frames())[:3])
    assert open_drive(data, limit=3).num_frames == 3
    assert open_drive(data, limit=99).num_frames == NUM_FRAMES


def test_a_frame_keeps_its_values_in_either_transport(tmp_path: Path) -> None:
    frame = next(open_drive(write_dataset(tmp_path)).frames())
    raw = frame.as_raw()
    assert (raw.image.__msgtype__, raw.image.header) == ("sensor_msgs/msg/Image", frame.image.header)
    assert_same_pixels([raw], [frame])
    again = raw.as_compressed()
    assert again.image.__msgtype__ == "sensor_msgs/msg/CompressedImage"
    np.testing.assert_array_equal(truth_of(again), truth_of(frame))
    assert np.abs(again.rgb().mean(axis=(0, 1)) - frame.rgb().mean(axis=(0, 1))).max() < 3  # JPEG is lossy


def test_a_new_stamp_reaches_every_message_and_leaves_the_old_frame_alone(tmp_path: Path) -> None:
    drive = open_drive(write_bag(tmp_path / "bag", open_drive(write_dataset(tmp_path / "data"))))
    frame = next(drive.frames())
    old = frame.stamp_ns
    new = frame.with_stamp(5_000_000_007)
    assert new.stamp_ns == 5_000_000_007
    for message in (new.image, new.camera_info, new.truth):
        assert message is not None
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
        assert message.header.frame_id == frame.frame_id
    assert_same_pixels([frame], [new.with_stamp(old)])


def test_broken_pixels_are_found_when_they_are_decoded(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (frame,) = open_drive(tmp_path).frames()
    with pytest.raises(FrameError):
        frame.rgb()


def test_a_bag_of_images_that_are_nearly_black_for_want_of_scaling_is_remarked_on(tmp_path: Path) -> None:
    for num_bits, is_told in ((12, True), (16, False)):
        samples = np.random.default_rng(0).integers(0, 2**num_bits, (48, 64), np.uint16)
        messages = [("/image", time, bag_kinds.raw(samples, "mono16", time)) for time in bag_kinds.times()]
        drive = open_drive(bag_kinds.write(tmp_path / str(num_bits), messages))
        assert ("images of mono16 are nearly black" in drive.darkness) == is_told


def test_a_command_that_looks_at_the_levels_of_all_frames_says_once_that_they_are_dark(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dark = np.full((48, 64), 4000, np.uint16)
    messages = [("/image", time, bag_kinds.raw(dark, "mono16", time)) for time in bag_kinds.times()]
    drive = open_drive(bag_kinds.write(tmp_path / "bag", messages))
    drive.warn(darkness=False)
    assert not caplog.records
    drive.warn()
    assert "nearly black" in caplog.text


def test_images_of_two_types_under_one_name_are_not_mixed_and_that_is_said(tmp_path: Path) -> None:
    frames = [(time, bag_kinds.picture(index)) for index, time in enumerate(bag_kinds.times())]
    with Writer(tmp_path / "bag", version=9) as writer:
        kinds = (bag_kinds.raw(frames[0][1], "bgr8", 0), bag_kinds.compressed(0, 0), bag_kinds.odometry(0))
        types = [kind.__msgtype__ for kind in kinds]
        topics = [writer.add_connection("/image", kind, typestore=bag_kinds.ROS2) for kind in types]
        for index, (time, picture) in enumerate(frames):
            messages = (
                bag_kinds.odometry(time),
                bag_kinds.raw(picture, "bgr8", time),
                bag_kinds.compressed(index, time),
            )
            for message in messages[: 2 if index else 3]:
                topic = topics[types.index(message.__msgtype__)]
                writer.write(topic, time, bag_kinds.ROS2.serialize_cdr(message, message.__msgtype__))
    drive = open_drive(tmp_path / "bag")
    assert [hasattr(frame.image, "format") for frame in drive.frames()] == [False] * drive.num_frames == [False] * 4
    (remark,) = drive.remarks
    assert "4 of nav_msgs/msg/Odometry, 1 of sensor_msgs/msg/CompressedImage, which are not read" in remark


def test_the_labels_of_a_simulator_beside_the_images_are_no_topic_to_choose(tmp_path: Path) -> None:
    labels = [("/labels", time, bag_kinds.raw(np.zeros((4, 4), np.int32), "32SC1", time)) for time in bag_kinds.times()]
    bag = bag_kinds.write(tmp_path / "both", [*bag_kinds.camera("/image"), *labels])
    assert {hasattr(frame.image, "format") for frame in open_drive(bag).frames()} == {True}
    for drive in (open_drive(bag, "/labels"), open_drive(bag_kinds.write(tmp_path / "alone", labels))):
        with pytest.raises(FrameError, match="found encoding '32SC1', expected one of"):
            next(drive.frames()).rgb()


def test_a_file_that_is_listed_twice_is_read_once(tmp_path: Path) -> None:
    bag = bag_kinds.write(tmp_path / "bag", bag_kinds.camera())
    drive = open_drive(bag_kinds.edited(bag, ("- bag.mcap\n", "- bag.mcap\n  - bag.mcap\n")))
    assert len(list(drive.frames())) == drive.num_frames == bag_kinds.NUM_FRAMES
    assert not drive.remarks


def test_messages_that_were_not_written_in_the_order_of_time_are_read_without_an_index(tmp_path: Path) -> None:
    with (tmp_path / "fast.mcap").open("wb") as file:  # as of the recorder's profile fastwrite
        writer = McapWriter(file, use_chunking=False)
        writer.start("ros2")
        schema = writer.register_schema("sensor_msgs/msg/CompressedImage", "ros2msg", b"")
        channel = writer.register_channel("/image", "cdr", schema)
        order = [bag_kinds.times()[index] for index in (1, 0, 3, 2)]
        for time in order:
            message = bag_kinds.compressed(0, time)
            writer.add_message(channel, time, bytes(bag_kinds.ROS2.serialize_cdr(message, message.__msgtype__)), time)
        writer.finish()
    assert [frame.stamp_ns for frame in open_drive(tmp_path / "fast.mcap").frames()] == order


def test_the_years_that_a_clock_jumps_are_not_waited_for_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hour, year = 3600 * 10**9, 365 * 24 * 3600 * 10**9
    recorded = [10**9, 10**9 + hour, 50 * year, 50 * year + hour]
    bag = bag_kinds.write(tmp_path / "bag", [("/image", time, bag_kinds.compressed(0, time)) for time in recorded])
    drive = open_drive(bag)
    for _ in range(2):
        frames = list(drive.frames())
        assert [frame.recorded_ns for frame in frames] == [10**9, 10**9 + hour, 10**9 + hour, 10**9 + 2 * hour]
        assert [frame.stamp_ns for frame in frames] == recorded
    (record,) = caplog.records
    assert "the recorder's clock jumps by 18250 days" in record.getMessage()


def test_a_bag_of_images_that_are_all_damaged_is_said_to_be_that(tmp_path: Path) -> None:
    bag = bag_kinds.write(tmp_path / "bag", bag_kinds.camera(), StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(bag_kinds.storage_file(bag))) as database:
        database.execute("DROP TABLE messages")
    with pytest.raises(DataError, match=r"is damaged \(no such table: messages\)"):
        open_drive(bag)


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("https://example.org/drive.mcap", "download it"),
        ("file:///data/drive.mcap", "give the path without file://"),
        ("~/drive", "write ~ and variables out"),
        ("$HOME/drive", "write ~ and variables out"),
        ("drive" * 60, "give a bag"),
    ],
)
def test_a_path_at_which_nothing_is_shows_the_cure(path: str, cure: str) -> None:
    with pytest.raises(DataError, match=f"^there is no .*; {cure}"):
        open_drive(path)


def test_what_is_no_drive_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("of somebody")
    (tmp_path / "empty").mkdir()
    for path, words in (("missing", "there is no"), ("notes", "found no bag"), ("empty", "found no image")):
        with pytest.raises(DataError, match=words):
            open_drive(tmp_path / path)
    for bad in ({"hz": 0}, {"hz": float("nan")}, {"limit": 0}):
        with pytest.raises(DataError, match="expected a positive"):
            open_drive(tmp_path, **bad)


@pytest.mark.parametrize(
    ("name", "content", "found", "cure"),
    [
        ("drive.mp4", b"\0\0\0\x20ftypisom" + bytes(20), "a video", "make images of it"),
        ("drive.zip", b"PK\3\4" + bytes(30), "a zip archive", "unpack it"),
        ("drive.tar.gz", b"\x1f\x8b\x08" + bytes(30), "a gzip archive", "unpack it"),
        ("drive.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(30), "a zstd archive", "unpack it"),
        ("drive.tar", bytes(257) + b"ustar" + bytes(250), "a tar archive", "unpack it"),
        ("lidar.pcap", b"\xd4\xc3\xb2\xa1" + bytes(30), "a capture of network packets", "with the driver"),
        ("zed.svo2", b"SVO" + bytes(30), "a recording of ZED's SDK", "svo_path:=FILE"),
        ("poses.csv", b"x,y\n1,2\n", "a table without images", "give the recording"),
        ("x.mcap.crdownload", b"\x89MCAP0\r\n" + bytes(30), "a file whose download or copy has not ended", "wait for"),
        (
            "x.db",
            b"SQLite format 3\0" + bytes(30),
            "a recording that is not named like one",
            "rename it to end in .db3",
        ),
        ("a.png", b"\x89PNG", "a single image", "give the folder it is in"),
        ("metadata.yaml", b"rosbag2_bagfile_information:\n", "the description of a bag", "give the folder it is in"),
    ],
)
def test_a_file_of_another_kind_is_named_with_its_cure(
    tmp_path: Path, name: str, content: bytes, found: str, cure: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: found {found}, expected a bag or a folder of images; .*{cure}"):
        open_drive(tmp_path / name)


def test_a_folder_without_images_says_which_bags_or_videos_it_holds(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.csv").write_text("time\n")
    (tmp_path / "videos" / "b.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(20))
    with pytest.raises(DataError, match=r"found no image, but b\.mp4, a video; make images of it .* -i .*/b\.mp4 -q"):
        open_drive(tmp_path / "videos")
    write_bag(tmp_path / "days" / "monday" / "bag", open_drive(write_dataset(tmp_path / "set")))
    with pytest.raises(DataError, match="days: found no image, but the bags monday/bag; give one of them"):
        open_drive(tmp_path / "days")


def test_masks_are_paired_with_images_as_in_a_training(tmp_path: Path) -> None:
    for index in range(3):
        write_image(tmp_path / "images" / f"{index}_rgb.png", np.full((6, 8, 3), index, np.uint8))
        write_image(tmp_path / "labels" / f"{index + 1}_mask.png", np.full((6, 8), index + 1, np.uint8))
    drive = open_drive(tmp_path)
    truths = [frame.ground_truth() for frame in drive.frames()]
    assert truths[0] is None
    assert [int(truth[0, 0]) for truth in truths[1:] if truth is not None] == [1, 2]
    assert "1 of 3 images have no mask in labels/ (first: 0_rgb.png); these frames have no true" in drive.remarks[0]
    assert "1 of 3 masks have no image in images/ (first: 3_mask.png)" in drive.remarks[1]


def test_one_mask_is_never_the_truth_of_two_images(tmp_path: Path) -> None:
    root = write_dataset(tmp_path)
    write_image(root / "Color_Images" / "000.bmp", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"000\.bmp, Color_Images/000\.png, Segmentation/000\.png are named alike"):
        open_drive(root)


def test_files_of_a_folder_that_are_no_frames_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    root, images = write_dataset(tmp_path), tmp_path / "Color_Images"
    (images / "001.png").unlink()
    os.mkfifo(images / "001.png")
    (images / "002.png").write_bytes(b"")
    turned = Image.new("RGB", (8, 6))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(images / "003.png", exif=exif)
    bad: list[str] = []
    assert len(list(open_drive(root).frames(lambda error: bad.append(str(error))))) == NUM_FRAMES - 3
    for told, words in zip(bad, ("is no regular file", "found no bytes", "found EXIF orientation 6"), strict=True):
        assert words in told
