"""Bags: what is written reads back in every format, and what cannot be read is named in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import bag_kinds
import numpy as np
import pytest
from bag_kinds import killed, split_in_three, unlisted
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys.stores.ros2_kilted import builtin_interfaces__msg__Time as Time
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__String as String

from desert_seg.errors import DataError, OutputError
from desert_seg.recordings.bag import Bag, BagMessage, BagWriter, deserialize, serialize
from desert_seg.recordings.image_topic import COMPRESSED_IMAGE, find_image_topic, is_ground_truth, sibling_topic

FORMATS = [("mcap", 8), ("mcap", 9), ("sqlite3", 8), ("sqlite3", 9)]


def image(index: int) -> CompressedImage:
    return CompressedImage(Header(Time(7, index), "camera"), "png", np.arange(index + 5, dtype=np.uint8))


def write_bag(path: Path, *topics: str, storage: str = "mcap", version: int = 9) -> Path:
    """Three images on every topic, and three strings on /chatter."""
    with BagWriter(path, storage, version) as bag:  # type: ignore[arg-type]
        for index in range(3):
            for topic in topics:
                bag.write_message(topic, 100 + index, image(index))
            bag.write("/chatter", "std_msgs/msg/String", 100 + index, serialize(String(f"hello {index}")))
    return path


@pytest.mark.parametrize(("storage", "version"), FORMATS)
def test_messages_read_back_as_written(tmp_path: Path, storage: str, version: int) -> None:
    path = write_bag(tmp_path / "bag", "/camera", storage=storage, version=version)
    with Bag(path) as bag:
        assert bag.topics() == (("/camera", COMPRESSED_IMAGE, 3), ("/chatter", "std_msgs/msg/String", 3))
        messages = list(bag.messages(["/camera"]))
        assert [(topic, kind, stamp) for topic, kind, stamp, *_ in messages] == [
            ("/camera", COMPRESSED_IMAGE, 100 + index) for index in range(3)
        ]
        assert [message.data for message in messages] == [serialize(image(index)) for index in range(3)]
        read = deserialize(messages[2])
        assert (read.header, read.format, read.data.tolist()) == (image(2).header, "png", [0, 1, 2, 3, 4, 5, 6])
        assert [deserialize(message).data for message in bag.messages(["/chatter"])] == [
            f"hello {index}" for index in range(3)
        ]
        assert len(list(bag.messages(["/camera", "/chatter"]))) == 6
        assert list(bag.messages([])) == []


@pytest.mark.parametrize(("storage", "version"), FORMATS)
def test_the_bare_file_of_a_bag_reads_like_the_bag(tmp_path: Path, storage: str, version: int) -> None:
    path = write_bag(tmp_path / "bag", "/camera", storage=storage, version=version)
    (file,) = (file for file in path.iterdir() if file.name != "metadata.yaml")
    assert file.stem == "bag"
    with Bag(path) as folder, Bag(file) as bare:
        assert bare.topics() == folder.topics()
        assert list(bare.messages(["/camera"])) == list(folder.messages(["/camera"]))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_appears_only_when_it_is_whole(tmp_path: Path, storage: str) -> None:
    path = tmp_path / "bag"
    with BagWriter(path, storage) as bag:  # type: ignore[arg-type]
        bag.write_message("/camera", 1, image(0))
        assert not path.exists()
    assert [child.name for child in tmp_path.iterdir()] == ["bag"]
    with pytest.raises(ZeroDivisionError), BagWriter(tmp_path / "other", storage) as bag:  # type: ignore[arg-type]
        bag.write_message("/camera", 1, image(0))
        raise ZeroDivisionError
    assert [child.name for child in tmp_path.iterdir()] == ["bag"]


def test_an_existing_bag_is_replaced_only_on_demand_and_only_by_a_whole_one(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", "/first")
    with pytest.raises(DataError, match="exists; choose another path"):
        BagWriter(path)
    with pytest.raises(ZeroDivisionError), BagWriter(path, overwrite=True):
        raise ZeroDivisionError
    with Bag(path) as bag:
        assert find_image_topic(bag).name == "/first"
    with BagWriter(path, overwrite=True) as writer:
        writer.write_message("/second", 1, image(0))
    with Bag(path) as bag:
        assert find_image_topic(bag).name == "/second"
    assert [child.name for child in tmp_path.iterdir()] == ["bag"]


def test_what_is_not_a_bag_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(DataError, match="is not a bag"):
        BagWriter(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_the_image_topic_is_found_among_others(tmp_path: Path) -> None:
    with Bag(write_bag(tmp_path / "bag", "/cam/image/compressed", "/cam/ground_truth/compressed")) as bag:
        assert find_image_topic(bag) == ("/cam/image/compressed", COMPRESSED_IMAGE, 3)
        with pytest.raises(DataError, match=r"no images on /chatter; the image topics are: /cam/image/compressed$"):
            find_image_topic(bag, "/chatter")


def test_a_choice_of_image_topics_is_listed(tmp_path: Path) -> None:
    with Bag(write_bag(tmp_path / "bag", "/left", "/right")) as bag:
        with pytest.raises(DataError, match="name one of: /left, /right"):
            find_image_topic(bag)
        assert find_image_topic(bag, "/right").name == "/right"


def test_a_bag_without_images_is_named(tmp_path: Path) -> None:
    with Bag(write_bag(tmp_path / "bag")) as bag, pytest.raises(DataError, match="bag: holds no images"):
        find_image_topic(bag)


def test_a_topic_of_which_the_recorder_got_nothing_is_named_with_the_cure(tmp_path: Path) -> None:
    from rosbags.rosbag2 import Writer

    with Writer(tmp_path / "bag", version=9) as writer:
        writer.add_connection("/camera", COMPRESSED_IMAGE, typestore=bag_kinds.ROS2)
    for wanted in (None, "/camera"):
        with Bag(tmp_path / "bag") as bag, pytest.raises(DataError, match=r"no message on /camera, .*quality of"):
            find_image_topic(bag, wanted)


def test_what_is_no_bag_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("of somebody")
    for name in ("missing", "missing.mcap", "notes", "."):
        with pytest.raises(DataError, match="found no bag at"):
            Bag(tmp_path / name)


def test_a_recording_without_metadata_is_read_by_its_files(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", "/camera")
    (path / "metadata.yaml").unlink()
    with Bag(path) as bag:
        assert len(list(bag.messages(["/camera"]))) == 3
        assert [remark for remark in bag.remarks if "metadata.yaml is missing" in remark]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_is_read_up_to_the_cut_and_that_is_said(tmp_path: Path, storage: str, share: float) -> None:
    path = write_bag(tmp_path / "bag", "/camera", storage=storage)
    (file,) = (file for file in path.iterdir() if file.name != "metadata.yaml")
    whole = [serialize(image(index)) for index in range(3)]
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    for damaged in (path, file):
        read: list[bytes] = []
        said = ""
        try:
            with Bag(damaged) as bag:
                said = " ".join(bag.remarks)
                read.extend(message.data for message in bag.messages(["/camera"]))
        except DataError as error:
            said = str(error)
        assert read == whole[: len(read)]
        assert ".mcap: " in said or ".db3: " in said
        assert "record it again" not in said


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_the_messages_of_a_chunk_that_was_cut_are_read_up_to_the_cut(tmp_path: Path, compression: str | None) -> None:
    from mcap.writer import CompressionType, Writer

    kind = {None: CompressionType.NONE, "zstd": CompressionType.ZSTD, "lz4": CompressionType.LZ4}[compression]
    generator = np.random.default_rng(0)
    messages = [generator.integers(0, 250, 150_000, np.uint8).tobytes() for _ in range(6)]
    with (tmp_path / "whole.mcap").open("wb") as file:
        writer = Writer(file, chunk_size=2**30, compression=kind)
        writer.start("ros2")
        channel = writer.register_channel("/image", "cdr", writer.register_schema(COMPRESSED_IMAGE, "ros2msg", b""))
        for index, message in enumerate(messages):
            writer.add_message(channel, index, message, index)
        writer.finish()
    content = (tmp_path / "whole.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(content[: int(0.7 * len(content))])
    with Bag(tmp_path / "cut.mcap") as bag:
        read = [message.data for message in bag.messages(["/image"])]
        assert read == messages[:4] or read == messages[:3]  # a compressed block ends before the cut
        assert f"cut short; the {len(read)} whole messages before the cut are read" in bag.remarks[0]


@pytest.mark.parametrize("place", ["content", "header", "last"])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_a_damaged_chunk_of_a_file_without_index_is_left_out_and_told_after_all_others(
    tmp_path: Path, compression: str | None, place: str
) -> None:
    from mcap.writer import CompressionType, IndexType, Writer

    kind = {None: CompressionType.NONE, "zstd": CompressionType.ZSTD, "lz4": CompressionType.LZ4}[compression]
    messages = [np.random.default_rng(index).integers(0, 250, 20_000, np.uint8).tobytes() for index in range(4)]
    path, begins = tmp_path / "damaged.mcap", []
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=20_000, compression=kind, index_types=IndexType.NONE, use_statistics=False)
        writer.start("ros2")
        channel = writer.register_channel("/image", "cdr", writer.register_schema(COMPRESSED_IMAGE, "ros2msg", b""))
        for index, message in enumerate(messages):
            begins.append(file.tell())
            writer.add_message(channel, index, message, index)
        writer.finish()
    content = bytearray(path.read_bytes())
    chunk, offset, num_bytes = {"content": (1, 10_000, 9), "header": (1, 0, 30), "last": (3, 0, 30)}[place]
    begin = begins[chunk] + offset
    content[begin : begin + num_bytes] = bytes(byte ^ 0x5A for byte in content[begin : begin + num_bytes])
    path.write_bytes(content)
    with Bag(path) as bag:
        assert bag.remarks == ()
        read: list[bytes] = []
        with pytest.raises(DataError, match=f"is damaged in 1 place, the first at byte {begins[chunk]}, .*left out"):
            read.extend(message.data for message in bag.messages(["/image"]))
        # `extend` keeps what came before an error
        assert read == [message for index, message in enumerate(messages) if index != chunk]


@pytest.mark.parametrize(
    ("make", "num_messages", "words"),
    [
        (split_in_three, 2, "its file number 1 is missing; the others are read"),
        (unlisted, 4, "does not list second.mcap, and nothing of that is read; if it belongs"),
        (killed("-shm"), 4, ""),
    ],
    ids=["gap", "not listed", "log where SQLite can make no file"],
)
def test_what_is_not_read_of_a_recording_is_said(
    tmp_path: Path, make: Callable[[Path], Path], num_messages: int, words: str
) -> None:
    with Bag(make(tmp_path / "bag")) as bag:
        assert len(list(bag.messages([topic.name for topic in bag.topics()]))) == num_messages
        assert any(words in remark for remark in bag.remarks) if words else not bag.remarks


def split_as(path: Path, *names: str, order: str | None = None) -> Path:
    """One message in each of the files, one later than the other, and metadata only if that gives an order."""
    path.mkdir()
    for index, name in enumerate(names):
        part = bag_kinds.write(path / "part", bag_kinds.camera()[index : index + 1])
        bag_kinds.storage_file(part).rename(path / name)
        if order:
            lines = "".join(f"  - {each}\n" for each in order.split())
            bag_kinds.edited(part, ("  - part.mcap\n", lines))
            shutil.move(part / "metadata.yaml", path / "metadata.yaml")
        shutil.rmtree(part)
    return path


@pytest.mark.parametrize(
    ("names", "order", "is_told"),
    [
        (("x_0.mcap", "x_1.mcap", "x_2.mcap", "x_10.mcap"), None, False),
        (("0_x_2026_01_31-10_00_00.mcap", "1_x_2026_01_31-10_01_00.mcap"), None, False),
        (("x_2026-01-31-10-00-00_0.mcap", "x_2026-01-31-10-01-00_1.mcap"), None, False),
        (("x.mcap", "x_1.mcap"), None, False),
        (("x_3.mcap", "x_0.mcap", "x_1.mcap", "x_2.mcap"), None, True),
        (("x_0.mcap", "x_1.mcap"), "x_1.mcap x_0.mcap", True),
        (("b.mcap", "a.mcap"), "b.mcap a.mcap", False),
    ],
)
def test_split_files_are_read_in_the_order_of_the_times_in_them(
    tmp_path: Path, names: tuple[str, ...], order: str | None, is_told: bool
) -> None:
    with Bag(split_as(tmp_path / "bag", *names, order=order)) as bag:
        times = [message.recorded_ns for message in bag.messages([bag_kinds.TOPIC])]
        assert times == bag_kinds.times()[: len(names)]
        assert any("in the order of the times in them" in remark for remark in bag.remarks) == is_told


def test_a_last_file_without_messages_is_in_order(tmp_path: Path) -> None:
    path = split_as(tmp_path / "bag", "x_0.mcap", "x_1.mcap")
    bag_kinds.storage_file(bag_kinds.write(tmp_path / "empty", [])).rename(path / "x_2.mcap")
    with Bag(path) as bag:
        assert len(list(bag.messages([bag_kinds.TOPIC]))) == 2
        assert not any("in the order of the times" in remark for remark in bag.remarks)


def test_files_that_overlap_in_time_are_read_together(tmp_path: Path) -> None:
    path, frames = tmp_path / "bag", bag_kinds.camera()
    path.mkdir()
    for index in range(2):
        part = bag_kinds.write(tmp_path / "part", frames[index::2])
        bag_kinds.storage_file(part).rename(path / f"x_{index}.mcap")
        shutil.rmtree(part)
    with Bag(path) as bag:
        assert [message.recorded_ns for message in bag.messages([bag_kinds.TOPIC])] == bag_kinds.times()


@pytest.mark.parametrize(
    "names",
    [
        ("one.mcap", "two.mcap"),
        ("x_2026_01_31-10_00_00.mcap", "x_2026_01_31-10_00_01.mcap"),
        ("x_2026_01_31-10_00_00_0.mcap", "x_2026_02_01-10_00_00_0.mcap"),
        ("0_x_2026_01_31-10_00_00.mcap", "0_x_2026_02_01-10_00_00.mcap"),
    ],
)
def test_recordings_side_by_side_are_not_taken_for_one(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=f"several recordings .* give one of its files: {names[0]}, {names[1]}"):
        Bag(split_as(tmp_path / "bag", *names))


def test_a_gap_is_seen_in_numbers_before_the_name_too(tmp_path: Path) -> None:
    names = ("0_x_2026_01_31-10_00_00.mcap", "2_x_2026_01_31-10_01_00.mcap")
    with Bag(split_as(tmp_path / "bag", *names)) as bag:
        assert any("file number 1 is missing" in remark for remark in bag.remarks)


def test_a_file_and_its_packed_twin_are_read_once(tmp_path: Path) -> None:
    path = split_as(tmp_path / "bag", "x_0.mcap", "x_1.mcap")
    (path / "x_1.mcap.zstd").write_bytes(b"begun by a recorder that was killed")
    with Bag(path) as bag:
        assert len(list(bag.messages([bag_kinds.TOPIC]))) == 2


def test_flipped_bytes_are_a_data_error_or_read_on(tmp_path: Path) -> None:
    whole = write_bag(tmp_path / "bag", "/camera") / "bag.mcap"
    damaged = tmp_path / "damaged.mcap"
    generator = np.random.default_rng(0)
    for _ in range(200):
        shutil.copy(whole, damaged)
        content = bytearray(whole.read_bytes())
        content[generator.integers(len(content))] ^= 0xFF
        damaged.write_bytes(content)
        try:
            with Bag(damaged) as bag:
                for message in bag.messages([topic.name for topic in bag.topics()]):
                    deserialize(message)
        except DataError as error:
            assert "\n" not in str(error)


def test_types_beyond_the_standard_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/topic: robot/msg/Mood is not a standard"):
        deserialize(BagMessage("/topic", "robot/msg/Mood", 0, b""))
    with BagWriter(tmp_path / "bag") as bag, pytest.raises(DataError, match="/topic: robot/msg/Mood"):
        bag.write("/topic", "robot/msg/Mood", 0, b"")
    with pytest.raises(DataError, match=r"/topic: the message recorded at .* is not a whole"):
        deserialize(BagMessage("/topic", COMPRESSED_IMAGE, 0, b"\0\1"))


@given(st.sampled_from(["", "/", "/cam/", "cam/", "/a/b/"]), st.sampled_from(["", "/compressed"]))
def test_siblings_share_the_namespace_of_either_transport(namespace: str, transport: str) -> None:
    assert sibling_topic(f"{namespace}image_raw{transport}", "camera_info") == f"{namespace}camera_info"
    assert is_ground_truth(f"{sibling_topic(f'/{namespace}image{transport}', 'ground_truth')}{transport}")
    assert not is_ground_truth(f"{namespace}image_raw{transport}")


@pytest.mark.parametrize("name", ["x" * 300, "", "\\0", ".."])
def test_a_name_in_the_metadata_that_no_file_can_have_is_one_that_is_not_there(tmp_path: Path, name: str) -> None:
    path = bag_kinds.write(tmp_path / "bag", bag_kinds.camera())
    (tmp_path / "bag.zstd").write_bytes(b"of somebody else")
    bag_kinds.edited(path, ("- bag.mcap", f'- bag.mcap\n  - "{name}"'))
    with Bag(path) as bag:
        assert any("missing" in remark or "not there" in remark for remark in bag.remarks), bag.remarks


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".bag.1.partial" / "bag").mkdir(parents=True)
    for _ in range(2):  # a new bag, and one that takes the place of another
        with BagWriter(tmp_path / "bag", overwrite=True):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        BagWriter(tmp_path / "file" / "bag")
