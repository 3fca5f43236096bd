"""Serialised messages read in place: rclpy copies an image twice, and reads all of one where the stamp is enough.

It holds for messages that begin with a std_msgs/Header: four bytes that name the encoding, the stamp as seconds (int32)
and nanoseconds (uint32), the frame id as its length (uint32) and its text. Numbers of four bytes lie at multiples of
four. Knows nothing of rclpy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from desert_seg.errors import FrameError

_LAYOUTS = {b"\0\0": ">iII", b"\0\1": "<iII"}
"""How the header is written, by the first two bytes of the message: plain CDR, in either byte order."""

_STAMP, _TEXT = 4, 16
"""Where the stamp and the text of the frame id begin."""


def stamp_of(cdr: bytes) -> int:
    """The stamp of a serialised message that begins with a header, in nanoseconds.

    Raises:
        FrameError: The bytes do not begin with a header.
    """
    layout = _LAYOUTS.get(cdr[:2])
    if layout is not None and len(cdr) >= _TEXT:
        seconds, nanoseconds, length = struct.unpack_from(layout, cdr, _STAMP)
        if length <= len(cdr) - _TEXT:
            return int(seconds * 10**9 + nanoseconds)
    raise FrameError(
        f"found {len(cdr)} bytes that do not begin with a header in CDR; publish a message of ROS 2 that has one"
    )


def stamped(cdr: bytes, stamp_ns: int) -> bytes:
    """A copy of a serialised message that begins with a header, with another stamp; raises FrameError as `stamp_of`."""
    stamp_of(cdr)
    stamp = struct.pack(_LAYOUTS[cdr[:2]][:3], *divmod(stamp_ns, 10**9))
    return b"".join((cdr[:_STAMP], stamp, memoryview(cdr)[_STAMP + len(stamp) :]))


class SerialisedImage(NamedTuple):
    """A sensor_msgs/Image whose `data` is a view of the bytes it was read from."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


def image_of(cdr: bytes, header_of: Callable[[int, int, str], Any]) -> SerialisedImage:
    """Read a serialised sensor_msgs/Image without a copy of its pixels.

    Args:
        cdr: The message.
        header_of: Makes a header of seconds, nanoseconds and the frame id.

    Raises:
        FrameError: The bytes end within the image, or do not begin with a header.
    """
    stamp_of(cdr)
    order = _LAYOUTS[cdr[:2]][0]
    try:
        seconds, nanoseconds = struct.unpack_from(f"{order}iI", cdr, _STAMP)
        frame_id, at = _text(cdr, order, _TEXT - 4)
        height, width = struct.unpack_from(f"{order}II", cdr, _aligned(at))
        encoding, at = _text(cdr, order, _aligned(at) + 8)
        step, length = struct.unpack_from(f"{order}II", cdr, _aligned(at + 1))
        data = memoryview(cdr)[(begin := _aligned(at + 1) + 8) : begin + length]
        if len(data) < length:
            raise IndexError
        header = header_of(seconds, nanoseconds, frame_id)
        return SerialisedImage(header, height, width, encoding, cdr[at], step, data)
    except (struct.error, IndexError) as error:
        raise FrameError(
            f"found {len(cdr)} bytes that end within an image; publish it with a ROS 2 client library"
        ) from error


def _text(cdr: bytes, order: str, at: int) -> tuple[str, int]:
    """A text whose length is at a place, and the place after it."""
    (length,) = struct.unpack_from(f"{order}I", cdr, at)
    text = cdr[at + 4 : at + 4 + length]
    if len(text) < length:
        raise IndexError
    return text.removesuffix(b"\0").decode("utf-8", "replace"), at + 4 + length


def _aligned(at: int) -> int:
    return (at + 3) // 4 * 4
