"""One storage file of a recording, open: its topics, and its messages in the order they were recorded.

The format of a file is recognised by its first bytes. A file is read as far as possible; if it is damaged, the error
names the tool that may recover it. Knows nothing of folders, metadata or what messages mean.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from rosbags.rosbag1 import Reader as Rosbag1Reader
from rosbags.rosbag2 import Reader as Rosbag2Reader

from desert_seg.errors import DataError
from desert_seg.file_kind import other_kind
from desert_seg.recordings.cut_mcap import MAGIC as MCAP_MAGIC
from desert_seg.recordings.cut_mcap import CutMcap, full_name

SQLITE_MAGIC = b"SQLite format 3\0"
ROSBAG1_MAGIC = b"#ROSBAG V"

_NO_TIME = 2**63 - 1
"""What `rosbags` says is the begin of a file without messages."""

_LOOK = "SELECT count(*) FROM sqlite_master"
"""Fails if a database cannot be read at all."""


class Topic(NamedTuple):
    """One topic: `type` is a full name such as `sensor_msgs/msg/Image`; `num_messages` is what the file claims."""

    name: str
    type: str
    num_messages: int


class BagMessage(NamedTuple):
    """One stored message: `recorded_ns` is when it was received, `encoding` is `cdr`, or `ros1` for ROS 1."""

    topic: str
    type: str
    recorded_ns: int
    data: bytes
    encoding: str = "cdr"


class Storage(Protocol):
    """An open file.

    Attributes:
        topics: What it holds.
        begin_ns: When its first message was recorded; None if it has none.
        remark: A sentence on its faults, or empty.
    """

    topics: list[Topic]
    begin_ns: int | None
    remark: str

    def messages(self, names: Collection[str]) -> Iterator[BagMessage]:
        """Messages of the named topics; raises DataError where the file is damaged, after yielding all before."""

    def close(self) -> None:
        """Close the file."""


def open_storage(path: Path) -> Storage:
    """Open a regular file.

    Raises:
        DataError: It is not a recording, or nothing in it can be read.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(24)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    try:
        if magic.startswith(MCAP_MAGIC):
            return _open_mcap(path)
        if magic.startswith(SQLITE_MAGIC):
            return _Sqlite(path)
        if magic.startswith(ROSBAG1_MAGIC):
            return _RosbagsFile(path, Rosbag1Reader(path), "ros1")
    except DataError:
        raise
    except Exception as error:  # on a damaged file the libraries raise errors of any type
        raise _damage(path, error) from error
    if other := other_kind(magic):
        raise DataError(f"{path}: found {other.name}, expected an mcap, db3 or ROS 1 recording; {other.cure}")
    raise DataError(
        f"{path}: cannot be opened as a bag, for it does not begin like an mcap, db3 or ROS 1 recording; copy the file "
        "again from where it was recorded"
    )


class _RosbagsFile:
    """An mcap file with its index or a ROS 1 bag, through `rosbags`; type names are those of ROS 2."""

    remark = ""

    def __init__(self, path: Path, reader: Any, encoding: str) -> None:
        self._path, self._reader, self._encoding = path, reader, encoding
        self._reader.open()
        self.topics = [Topic(each.topic, full_name(each.msgtype), each.msgcount) for each in self._reader.connections]
        begin_ns = (self._reader if encoding == "ros1" else self._reader.metadata).start_time
        self.begin_ns = None if begin_ns == _NO_TIME else begin_ns

    def messages(self, names: Collection[str]) -> Iterator[BagMessage]:
        wanted = [each for each in self._reader.connections if each.topic in names]
        if not wanted:
            return
        is_mcap = self._encoding != "ros1"
        # Without an index there is only the order of writing, of which `messages` refuses all but that of the times.
        read = self._reader.messages_scan if is_mcap and not self._reader.chunks else self._reader.messages
        try:
            for connection, recorded_ns, data in read(wanted):
                encoding = connection.ext.serialization_format if is_mcap else self._encoding
                yield BagMessage(connection.topic, full_name(connection.msgtype), recorded_ns, bytes(data), encoding)
        except Exception as error:
            raise _damage(self._path, error) from error

    def close(self) -> None:
        self._reader.close()


