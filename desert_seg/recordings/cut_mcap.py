"""Read an mcap file from the front as far as it goes, without the index at its end.

For files that were cut short by a power loss, and for those that `rosbags` does not open. A chunk that was cut is read
up to the cut, compressed or not. Knows nothing of what the messages mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import lz4.frame
import zstandard
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader

MAGIC = b"\x89MCAP0\r\n"

_MAX_RECORD_BYTES = 2**30
"""Largest record and uncompressed chunk; a recorder does not write larger ones."""

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
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_whole = False

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
        self.is_whole = False
        with self.path.open("rb") as file:
            for records in _batches(file):
                messages = []
                for record in records:
                    if isinstance(record, Schema):
                        schemas[record.id] = _full_name(record.name)
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


def _batches(file: BinaryIO) -> Iterator[list[McapRecord]]:
    """The records of a file: those of a chunk together, the others one by one."""
    reader = StreamReader(file, emit_chunks=True, record_size_limit=_MAX_RECORD_BYTES)
    position = len(MAGIC)
    try:
        for record in reader.records:
            position = file.tell()
            yield _chunk_records(record.compression, record.data) if isinstance(record, Chunk) else [record]
    except _UNREADABLE:
        file.seek(position)
        yield _cut_chunk_records(file)


def _cut_chunk_records(file: BinaryIO) -> list[McapRecord]:
    """The records of the chunk in which a file ends, if it ends in one."""
    opcode, length = file.read(1), file.read(8)
    if opcode != bytes([Opcode.CHUNK]) or len(length) < 8:
        return []
    content = file.read(min(_MAX_RECORD_BYTES, int.from_bytes(length, "little")))
    times_and_sizes = 28  # begin, end and size of eight bytes each, and a checksum
    data_length = 8
    end_of_name = times_and_sizes + 4 + int.from_bytes(content[times_and_sizes : times_and_sizes + 4], "little")
    compression = content[times_and_sizes + 4 : end_of_name].decode(errors="replace")
    return _chunk_records(compression, content[end_of_name + data_length :])


def _chunk_records(compression: str, data: bytes) -> list[McapRecord]:
    """The records of a chunk, as far as it can be decompressed and read."""
    records: list[McapRecord] = []
    try:
        reader = StreamReader(BytesIO(_unpacked(compression, data)), skip_magic=True, emit_chunks=True)
        records.extend(reader.records)
    except _UNREADABLE:
        pass
    return records


def _unpacked(compression: str, data: bytes) -> bytes:
    if compression == "zstd":
        return bytes(zstandard.ZstdDecompressor().stream_reader(BytesIO(data)).read(_MAX_RECORD_BYTES))
    if compression == "lz4":
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=_MAX_RECORD_BYTES))
    return data


def _full_name(name: str) -> str:
    """`sensor_msgs/msg/Image` for ROS 1's `sensor_msgs/Image` too."""
    package, slash, kind = name.partition("/")
    return f"{package}/msg/{kind}" if slash and "/" not in kind else name
