"""Read rosbag2 and ROS 1 recordings, and write rosbag2 ones, without ROS.

A `Bag` hands out messages as stored bytes; `deserialize` turns those of standard types into objects. This module knows
nothing of pixels, of live topics, or of which topics hold images; see `image_topic`.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import zstandard
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from desert_seg.errors import DataError, OutputError
from desert_seg.files import writing
from desert_seg.folder import new_folder
from desert_seg.image_folder import folders_with_images, is_image_name
from desert_seg.recordings.files import RecordingFiles, find_files, is_recording
from desert_seg.recordings.foreign import WRITING, foreign_kind
from desert_seg.recordings.storage import BagMessage, Storage, Topic, open_storage
from desert_seg.recordings.video_messages import VIDEO_TYPES

__all__ = ["Bag", "BagMessage", "BagWriter", "Topic"]

_TYPES = get_typestore(Stores.ROS2_KILTED)
_TYPES.register(VIDEO_TYPES)
_STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_ENCODINGS = ("cdr", "ros1", "")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MANY = 6
_DEEPEST = 3
_MAX_MESSAGE_BYTES = 2**30


class Bag(AbstractContextManager["Bag"]):
    """A recording, open for reading until `close` or the end of its `with` block.

    Attributes:
        path: Where it is.
        remarks: Sentences on faults in spite of which it is read.
    """

    def __init__(self, recording: str | Path | RecordingFiles) -> None:
        """Open a recording, by its path or by what `find_files` found there.

        Raises:
            DataError: There is no recording, or nothing of it can be read.
        """
        files = recording if isinstance(recording, RecordingFiles) else find_files(Path(recording))
        self.path = files.path
        self._files = files  # keeps the unpacked files alive
        self._storages: list[Storage] = []
        self._damage: list[DataError] = []
        for file in files.files:
            try:
                self._storages.append(open_storage(file))
            except DataError as error:
                self._damage.append(error)
        if not self._storages:
            raise self._damage[0]
        in_order = _in_time_order(self._storages)
        remarks = [] if in_order == self._storages else [_disorder(self.path)]
        self._storages = in_order
        remarks += [each.remark for each in self._storages if each.remark]
        self.remarks = (*files.remarks, *remarks, *self._miscounts())

    def topics(self) -> tuple[Topic, ...]:
        """The topics of the bag in name order, including empty ones; their counts are what the files claim."""
        counts: Counter[tuple[str, str]] = Counter()
        for storage in self._storages:
            for name, kind, count in storage.topics:
                counts[name, kind] += count
        return tuple(Topic(name, kind, count) for (name, kind), count in sorted(counts.items()))

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Messages of the named topics in the order they were recorded, read lazily.

        Raises:
            DataError: A part of the bag is damaged; all that can be read has been yielded.
        """
        damage = list(self._damage)

        def timed(storage: Storage) -> Iterator[tuple[int, BagMessage | None]]:
            yield storage.begin_ns or 0, None  # so that a file is read from when its first message is due, not before
            try:
                for message in storage.messages(topics):
                    yield message.recorded_ns, message
            except DataError as error:
                damage.append(error)

        for _, message in heapq.merge(*map(timed, self._storages), key=itemgetter(0)):
            if message is not None:
                yield message
        if damage:
            raise damage[0]

    def _miscounts(self) -> list[str]:
        """A sentence for every topic whose count in metadata.yaml differs from the files'."""
        held: Counter[str] = Counter()
        for topic in self.topics():
            held[topic.name] += topic.num_messages
        return [
            f"{self.path}: metadata.yaml counts {count} messages on {name}, the files hold {held[name]}, which count"
            for name, count in self._files.declared.items()
            if not self._damage and count != held[name]
        ]

    def close(self) -> None:
        """Close the files."""
        for storage in self._storages:
            storage.close()

    def __exit__(self, *_: object) -> None:
        self.close()


