"""Frames ready to publish: serialised before the clock starts, so that publishing one costs next to nothing.

Messages are bytes here; `drive` has them as objects. Knows nothing of rclpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from desert_seg.errors import DataError, DesertSegError, FrameError
from desert_seg.recordings.bag import BagMessage, deserialize, serialize
from desert_seg.recordings.drive import Drive, DriveFrame, OnBad, refuse
from desert_seg.recordings.image_codec import decode
from desert_seg.recordings.image_topic import COMPRESSED_IMAGE, IMAGE

MEMORY_SHARE = 0.5
"""Share of the free memory that prepared frames may take."""


@dataclass(frozen=True)
class PreparedFrame:
    """A camera frame as bytes.

    Attributes:
        index: Position in the drive.
        stamp_ns: Stamp of the image in the drive.
        recorded_ns: When it was recorded.
        image: sensor_msgs/Image or CompressedImage, CDR.
        camera_info: sensor_msgs/CameraInfo, CDR, or None.
    """

    index: int
    stamp_ns: int
    recorded_ns: int
    image: bytes
    camera_info: bytes | None


def prepared_frames(drive: Drive, transport: str, on_bad: OnBad = refuse) -> Iterator[PreparedFrame]:
    """Serialise the frames of a drive one by one.

    Args:
        drive: The drive.
        transport: `raw` or `compressed`; frames stored otherwise are converted.
        on_bad: Called with the error of every message that cannot be read or converted and is left out.

    Raises:
        FrameError: A frame that has to be converted is broken, if `on_bad` refuses that.
        DataError: The drive is damaged, if `on_bad` refuses that, or none of its frames can be converted.
    """
    num_converted, first_error = 0, None
    for index, frame in enumerate(drive.frames(on_bad)):
        image_only = replace(frame, truth=None)  # a mask that cannot be read is no fault of its image
        try:
            converted = image_only.as_raw() if transport == "raw" else image_only.as_compressed()
        except FrameError as error:
            first_error = first_error or error
            on_bad(error)
            continue
        num_converted += 1
        info = None if frame.camera_info is None else serialize(frame.camera_info)
        yield PreparedFrame(index, frame.stamp_ns, frame.recorded_ns, serialize(converted.image), info)
    if first_error and not num_converted:
        raise DataError(f"{drive.path}: holds no image that can be made {transport}; the first: {first_error}")


def prepare(frames: Iterator[PreparedFrame], path: Path) -> Sequence[PreparedFrame]:
    """Serialise all frames at once, if memory allows.

    Raises:
        DataError: They would take more than `MEMORY_SHARE` of the free memory; `path` is named.
    """
    kept: list[PreparedFrame] = []
    needed, free = 0, _free_memory()
    for frame in frames:
        kept.append(frame)
        needed += len(frame.image)
        if needed > MEMORY_SHARE * free:
            raise DataError(
                f"{path}: its first {len(kept)} frames take {needed / 1e9:.1f} GB, and all must be in memory before "
                f"the clock starts, where {free / 1e9:.1f} GB are free; use --limit, or --transport compressed"
            )
    return kept


def stored_transport(drive: Drive) -> str:
    """`compressed` or `raw`, as the drive's first frame is stored; raises DataError if none can be read."""
    bad: list[DesertSegError] = []
    first: DriveFrame | None = next(drive.frames(bad.append), None)
    if first is None:
        why = f"the first: {bad[0]}" if bad else "give a bag or a folder of images"
        raise DataError(f"{drive.path}: holds no frame that can be read; {why}")
    return "compressed" if hasattr(first.image, "format") else "raw"


def first_whole(frames: Iterable[PreparedFrame], transport: str) -> PreparedFrame:
    """The first frame whose image can be decoded, else the very first, of at least one."""
    first = None
    for frame in frames:
        first = first or frame
        message = BagMessage("", COMPRESSED_IMAGE if transport == "compressed" else IMAGE, 0, frame.image)
        with suppress(FrameError):
            decode(deserialize(message))
            return frame
    assert first is not None, "a drive has a frame"
    return first


def _free_memory() -> int:
    """Bytes the kernel could give away without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError) as error:
        raise DesertSegError(f"/proc/meminfo cannot be read ({error}); the benchmark needs Linux") from error
    raise DesertSegError("/proc/meminfo does not say how much memory is free; the benchmark needs Linux 3.14 or newer")
