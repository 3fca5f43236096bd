"""Decoding of image files in memory, in which a JPEG that lost a part is no image.

libjpeg fills what is missing with grey, OpenCV says nothing of it, and a mask of the grey looks like any other. So the
markers are walked (ITU-T T.81 annex B), and a picture that looks filled is put to the proof: of a whole file,
what is inserted before its end is never read. The padding that some cameras put before the end is no damage.
Not found: a hole so small that the number of blocks stays what it was, and one within a scan of a progressive JPEG,
which no camera makes. Knows nothing of where the bytes came from.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # all but stuffed bytes and restarts
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_TABLES, _END, _SCAN, _RESTART_INTERVAL = 0xC4, 0xD9, 0xDA, 0xDD
_BETWEEN_SCANS = (_TABLES, _END, _SCAN, 0xDB, 0xDC, _RESTART_INTERVAL, *range(0xE0, 0xF0), 0xFE)

_FILLED = 128
"""Level of all channels where libjpeg had no data."""

_HOLE = bytes(64)
"""A block of zeros codes 63 equal frequencies in 24 bytes, which no picture has, unless zeros code `all is zero`."""

_PROBE = b"\0" + bytes(np.random.default_rng(0).integers(0, 255, 4096, np.uint8))
"""Data of any pixels, in which there is no 0xFF to begin a marker; the zero completes one that the cut left over."""


def decode_whole(data: bytes, flags: int) -> npt.NDArray[Any] | None:
    """Decode an image file as `cv2.imdecode` does.

    Args:
        data: The whole of a PNG, JPEG, WebP, TIFF or BMP.
        flags: OpenCV's, for example `cv2.IMREAD_COLOR`.

    Returns:
        HxW, HxWx3 BGR or HxWx4 BGRA; None if it is no image, or a JPEG of which a part is missing.
    """
    is_jpeg = data.startswith(b"\xff\xd8")
    end = _end(data) if is_jpeg else None
    if is_jpeg and end is None:
        return None
    image = _decode(data, flags)
    if image is None or end is None or not _looks_filled(image):
        return image
    probed = _decode(data[:end] + _PROBE + data[end:], flags)
    return image if probed is not None and np.array_equal(image, probed) else None


def _decode(data: bytes, flags: int) -> npt.NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _looks_filled(image: npt.NDArray[Any]) -> bool:
    """True if the last pixel is as libjpeg fills it, whichever corner EXIF turned it to."""
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]].reshape(4, -1)
    return bool((corners == _FILLED).all(axis=1).any())


def _end(data: bytes) -> int | None:
    """Offset of the end marker of a JPEG; None if its markers alone say that something is missing before it."""
    place, num_scans, num_restarts, interval = 2, 0, 0, 0
    kind, frame = 0, b""
    first_codes: list[int] = []
    read: set[tuple[int, int]] = set()  # channels and frequencies that have come with all their bits
    while match := _MARKER.search(data, place):
        start, marker = match.start(), data[match.start() + 1]
        if num_scans and marker not in _BETWEEN_SCANS:
            return None  # the next frame of a stream, or damage
        if marker == _END:
            is_whole = num_scans > 0 and (kind in _OTHER_FRAMES or len(read) >= 64 * len(frame[6::3]))
            if kind in _SEQUENTIAL and num_scans == 1 and interval:
                is_whole = is_whole and num_restarts >= (_num_units(frame) - 1) // interval
            return start if is_whole else None
        body = data[start + 4 : start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")]
        place = start + 4 + len(body)
        if marker in (*_SEQUENTIAL, _PROGRESSIVE, *_OTHER_FRAMES):
            kind, frame = marker, body
        elif marker == _TABLES:
            first_codes += _first_codes(body)
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(body[:2], "big")
        elif marker == _SCAN and len(body) >= 6:
            num_scans += 1
            # Of a sequential frame they say nothing, and some cameras leave them empty.
            first, last, bits = (0, 63, 0) if kind in _SEQUENTIAL else body[-3:]
            if bits & 15 == 0:
                read |= {(channel, each) for channel in body[1:-3:2] for each in range(first, last + 1)}
            after = _END_OF_SCAN.search(data, place)
            end = after.start() if after else len(data)
            zeros_are_flat = bool(first_codes) and not any(first_codes)
            if kind in _SEQUENTIAL and not zeros_are_flat and data.find(_HOLE, place, end) >= 0:
                return None
            num_restarts += sum(1 for _ in _RESTART.finditer(data, place, end))
            place = end
    return None


def _num_units(frame: bytes) -> int:
    """How many units (MCU) an interleaved scan of a frame has."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    samplings = frame[7::3]
    if len(samplings) < 2:
        return -(-height // 8) * -(-width // 8)
    across, down = max(each >> 4 for each in samplings), max(each & 15 for each in samplings)
    return -(-height // (8 * down)) * -(-width // (8 * across)) if across and down else 0


def _first_codes(tables: bytes) -> list[int]:
    """Of each Huffman table of frequencies the symbol that zeros code; 0 = all the block's other frequencies are 0."""
    found, place = [], 0
    while place + 17 < len(tables):
        if tables[place] >> 4 == 1:
            found.append(tables[place + 17])
        place += 17 + sum(tables[place + 1 : place + 17])
    return found
