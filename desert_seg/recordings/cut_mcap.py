"""Read an mcap file from the front as far as it goes, without the index at its end.

For files that were cut short by a power loss, and for those that `rosbags` does not open. A chunk that was cut is read
up to the cut, compressed or not; a damaged chunk is left out, and reading goes on at the next. Knows nothing of what
the messages mean.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import lz4.frame
import zstandard
from mcap.exceptions import EndOfFile, McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader

MAGIC = b"\x89MCAP0\r\n"

_MAX_RECORD_BYTES = 2**30
"""Largest record and uncompressed chunk; a recorder does not write larger ones."""

_TIMES_AND_SIZES = 28
"""Bytes of a chunk before the name of its compression: begin, end and size, eight bytes each, and a checksum."""

_CHUNK_START = re.compile(
    rb"\x06(.{8}).{28}(\x00\x00\x00\x00|\x03\x00\x00\x00lz4|\x04\x00\x00\x00zstd)(.{8})", re.DOTALL
)
"""A chunk up to its data: its length, its compression, and the length of its data."""

_UNREADABLE = (McapError, struct.error, ValueError, zstandard.ZstdError, RuntimeError, EOFError, MemoryError)
"""What the libraries raise where a file ends too early or is damaged."""


class CutMessage(NamedTuple):
    """A message: its topic, the name and encoding of its type (`cdr`, `ros1`), when it was recorded, its bytes."""

    topic: str
    type: str
    encoding: str
    recorded_ns: int
    data: bytes


class CutMcap:
    """An mcap file, read in one pass at a time.

    Attributes:
        is_whole: Whether the last complete pass found the end of the recording.
        damage: Positions in the file, in bytes, of what that pass found damaged and left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_whole = False
        self.damage: list[int] = []

    def topics(self) -> dict[tuple[str, str], int]:
        """Name and type of every topic, with its number of messages; reads the whole file."""
        counts: dict[tuple[str, str], int] = {}
        for record in self._records():
            if isinstance(record, CutMessage):
                counts[record.topic, record.type] += 1
            else:
                counts.setdefault(record, 0)
        return counts

    def messages(self) -> Iterator[CutMessage]:
        """Every message, in time order within a chunk."""
        for record in self._records():
            if isinstance(record, CutMessage):
                yield record

    def _records(self) -> Iterator[CutMessage | tuple[str, str]]:
        """Topics when they are first declared, and messages."""
        schemas: dict[int, str] = {}
        channels: dict[int, Channel] = {}
        self.is_whole, self.damage = False, []
        with self.path.open("rb") as file:
            for records in _batches(file):
                if isinstance(records, _Damage):
                    self.damage.append(records.position)
                    self.is_whole |= records.is_last
                    continue
                messages = []
                for record in records:
                    if isinstance(record, Schema):
                        schemas[record.id] = full_name(record.name)
                    elif isinstance(record, Channel):
                        channels[record.id] = record
                        yield record.topic, schemas.get(record.schema_id, "")
                    elif isinstance(record, Message) and record.channel_id in channels:
                        messages.append(record)
                    self.is_whole |= isinstance(record, Footer)
                for message in sorted(messages, key=lambda message: message.log_time):
                    channel = channels[message.channel_id]
                    kind = schemas.get(channel.schema_id, "")
                    yield CutMessage(channel.topic, kind, channel.message_encoding, message.log_time, message.data)


class _Damage(NamedTuple):
    """Something that cannot be read: where in the file, and whether nothing but the file's own end comes after it."""

    position: int
    is_last: bool


