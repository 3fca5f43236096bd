"""Read and write rosbag2 recordings (mcap, db3) through `rosbags`, without ROS.

A `Bag` hands out messages as stored CDR bytes; `deserialize` turns those of standard types into objects. The naming
rules of the topics beside an image topic live here too, because they are a property of recordings: ground truth is
published with the stamp of its image on `<namespace>/ground_truth` (Image, mono8 or mono16, raw mask values) or
`<namespace>/ground_truth/compressed` (CompressedImage, PNG). This module knows nothing of pixels or live topics.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from desert_seg.errors import DataError, OutputError
from desert_seg.files import writing
from desert_seg.recordings.video_messages import VIDEO, VIDEO_TYPES

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE, *VIDEO)
TRANSPORTS = ("compressed", "ffmpeg", "foxglove")
"""Of image_transport: the last name of a topic that carries the images of the topic before it."""

BAG_SUFFIXES = (".mcap", ".db3")

_TYPES = get_typestore(Stores.ROS2_KILTED)
_TYPES.register(VIDEO_TYPES)
_STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


class Topic(NamedTuple):
    """One topic of a bag: `type` is a full name such as `sensor_msgs/msg/Image`."""

    name: str
    type: str
    num_messages: int


class BagMessage(NamedTuple):
    """One stored message: `recorded_ns` is when the bag received it, `cdr` what `publisher.publish` takes as is."""

    topic: str
    type: str
    recorded_ns: int
    cdr: bytes


class Bag(AbstractContextManager["Bag"]):
    """A bag folder, or a bare .mcap or .db3 file, open for reading until `close` or the end of its `with` block."""

    def __init__(self, path: str | Path) -> None:
        """Open a bag.

        Raises:
            DataError: There is no bag at `path`, or it is damaged.
        """
        self.path = Path(path)
        if not is_bag(self.path):
            raise DataError(f"found no bag at {self.path}; give a bag folder or a file ending in .mcap or .db3")
        if self.path.is_dir() and not (self.path / "metadata.yaml").is_file():
            raise DataError(
                f"{self.path}: found no metadata.yaml, so the recording was cut short; "
                "run `ros2 bag reindex` on it or give the file inside it"
            )
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except Exception as error:  # rosbags lets parsing errors of every kind escape from a damaged file
            raise DataError(f"{self.path}: cannot be opened as a bag ({_one_line(error)}); record it again") from error

    def topics(self) -> tuple[Topic, ...]:
        """The topics of the bag in name order, those without a message included."""
        return tuple(Topic(name, info.msgtype or "", info.msgcount) for name, info in self._reader.topics.items())

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Messages of the named topics in the order they were recorded, read as they are asked for.

        Raises:
            DataError: The bag is damaged; the messages before the damage have been yielded.
        """
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        if not connections:  # to rosbags no connection means all of them
            return
        try:
            for connection, recorded_ns, cdr in self._reader.messages(connections):
                yield BagMessage(connection.topic, connection.msgtype, recorded_ns, bytes(cdr))
        except Exception as error:
            raise DataError(f"{self.path}: is damaged ({_one_line(error)}); record it again") from error

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def __exit__(self, *_: object) -> None:
        self.close()


