"""Every kind of recording that people have, each made small: four frames of 64x48, as far as they can be read."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import zstandard
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

ROS2, ROS1 = get_typestore(Stores.ROS2_KILTED), get_typestore(Stores.ROS1_NOETIC)
WIDTH, HEIGHT, NUM_FRAMES = 64, 48, 4
START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 50_000_000
TOPIC = "/cam/image_raw/compressed"


def picture(index: int) -> np.ndarray:
    """HxWx3 uint8, BGR, another one for every index."""
    coarse = np.random.default_rng(index).integers(0, 256, (6, 8, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def header(stamp_ns: int, types=ROS2):
    time = types.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    kind = types.types["std_msgs/msg/Header"]
    return kind(time, "camera") if types is ROS2 else kind(0, time, "camera")


def compressed(index: int, stamp_ns: int, types=ROS2):
    data = cv2.imencode(".jpg", picture(index))[1].reshape(-1)
    return types.types["sensor_msgs/msg/CompressedImage"](header(stamp_ns, types), "jpeg", data)


def raw(array: np.ndarray, encoding: str, stamp_ns: int, types=ROS2):
    height, width = array.shape[:2]
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    kind = types.types["sensor_msgs/msg/Image"]
    return kind(header(stamp_ns, types), height, width, encoding, 0, data.size // height, data)


def odometry(stamp_ns: int):
    kinds = ROS2.types
    zero = kinds["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0)
    turn = kinds["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    pose = kinds["geometry_msgs/msg/Pose"](kinds["geometry_msgs/msg/Point"](0.0, 0.0, 0.0), turn)
    pose = kinds["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36))
    twist = kinds["geometry_msgs/msg/TwistWithCovariance"](kinds["geometry_msgs/msg/Twist"](zero, zero), np.zeros(36))
    return kinds["nav_msgs/msg/Odometry"](header(stamp_ns), "base_link", pose, twist)


def times():
    return [START_NS + index * PERIOD_NS for index in range(NUM_FRAMES)]


def write(path: Path, messages, storage=StoragePlugin.MCAP, compression: CompressionMode | None = None) -> Path:
    """Write (topic, time, message or bytes of a CompressedImage) triples."""
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, time, message in messages:
            kind = "sensor_msgs/msg/CompressedImage" if isinstance(message, bytes) else message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=ROS2)
            data = message if isinstance(message, bytes) else ROS2.serialize_cdr(message, kind)
            writer.write(connections[topic], time, data)
    return path


def camera(topic: str = TOPIC, stamps=None):
    """The frames of one camera, with their own times as stamps unless others are given."""
    return [
        (topic, time, compressed(i, stamp))
        for i, (time, stamp) in enumerate(zip(times(), stamps or times(), strict=True))
    ]


def storage_file(path: Path) -> Path:
    return next(child for child in path.iterdir() if child.name != "metadata.yaml")


def edited(path: Path, *changes: tuple[str, str]) -> Path:
    text = (path / "metadata.yaml").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (path / "metadata.yaml").write_text(text)
    return path


def counted(count: int) -> Callable[[Path], Path]:
    return lambda path: edited(write(path, camera()), (f"message_count: {NUM_FRAMES}", f"message_count: {count}"))


def other_qos(path: Path) -> Path:
    """Durations edited in metadata.yaml alone, as the maintainers of rosbag2 advise for an old defect."""
    qos = "- history: 1\\n  depth: 10\\n  reliability: 1\\n  durability: 2\\n  deadline:\\n    sec: 0\\n    nsec: 0\\n"
    return edited(
        write(path, camera(), StoragePlugin.SQLITE3), ("offered_qos_profiles: []", f'offered_qos_profiles: "{qos}"')
    )


def cut(path: Path) -> Path:
    """An mcap whose recorder lost its power after two and a half frames."""
    file = storage_file(write(path, camera()))
    content = file.read_bytes()
    third = content.index(bytes(compressed(2, 0).data[-200:]))
    file.write_bytes(content[: third + 100])
    (path / "metadata.yaml").unlink()
    return path


def split(path: Path) -> Path:
    """One file of two."""
    name = f"  - {path.name}.mcap\n"
    return edited(write(path, camera()), (name, name + f"  - {path.name}_1.mcap\n"))


def split_in_three(path: Path) -> Path:
    """Without metadata, and without the file in the middle."""
    path.mkdir()
    for index in (0, 2):
        part = write(path / "part", camera()[index : index + 1])
        storage_file(part).rename(path / f"{path.name}_{index}.mcap")
        shutil.rmtree(part)
    return path


def unlisted(path: Path) -> Path:
    """As when rosbag2 ended before it wrote its metadata anew: a second file that is not listed."""
    other = storage_file(write(path.with_name("other"), camera()))
    other.rename(storage_file(write(path, camera())).with_name("second.mcap"))
    shutil.rmtree(path.with_name("other"))
    return path


def killed(*blocked: str) -> Callable[[Path], Path]:
    """A db3 whose recorder was killed, with all in the log beside it; SQLite cannot make the blocked files."""

    def make(path: Path) -> Path:
        file = storage_file(write(path, camera(), StoragePlugin.SQLITE3))
        with closing(sqlite3.connect(file)) as whole, closing(sqlite3.connect(path / "live")) as live:
            live.execute("PRAGMA journal_mode = WAL")
            live.executescript("\n".join(whole.iterdump()))
            shutil.copyfile(path / "live", file)
            shutil.copyfile(path / "live-wal", f"{file}-wal")
        (path / "live").unlink()
        for suffix in blocked:
            Path(f"{file}{suffix}").mkdir()
        return path

    return make


def bare(storage: StoragePlugin, suffix: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        return storage_file(write(path, camera(), storage)).rename(path.with_name(f"{path.name}#1{suffix}"))

    return make


def bare_zstd(path: Path) -> Path:
    file = storage_file(write(path, camera()))
    packed = path.with_name(path.name + ".mcap.zstd")
    packed.write_bytes(zstandard.compress(file.read_bytes()))
    return packed


def rosbag1(path: Path) -> Path:
    with Rosbag1Writer(file := path.with_suffix(".bag")) as writer:
        connection = writer.add_connection(TOPIC, "sensor_msgs/msg/CompressedImage", typestore=ROS1)
        for index, time in enumerate(times()):
            message = compressed(index, time, ROS1)
            writer.write(connection, time, ROS1.serialize_ros1(message, message.__msgtype__))
    return file


def unindexed_rosbag1(path: Path) -> Path:
    """As `rosbag record` leaves it when it is killed: the place of the index is still 0."""
    file = rosbag1(path)
    content = file.read_bytes()
    place = content.index(b"index_pos=") + len(b"index_pos=")
    file.write_bytes(content[:place] + bytes(8) + content[place + 8 :])
    return file


def broken(path: Path) -> Path:
    """Good, cut short, of a hostile length, good."""
    messages = camera()
    data = [bytes(ROS2.serialize_cdr(message, message.__msgtype__)) for _, _, message in messages]
    hostile = data[2].replace(len(messages[2][2].data).to_bytes(4, "little"), b"\xf0\xff\xff\xff", 1)
    assert hostile != data[2]
    written = (data[0], data[1][:20], hostile, data[3])
    return write(path, [(TOPIC, time, each) for time, each in zip(times(), written, strict=True)])


def odometry_truth(path: Path) -> Path:
    return write(path, [*camera(), *(("/cam/ground_truth", time + 1, odometry(time)) for time in times())])


def coloured_truth(path: Path) -> Path:
    """Raw images, beside which somebody published masks as pictures."""
    pictures = [raw(picture(index), "bgr8", time) for index, time in enumerate(times())]
    topics = ("/cam/image_raw", "/cam/ground_truth")
    return write(path, [(topic, time, each) for time, each in zip(times(), pictures, strict=True) for topic in topics])


def depth(topic: str):
    array = np.full((HEIGHT, WIDTH), 2500, np.uint16)
    png = cv2.imencode(".png", array)[1].reshape(-1)
    packed = [
        (
            f"{topic}/compressed",
            t,
            ROS2.types["sensor_msgs/msg/CompressedImage"](header(t), "16UC1; png compressed ", png),
        )
        for t in times()
    ]
    metres = array.astype(np.float32) / 1000
    return (
        [(topic, t, raw(array, "16UC1", t)) for t in times()],
        packed,
        [(topic, t, raw(metres, "32FC1", t)) for t in times()],
    )


def pipe(path: Path) -> Path:
    os.mkfifo(path.with_suffix(".mcap"))
    return path.with_suffix(".mcap")


def pipe_inside(path: Path) -> Path:
    file = storage_file(write(path, camera()))
    file.unlink()
    os.mkfifo(file)
    return path


def two_recordings(path: Path) -> Path:
    for name in ("one", "two"):
        storage_file(write(path / name, camera())).rename(path / f"{name}.mcap")
        (path / name / "metadata.yaml").unlink()
        (path / name).rmdir()
    return path


def filled(content: bytes, suffix: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.with_suffix(suffix).write_bytes(content)
        return path.with_suffix(suffix)

    return make


@dataclass(frozen=True)
class Kind:
    """A kind of recording.

    Attributes:
        make: Makes one at a path, or a file named after it; returns where it is.
        num_good: Frames that can be read.
        bad: Messages of the images that cannot.
        remark: Words of the warning.
        refusal: Words of the sentence that refuses it.
    """

    make: Callable[[Path], Path]
    num_good: int = NUM_FRAMES
    num_bad: int = 0
    remark: str = ""
    refusal: str = ""


KINDS = {
    "mcap": Kind(lambda path: write(path, camera())),
    "db3": Kind(lambda path: write(path, camera(), StoragePlugin.SQLITE3)),
    "raw": Kind(lambda path: write(path, [("/image", t, raw(picture(i), "bgr8", t)) for i, t in enumerate(times())])),
    "bare mcap": Kind(bare(StoragePlugin.MCAP, ".mcap")),
    "bare db3": Kind(bare(StoragePlugin.SQLITE3, ".db3")),
    "zstd files": Kind(lambda path: write(path, camera(), StoragePlugin.SQLITE3, CompressionMode.FILE)),
    "zstd messages": Kind(lambda path: write(path, camera(), StoragePlugin.SQLITE3, CompressionMode.MESSAGE)),
    "zstd chunks": Kind(lambda path: write(path, camera(), StoragePlugin.MCAP, CompressionMode.STORAGE)),
    "bare zstd": Kind(bare_zstd),
    "reindexed": Kind(
        lambda path: edited(write(path, camera()), ("storage_identifier: mcap", "storage_identifier: ''"))
    ),
    "other qos": Kind(other_qos),
    "counts more": Kind(counted(10), remark="counts 10 messages on /cam/image_raw/compressed, the files hold 4"),
    "counts billions": Kind(counted(4_000_000_000), remark="counts 4000000000 messages"),
    "counts less": Kind(counted(1), remark="counts 1 messages"),
    "power loss": Kind(cut, 2, remark="the 2 whole messages before the cut are read"),
    "one file of two": Kind(split, remark="1 of its 2 files are missing"),
    "killed db3": Kind(killed()),
    "ROS 1": Kind(rosbag1),
    "broken messages": Kind(broken, 2, 2),
    "odometry as truth": Kind(odometry_truth),
    "stamps 0": Kind(lambda path: write(path, camera(stamps=[0] * NUM_FRAMES))),
    "a stamp twice": Kind(lambda path: write(path, camera(stamps=[times()[i // 2] for i in range(NUM_FRAMES)]))),
    "depth beside": Kind(lambda path: write(path, [*camera(), *depth("/depth")[0]])),
    "16-bit depth": Kind(lambda path: write(path, depth("/depth")[0]), 0, refusal="only depth on /depth;"),
    "depth as PNG": Kind(lambda path: write(path, depth("/depth")[1]), 0, refusal="only depth on /depth/compressed;"),
    "float depth": Kind(lambda path: write(path, depth("/depth")[2]), 0, refusal="only depth on /depth;"),
    "two cameras": Kind(
        lambda path: write(path, [*camera("/left"), *camera("/right")]), 0, refusal="name one of: /left, /right"
    ),
    "no images": Kind(
        lambda path: write(path, [("/odom", t, odometry(t)) for t in times()]),
        0,
        refusal="no images, but nav_msgs/msg/Odometry;",
    ),
    "two recordings": Kind(two_recordings, 0, refusal="give one of its files: one.mcap, two.mcap"),
    "ROS 1 without index": Kind(unindexed_rosbag1, 0, refusal="run `rosbag reindex"),
    "a pipe": Kind(pipe, 0, refusal="is no regular file"),
    "a pipe inside": Kind(pipe_inside, 0, refusal="is no regular file"),
    "empty": Kind(filled(b"", ".mcap"), 0, refusal="found no bytes, expected an mcap"),
    "Git LFS": Kind(filled(b"version https://git-lfs.github.com/spec/v1\n", ".mcap"), 0, refusal="run `git lfs pull`"),
    "no bag": Kind(filled(b"nothing", ".db3"), 0, refusal="does not begin like"),
    "no zstd": Kind(filled(b"nothing", ".db3.zstd"), 0, refusal="is no zstd file"),
}
