"""Bayer mosaics to colour. Knows nothing of messages."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import FrameError, quoted

# OpenCV names a Bayer pattern by its second row and column, ROS by its first.
_TO_RGB = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}

BAYER_ENCODINGS = tuple(f"bayer_{pattern}{bits}" for bits in (8, 16) for pattern in _TO_RGB)


def demosaic(mosaic: npt.NDArray[Any], encoding: str) -> npt.NDArray[np.uint8]:
    """Interpolate the colours of a mosaic.

    Args:
        mosaic: HxW uint8, or uint16, of which the high byte is used.
        encoding: One of BAYER_ENCODINGS.

    Returns:
        HxWx3 uint8 RGB.

    Raises:
        FrameError: The encoding is unknown, or the mosaic has fewer than 3 rows or columns, which OpenCV turns black.
    """
    if encoding not in BAYER_ENCODINGS:
        raise FrameError(
            f"found a mosaic of encoding {quoted(encoding)}, expected one of: {', '.join(BAYER_ENCODINGS)}; "
            "set the camera driver to one of these"
        )
    if min(mosaic.shape) < 3:
        raise FrameError(
            f"found a Bayer mosaic of {mosaic.shape[1]}x{mosaic.shape[0]} pixels, expected at least 3x3; "
            "check the camera driver"
        )
    if mosaic.dtype == np.uint16:
        mosaic = (mosaic >> 8).astype(np.uint8)
    return np.asarray(cv2.cvtColor(mosaic, _TO_RGB[encoding[len("bayer_") :][:4]]), np.uint8)
