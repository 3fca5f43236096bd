"""The stamp of a serialised message, read and changed in its bytes: reading all of an image takes many times as long.

It holds for messages that begin with a std_msgs/Header: four bytes that name the encoding, the stamp as seconds (int32)
and nanoseconds (uint32), the frame id as its length (uint32) and its text. Knows nothing of rclpy.
"""

from __future__ import annotations

import struct

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
