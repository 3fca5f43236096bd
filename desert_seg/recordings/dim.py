"""Images of 16 bits whose camera uses fewer of them, so that the upper eight, which are kept, are nearly black.

No field of a message says how many bits a camera has: 10 and 12 are usual, thermal cameras have 14. To guess it from
the picture would let brightness jump from frame to frame, so it is said instead, and the driver has to scale. Knows
nothing of live topics.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_MOST_BITS = 14
_FEW = 1e-3
"""Share of samples that may be brighter: hot pixels, and the line of telemetry that thermal cameras add."""

_PNG_MAGIC, _PNG_BITS_AT = b"\x89PNG", 24


def dim_remark(message: Any, rgb: npt.NDArray[np.uint8]) -> str:
    """A sentence on an image that is nearly black for want of scaling.

    Args:
        message: The Image or CompressedImage.
        rgb: What it decodes to, HxWx3 uint8.

    Returns:
        What is wrong and how to cure it; empty if nothing is, or if the samples have 8 bits.
    """
    kind = message.format if hasattr(message, "format") else message.encoding
    if not _has_16_bits(message, kind):
        return ""
    num_dark = cv2.countNonZero(cv2.inRange(rgb, (0, 0, 0), (2 ** (_MOST_BITS - 8) - 1,) * 3))
    if num_dark < (1 - _FEW) * rgb.shape[0] * rgb.shape[1]:
        return ""
    name = kind.partition(";")[0].strip()
    return (
        f"images of {name} are nearly black, because they use at most {_MOST_BITS} of 16 bits and "
        "the upper eight are kept: have the camera's driver scale them to 16 bits, or publish 8 bits (mono8, rgb8)"
    )


def _has_16_bits(message: Any, kind: str) -> bool:
    """Whether the samples have 16 bits, or had before they were compressed."""
    if "16" in kind.partition(";")[0]:
        return True
    if not hasattr(message, "format"):
        return False
    begin = bytes(message.data[: _PNG_BITS_AT + 1])
    return begin.startswith(_PNG_MAGIC) and begin[_PNG_BITS_AT:] == b"\x10"
