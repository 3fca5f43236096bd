"""Frames ready to go out: serialised before the clock starts, so that publishing one costs next to nothing.

What the messages look like as objects is the business of `drive`; here they are bytes. Knows nothing of rclpy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from desert_seg.errors import DataError, DesertSegError
from desert_seg.recordings.bag import serialize
from desert_seg.recordings.drive import Drive, DriveFrame

MEMORY_SHARE = 0.5
"""Of the free memory, what prepared frames may take."""

_STAMP = slice(4, 12)
"""Where a CDR message whose first field is a header keeps its stamp: after the four bytes that name the encoding."""


@dataclass(frozen=True)
class PreparedFrame:
    """A camera frame as bytes.

    Attributes:
        index: Position in the drive.
        stamp_ns: Of the image in the drive.
        recorded_ns: When it was recorded.
        image: sensor_msgs/Image or CompressedImage, CDR.
        camera_info: sensor_msgs/CameraInfo, CDR, or None.
    """

    index: int
    stamp_ns: int
    recorded_ns: int
    image: bytes
    camera_info: bytes | None


def prepared_frames(drive: Drive, transport: str) -> Iterator[PreparedFrame]:
    """Serialise the frames of a drive one by one.

    Args:
        drive: Where they come from.
        transport: `raw` or `compressed`; frames stored otherwise are converted.

    Raises:
        FrameError: A frame that has to be converted is broken.
        DataError: The drive is damaged.
    """
    for index, frame in enumerate(drive.frames()):
        converted = frame.as_raw() if transport == "raw" else frame.as_compressed()
        info = None if frame.camera_info is None else serialize(frame.camera_info)
        yield PreparedFrame(index, frame.stamp_ns, frame.recorded_ns, serialize(converted.image), info)


def prepare(frames: Iterator[PreparedFrame], num_frames: int, path: Path) -> Sequence[PreparedFrame]:
    """Serialise all frames at once, if memory allows.

    Raises:
        DataError: They would take more than `MEMORY_SHARE` of the free memory; `path` is named.
    """
    kept: list[PreparedFrame] = []
    for frame in frames:
        if not kept:
            needed, free = len(frame.image) * num_frames, _free_memory()
            if needed > MEMORY_SHARE * free:
                raise DataError(
                    f"{path}: its {num_frames} frames take about {needed / 1e9:.1f} GB and must be in memory before "
                    f"the clock starts, where {free / 1e9:.1f} GB are free; use --limit, or --transport compressed"
                )
        kept.append(frame)
    if not kept:
        raise DataError(f"{path}: holds no frames; give a bag or a folder of images")
    return kept


def stored_transport(drive: Drive) -> str:
    """`compressed` or `raw`, as the drive's first frame is stored; raises DataError if there is none."""
    first: DriveFrame | None = next(drive.frames(), None)
    if first is None:
        raise DataError(f"{drive.path}: holds no frames; give a bag or a folder of images")
    return "compressed" if hasattr(first.image, "format") else "raw"


def stamped(cdr: bytes, stamp_ns: int) -> bytes:
    """A copy of a serialised message that begins with a header, with another stamp."""
    stamp = struct.pack(_layout(cdr), *divmod(stamp_ns, 10**9))
    return b"".join((cdr[: _STAMP.start], stamp, memoryview(cdr)[_STAMP.stop :]))


def stamp_of(cdr: bytes) -> int:
    """The stamp of a serialised message that begins with a header, in nanoseconds."""
    seconds, nanoseconds = struct.unpack_from(_layout(cdr), cdr, _STAMP.start)
    return int(seconds * 10**9 + nanoseconds)


def _layout(cdr: bytes) -> str:
    """How the stamp is written; the second byte of every CDR message says in which byte order."""
    return "<iI" if cdr[1] & 1 else ">iI"


def _free_memory() -> int:
    """Bytes the kernel could give away without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError) as error:
        raise DesertSegError(f"/proc/meminfo cannot be read ({error}); the benchmark needs Linux") from error
    raise DesertSegError("/proc/meminfo does not say how much memory is free; the benchmark needs Linux 3.14 or newer")
