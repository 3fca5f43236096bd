"""Images that decode well and yet show less than the camera saw, by what their messages say of themselves.

Of 16 bits the upper eight are kept, and no field says how many bits a camera has: 10 and 12 are usual, thermal cameras
have 14. To guess it from the picture would let brightness jump from frame to frame, so it is said instead, and the
driver has to scale. Likewise image_transport, where it cannot compress an encoding's colours, compresses its brightness
alone. Knows nothing of live topics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_COLOUR = ("rgb", "bgr", "bayer_", "yuv", "yuyv", "uyvy", "nv")
"""How the names of encodings with colour begin."""

_MOST_BITS = 14
_FEW = 1e-3
"""Share of samples that may be brighter: hot pixels, and the line of telemetry that thermal cameras add."""

_PNG_MAGIC, _PNG_BITS_AT = b"\x89PNG", 24


def lost_colours(message: Any) -> str:
    """A sentence on an Image or CompressedImage that has lost its colours, and the cure; empty if it has not."""
    encoding, _, compression = _kind(message).partition(";")
    if encoding.casefold().startswith(_COLOUR) and "compressed mono" in compression.casefold():
        return (
            f"images of {encoding} come in grey, because image_transport compressed their brightness alone: have the "
            "camera's driver publish rgb8 or bgr8, or read its raw topic"
        )
    return ""


def darkness(message: Any, rgb: Callable[[], npt.NDArray[np.uint8]]) -> str:
    """A sentence on an image that is nearly black for want of scaling, and the cure.

    Args:
        message: The Image or CompressedImage.
        rgb: Gives what it decodes to, HxWx3 uint8; asked only where samples have 16 bits.

    Returns:
        Empty if it is not.
    """
    encoding = _kind(message).partition(";")[0]
    if _has_16_bits(message, encoding) and _is_dark(rgb()):
        return (
            f"images of {encoding} are nearly black, because they use at most {_MOST_BITS} of 16 bits and the upper "
            "eight are kept: have the camera's driver scale them to 16 bits, or publish 8 bits (mono8, rgb8)"
        )
    return ""


def _kind(message: Any) -> str:
    return str(message.format if hasattr(message, "format") else message.encoding).strip()


def _has_16_bits(message: Any, encoding: str) -> bool:
    """Whether the samples have 16 bits, or had before they were compressed."""
    if "16" in encoding:
        return True
    if not hasattr(message, "format"):
        return False
    begin = bytes(message.data[: _PNG_BITS_AT + 1])
    return begin.startswith(_PNG_MAGIC) and begin[_PNG_BITS_AT:] == b"\x10"


def _is_dark(rgb: npt.NDArray[np.uint8]) -> bool:
    num_dark = cv2.countNonZero(cv2.inRange(rgb, (0, 0, 0), (2 ** (_MOST_BITS - 8) - 1,) * 3))
    return bool(num_dark >= (1 - _FEW) * rgb.shape[0] * rgb.shape[1])