def _batches(file: BinaryIO) -> Iterator[list[McapRecord] | _Damage]:
    """The records of a file: those of a chunk together, the others one by one."""
    position, is_begun = 0, False
    while True:
        file.seek(position)
        reader = StreamReader(file, skip_magic=is_begun, emit_chunks=True, record_size_limit=_MAX_RECORD_BYTES)
        try:
            for record in reader.records:
                begin, position = position if is_begun else len(MAGIC), file.tell()
                is_begun = True
                if not isinstance(record, Chunk):
                    yield [record]
                    continue
                if position - begin != _chunk_bytes(record):
                    position = begin
                    raise EndOfFile
                records, is_good = _chunk_records(record)
                yield records
                if not is_good:
                    yield _Damage(begin, is_last=False)
            return
        except _UNREADABLE:
            pass
        is_begun, following = True, _next_chunk(file, position + 1)
        if following is None:
            yield _Damage(position, is_last=True) if _has_end(file) else _cut_chunk_records(file, position)
            return
        yield _Damage(position, is_last=False)
        position = following


def _chunk_bytes(chunk: Chunk) -> int:
    """How long the record of a chunk is, with its opcode and length."""
    return 9 + _TIMES_AND_SIZES + 4 + len(chunk.compression) + 8 + len(chunk.data)


def _next_chunk(file: BinaryIO, position: int) -> int | None:
    """Where the next chunk begins: something whose lengths say so in two ways that agree."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for found in _CHUNK_START.finditer(content, position):
            length, data_length = (int.from_bytes(field, "little") for field in found.group(1, 3))
            header = found.end() - found.start() - 9
            if length == header + data_length and found.end() + data_length <= len(content):
                return found.start()
    return None


def _has_end(file: BinaryIO) -> bool:
    """True if the file's last bytes are those that a recorder writes last."""
    file.seek(-len(MAGIC), SEEK_END)
    return file.read() == MAGIC


def _cut_chunk_records(file: BinaryIO, position: int) -> list[McapRecord]:
    """The records of the chunk in which a file ends, if it ends in one."""
    file.seek(position)
    opcode, length = file.read(1), file.read(8)
    if opcode != bytes([Opcode.CHUNK]) or len(length) < 8:
        return []
    content = file.read(min(_MAX_RECORD_BYTES, int.from_bytes(length, "little")))
    data_length = 8
    name_length = int.from_bytes(content[_TIMES_AND_SIZES : _TIMES_AND_SIZES + 4], "little")
    end_of_name = _TIMES_AND_SIZES + 4 + name_length
    compression = content[_TIMES_AND_SIZES + 4 : end_of_name].decode(errors="replace")
    with suppress(*_UNREADABLE):
        return _read_records(_unpacked(compression, content[end_of_name + data_length :]))[0]
    return []


def _chunk_records(chunk: Chunk) -> tuple[list[McapRecord], bool]:
    """The records of a chunk, and whether these are all; none of one whose checksum or size is not the recorder's."""
    try:
        data = _unpacked(chunk.compression, chunk.data)
    except _UNREADABLE:
        return [], False
    if len(data) != chunk.uncompressed_size or chunk.uncompressed_crc not in (0, zlib.crc32(data)):
        return [], False
    return _read_records(data)


def _read_records(data: bytes) -> tuple[list[McapRecord], bool]:
    """The records in the content of a chunk up to its end or to one that cannot be read, and whether it has no such."""
    records: list[McapRecord] = []
    content = BytesIO(data)
    good = 0
    try:
        for record in StreamReader(content, skip_magic=True, emit_chunks=True).records:
            records.append(record)
            good = content.tell()
    except _UNREADABLE:
        pass
    return records, good == len(data)


def _unpacked(compression: str, data: bytes) -> bytes:
    if compression == "zstd":
        return bytes(zstandard.ZstdDecompressor().stream_reader(BytesIO(data)).read(_MAX_RECORD_BYTES))
    if compression == "lz4":
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=_MAX_RECORD_BYTES))
    return data


def full_name(name: str) -> str:
    """`sensor_msgs/msg/Image` for `sensor_msgs/Image` too, as ROS 1 and some writers of ROS 2's messages call it."""
    package, slash, kind = name.partition("/")
    return f"{package}/msg/{kind}" if slash and "/" not in kind else name
