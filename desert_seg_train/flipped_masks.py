"""Finds masks that were flipped or turned against their images: the outlines in them then miss those in the images.

Knows nothing of files, nor of what the values of masks mean.

Shape letters: H, W.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_WIDTH = 320
"""To which larger images are scaled down, in pixels."""

_LEAST_OUTLINE = 50
"""Pixels, of which fewer tell nothing."""

_LEAST_FIT = 1.3
"""How much steeper an image is where the mask that is turned has its outlines than elsewhere. Measured on 594 frames of
Falcon, RUGD and YCOR and of a rendered drive, with masks as they should be: 2.0 in the mean."""


class Flip(Enum):
    """How a mask has to be turned to fit: in words, and in NumPy."""

    MIRRORED = "mirrored left to right", "mask[:, ::-1]"
    UPSIDE_DOWN = "turned upside down", "mask[::-1]"
    TURNED = "turned by 180 degrees", "mask[::-1, ::-1]"


_LEAST_GAIN = {Flip.MIRRORED: 1.1, Flip.UPSIDE_DOWN: 1.35, Flip.TURNED: 1.35}
"""How much better a mask has to fit when it is turned. None of the 594 frames came as far."""


def better_flip(image: npt.NDArray[np.uint8], mask: npt.NDArray[Any]) -> Flip | None:
    """How a mask fits its image much better than as it is; None if it does in no other way, or little can be said.

    Args:
        image: HxWx3 uint8 RGB.
        mask: HxW, values of any kind.
    """
    height, width = mask.shape
    small_width = min(width, _WIDTH)
    small_height = max(1, round(height * small_width / width))
    if min(small_height, small_width) < 2:
        return None
    small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA)
    colors = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    across, down = _steps(colors)
    slope = np.abs(across).sum(2) + np.abs(down).sum(2)
    rows = np.arange(small_height) * height // small_height
    columns = np.arange(small_width) * width // small_width
    classes = mask[rows][:, columns]
    as_it_is = _fit(slope, classes)
    turned = {
        Flip.MIRRORED: _fit(slope, classes[:, ::-1]),
        Flip.UPSIDE_DOWN: _fit(slope, classes[::-1]),
        Flip.TURNED: _fit(slope, classes[::-1, ::-1]),
    }
    best = max(turned, key=lambda flip: turned[flip])
    is_better = turned[best] >= _LEAST_FIT and turned[best] > _LEAST_GAIN[best] * as_it_is > 0
    return best if is_better else None


def _steps(plane: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """From every pixel to its right and its lower neighbour; the last column and row are left out."""
    return plane[:-1, 1:] - plane[:-1, :-1], plane[1:, :-1] - plane[:-1, :-1]


def _fit(slope: npt.NDArray[np.float32], classes: npt.NDArray[Any]) -> float:
    """Mean slope of the image on the outlines in a mask, in units of its mean everywhere; 0 if that says nothing."""
    here = classes[:-1, :-1]
    outlines = (classes[:-1, 1:] != here) | (classes[1:, :-1] != here)
    mean = float(slope.mean())
    if np.count_nonzero(outlines) < _LEAST_OUTLINE or not mean:
        return 0.0
    return float(slope[outlines].mean()) / mean