class BagWriter(AbstractContextManager["BagWriter"]):
    """A new bag folder, which appears complete when its `with` block ends, or not at all if that raises."""

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
            version: Version of the metadata: 9 is read by jazzy and newer, 8 by humble.
            overwrite: Replace an existing bag; anything else is never replaced.

        Raises:
            DataError: `path` exists and may not be replaced.
            OutputError: It cannot be written.
        """
        self.path = Path(path).resolve()
        if self.path.exists() and not overwrite:
            raise DataError(f"{self.path} exists; choose another path, or allow overwriting")
        if self.path.exists() and not (self.path / "metadata.yaml").is_file():
            raise DataError(f"{self.path} exists and is not a bag, so it is not overwritten; choose another path")
        self._connections: dict[str, Connection] = {}
        with _writing(self.path), ExitStack() as stack:
            new = stack.enter_context(new_folder(self.path))  # under its own name, which the files in it carry
            self._writer = Writer(new, version=version, storage_plugin=_STORAGES[storage])
            self._writer.open()
            stack.push(self._close)
            self._stack = stack.pop_all()

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
        with _writing(self.path):
            self._stack.__exit__(kind, error, trace)

    def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What ended the block is told, not what closing after it comes to.
        with suppress(*([] if kind is None else [Exception])):
            self._writer.__exit__(kind, error, trace)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the machine and sqlite say of a full disk into an OutputError."""
    try:
        with writing(path):
            yield
    except sqlite3.Error as error:
        raise OutputError(f"{path}: cannot be written ({error}); make room on its disk, or choose another") from error


def _in_time_order(storages: list[Storage]) -> list[Storage]:
    """Files by when they begin; one without messages stays behind the file before it."""
    begins, last_ns = [], 0
    for storage in storages:
        last_ns = last_ns if storage.begin_ns is None else storage.begin_ns
        begins.append(last_ns)
    return [storages[index] for index in sorted(range(len(storages)), key=begins.__getitem__)]


def _disorder(path: Path) -> str:
    return (
        f"{path}: its files are listed or named in another order than they were recorded in; they are read in the "
        "order of the times in them"
    )


def is_bag(path: Path) -> bool:
    """True if `path` looks like a bag: named like a file of one, or a folder that holds one."""
    return is_recording(path)


def refuse_folder_of_bags(folder: Path) -> None:
    """Raise DataError for a folder that holds no frames itself, but bags, or other recordings that are not read."""
    children: list[Path] = []
    with suppress(OSError):  # an unreadable folder is reported when its images are listed
        children = sorted(folder.iterdir())
    if any(map(is_image_name, children)):
        return
    if bags := _bags_below(folder):
        raise DataError(f"{folder}: found no image, but the bags {', '.join(bags)}; give one of them")
    if folders_with_images(folder, 1):
        return
    for child in children:
        with suppress(OSError):
            if not child.name.startswith(".") and (other := foreign_kind(child)) and other not in WRITING:
                raise DataError(f"{folder}: found no image, but {child.name}, {other.name}; {other.cure}")


def _bags_below(folder: Path) -> list[str]:
    """The first bags at most three folders down, as paths below the folder; links are not followed."""
    found: list[str] = []
    for place, inner, _ in os.walk(folder):
        below = Path(place).relative_to(folder)
        if place != str(folder) and is_bag(Path(place)):
            found.append(str(below))
            inner.clear()
        inner[:] = [] if len(below.parts) == _DEEPEST else sorted(name for name in inner if not name.startswith("."))
        if len(found) == _MANY:
            return [*found, "…"]
    return found


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
    if message.encoding not in _ENCODINGS:
        raise DataError(
            f"{message.topic}: its messages are encoded as {message.encoding}, expected ROS's cdr; record the topic "
            "with `ros2 bag record`, or convert the file"
        )
    try:
        is_ros1 = message.encoding == "ros1"
        cdr = _TYPES.ros1_to_cdr(message.data, message.type) if is_ros1 else _unpacked(message.data)
        return _TYPES.deserialize_cdr(cdr, message.type)
    except Exception as error:
        raise DataError(
            f"{message.topic}: the message recorded at {message.recorded_ns / 1e9:.3f} s is not a whole {message.type} "
            f"({_one_line(error)}); look at the recorder's disk and network if there are many"
        ) from error


def _unpacked(data: bytes) -> bytes:
    """The message, decompressed if rosbag2 compressed it singly; no CDR message begins like zstd."""
    if not data.startswith(_ZSTD_MAGIC):
        return data
    with zstandard.ZstdDecompressor().stream_reader(BytesIO(data)) as reader:
        return bytes(reader.read(_MAX_MESSAGE_BYTES))


def _one_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