class _McapWithoutIndex:
    """An mcap file from front to back."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, CutMcap(path)
        self.begin_ns = next((message.recorded_ns for message in self._file.messages()), None)
        self.topics = [Topic(name, kind, count) for (name, kind), count in self._file.topics().items()]
        whole = sum(topic.num_messages for topic in self.topics)
        self.remark = (
            ""
            if self._file.is_whole
            else f"{path}: was cut short; the {whole} whole messages before the cut are read, and `mcap recover` makes "
            "a file of them"
        )

    def messages(self, names: Collection[str]) -> Iterator[BagMessage]:
        for topic, kind, encoding, recorded_ns, data in self._file.messages():
            if topic in names:
                yield BagMessage(topic, kind, recorded_ns, data, encoding)
        if damage := self._file.damage:
            places = "1 place" if len(damage) == 1 else f"{len(damage)} places"
            raise DataError(
                f"{self._path}: is damaged in {places}, the first at byte {damage[0]}, and what was recorded there is "
                "left out; copy the file again from where it was recorded"
            )

    def close(self) -> None:
        pass


class _Sqlite:
    """A db3 file; every version of rosbag2 writes these two tables with these columns."""

    remark = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = _connect(path)
        try:
            self._database.execute("PRAGMA writable_schema = ON")  # otherwise a truncated file is not read at all
            rows = self._database.execute("SELECT id, name, type FROM topics ORDER BY id").fetchall()
            counts = dict.fromkeys((key for key, _, _ in rows), 0)
            self.begin_ns: int | None = None
            with suppress(sqlite3.DatabaseError):  # in a damaged file, messages are counted when read
                counts |= self._database.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id").fetchall()
                self.begin_ns = self._database.execute("SELECT min(timestamp) FROM messages").fetchone()[0]
        except BaseException:
            self._database.close()
            raise
        self.topics = [Topic(str(name), full_name(str(kind)), counts[key]) for key, name, kind in rows]

    def messages(self, names: Collection[str]) -> Iterator[BagMessage]:
        yield from self._rows(names)
        if _ends_early(self._path):  # SQLite reads missing bytes as zeros, perhaps within a message
            raise _damage(self._path, EOFError("it was cut short, and the last messages may be incomplete"))

    def _rows(self, names: Collection[str]) -> Iterator[BagMessage]:
        wanted = ", ".join("?" for _ in names)
        query = (
            "SELECT topics.name, topics.type, messages.timestamp, messages.data FROM messages "
            f"JOIN topics ON topics.id = messages.topic_id WHERE topics.name IN ({wanted}) ORDER BY "
        )
        last = None
        try:
            for last in self._database.execute(f"{query} messages.timestamp", tuple(names)):
                yield _row_message(*last)
            return
        except sqlite3.DatabaseError as error:
            if last is not None:
                raise _damage(self._path, error) from error
        try:  # the time index is at the end of the file; without it, in the order of writing
            for row in self._database.execute(f"{query} messages.id", tuple(names)):
                yield _row_message(*row)
        except sqlite3.DatabaseError as error:
            raise _damage(self._path, error) from error

    def close(self) -> None:
        self._database.close()


def _row_message(topic: str, kind: str, recorded_ns: int, data: bytes) -> BagMessage:
    return BagMessage(topic, full_name(kind), recorded_ns, data)


def _open_mcap(path: Path) -> Storage:
    try:
        return _RosbagsFile(path, Rosbag2Reader.STORAGE_PLUGINS[".mcap"](path), "cdr")
    except Exception:  # truncated, or not as `rosbags` expects it
        storage = _McapWithoutIndex(path)
    if not storage.topics:
        raise DataError(
            f"{path}: cannot be opened as a bag, for it was cut short before the first message; copy the file again "
            "from its source"
        )
    return storage


def _connect(path: Path) -> sqlite3.Connection:
    """Open a db3 file with its newest messages, which are in a write-ahead log beside it while or after it is written.

    Raises:
        DataError: There is a log, and no place where it can be read.
    """
    log = path.with_name(path.name + "-wal")
    if not log.is_file() or not log.stat().st_size:
        return _connect_as(path, "immutable=1")
    with suppress(sqlite3.OperationalError):  # needs a file beside it, which may not be made in every folder
        database = _connect_as(path, "mode=ro")
        database.execute(_LOOK)
        return database
    try:
        with tempfile.TemporaryDirectory(prefix="desert_seg_") as folder:
            for file in (path, log):
                shutil.copyfile(file, Path(folder, file.name))
            copy = Path(folder, path.name)
            with closing(_connect_as(copy, "mode=rw")) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database = _connect_as(copy, "immutable=1")  # an open file outlives its name
            database.execute(_LOOK)
            return database
    except OSError as error:
        raise DataError(
            f"{path}: the newest messages are still in {log.name}, and cannot be read into a temporary folder "
            f"({error.strerror}); set TMPDIR to a folder with room"
        ) from error


def _connect_as(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True, check_same_thread=False)


def _ends_early(path: Path) -> bool:
    """True if a SQLite file is smaller than its own header says."""
    with path.open("rb") as file:
        header = file.read(32)
    page_bytes, num_pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    return path.stat().st_size < num_pages * (65536 if page_bytes == 1 else page_bytes)


def _damage(path: Path, error: Exception) -> DataError:
    """The error where reading ends, with the tool that may recover the rest."""
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    suffix = path.suffix.lower()
    if suffix == ".mcap":
        cure = f"run `mcap recover {path.name}` and give the file it makes"
    elif suffix == ".db3":
        cure = f"run `sqlite3 {path.name} .recover | sqlite3 saved.db3` and give saved.db3"
    else:
        cure = f"run `rosbag reindex {path.name}` and give the file again"
    return DataError(f"{path}: is damaged ({reason}); {cure}")