class BagWriter(AbstractContextManager["BagWriter"]):
    """A new bag folder that appears in full when its `with` block ends, or not at all if that raises."""

    def __init__(
        self,
        path: str | Path,
        storage: Literal["mcap", "sqlite3"] = "mcap",
        version: Literal[8, 9] = 9,
        overwrite: bool = False,
    ) -> None:
        """Start a bag.

        Args:
            path: The bag folder to make.
            storage: The file format inside it.
            version: Of the metadata; 9 is read by jazzy and newer, 8 by humble.
            overwrite: Replace a bag that is already there. Anything else that is there is never replaced.

        Raises:
            DataError: `path` exists and may not be replaced.
            OutputError: It cannot be written.
        """
        self.path = Path(path).resolve()
        if self.path.exists() and not overwrite:
            raise DataError(f"{self.path} exists; choose another path, or allow overwriting")
        if self.path.exists() and not (self.path / "metadata.yaml").is_file():
            raise DataError(f"{self.path} exists and is not a bag, so it is not overwritten; choose another path")
        # The files of a bag carry the folder's name, so it is written under that name in a hidden folder beside it.
        self._partial = self.path.parent / f".{self.path.name}.{os.getpid()}.partial"
        self._connections: dict[str, Connection] = {}
        self._writer = Writer(self._partial / self.path.name, version=version, storage_plugin=_STORAGES[storage])
        with _writing(self.path):
            self._writer.open()

    def write(self, topic: str, message_type: str, recorded_ns: int, cdr: bytes | memoryview) -> None:
        """Append one serialised message.

        Raises:
            DataError: The type is not one of the standard ROS 2 types.
            OutputError: The disk does not take it.
        """
        if topic not in self._connections:
            if message_type not in _TYPES.fielddefs:
                raise DataError(f"{topic}: {message_type} is not a standard ROS 2 type; leave the topic out of the bag")
            self._connections[topic] = self._writer.add_connection(topic, message_type, typestore=_TYPES)
        with _writing(self.path):
            self._writer.write(self._connections[topic], recorded_ns, cdr)

    def write_message(self, topic: str, recorded_ns: int, message: Any) -> None:
        """Append one `rosbags` message object of a standard type."""
        self.write(topic, message.__msgtype__, recorded_ns, serialize(message))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _writing(self.path):
                    self._writer.__exit__(kind, error, trace)
                    if self.path.exists():
                        self.path.rename(self._partial / "replaced")
                    (self._partial / self.path.name).rename(self.path)
            else:
                with suppress(Exception):  # what ended the block is told, not what closing after it comes to
                    self._writer.__exit__(kind, error, trace)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the machine and sqlite say of a full disk into an OutputError."""
    try:
        with writing(path):
            yield
    except sqlite3.Error as error:
        raise OutputError(f"{path}: cannot be written ({error}); make room on its disk, or choose another") from error


def is_bag(path: Path) -> bool:
    """True if `path` looks like a bag: a .mcap or .db3 file, or a folder with such a file or a metadata.yaml."""
    if path.is_dir():
        return any(child.name == "metadata.yaml" or child.suffix in BAG_SUFFIXES for child in path.iterdir())
    return path.is_file() and path.suffix in BAG_SUFFIXES


def serialize(message: Any) -> bytes:
    """CDR bytes of a `rosbags` message object of a standard type."""
    return bytes(_TYPES.serialize_cdr(message, message.__msgtype__))


def deserialize(message: BagMessage) -> Any:
    """Turn stored bytes into a `rosbags` message object; its arrays are read-only views of the bytes.

    Raises:
        DataError: The type is not a standard one, or the bytes are not a message of it.
    """
    if message.type not in _TYPES.fielddefs:
        raise DataError(f"{message.topic}: {message.type} is not a standard ROS 2 type; choose another topic")
    try:
        return _TYPES.deserialize_cdr(message.cdr, message.type)
    except Exception as error:
        raise DataError(
            f"{message.topic}: a message is not a valid {message.type} ({_one_line(error)}); record the bag again"
        ) from error


def is_ground_truth(topic: str) -> bool:
    """True for the topics that carry true masks instead of camera images."""
    return topic.removesuffix("/compressed").endswith("/ground_truth")


def sibling_topic(image_topic: str, name: str) -> str:
    """The topic `name` beside an image topic: `/cam/image_raw/compressed`, `camera_info` -> `/cam/camera_info`."""
    base, _, transport = image_topic.rpartition("/")
    namespace, slash, _ = (base if transport in TRANSPORTS else image_topic).rpartition("/")
    return f"{namespace}{slash}{name}"


def find_image_topic(bag: Bag, wanted: str | None = None) -> Topic:
    """The camera images of a bag.

    Args:
        bag: Where to look.
        wanted: The topic to take; without it the bag must hold just one topic of images. Ground truth never counts.

    Raises:
        DataError: There is no such topic, no image topic at all, or a choice to make.
    """
    images = [
        topic
        for topic in bag.topics()
        if topic.type in IMAGE_TYPES and topic.num_messages and not is_ground_truth(topic.name)
    ]
    listed = ", ".join(topic.name for topic in images)
    if not images:
        raise DataError(f"{bag.path}: holds no images; record a topic of type {', '.join(IMAGE_TYPES)}")
    if wanted is None:
        if len(images) > 1:
            raise DataError(f"{bag.path}: holds several image topics; name one of: {listed}")
        return images[0]
    for topic in images:
        if topic.name == wanted:
            return topic
    raise DataError(f"{bag.path}: holds no images on {wanted}; the image topics are: {listed}")


def _one_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
