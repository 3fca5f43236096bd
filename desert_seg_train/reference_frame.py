"""A small rendered frame with rocks, open ground and sky: models are self-tested on it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.images import read_image

HEIGHT, WIDTH = 144, 256
_RENDERED = Path(__file__).parent / "adapt" / "replay" / "Color_Images" / "scree14.jpg"
_STEP = 8
"""Step between values of a colour, which keeps the PNG small."""


def reference_frame() -> npt.NDArray[np.uint8]:
    """144x256x3 uint8 RGB."""
    frame = cv2.resize(read_image(_RENDERED), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(frame // _STEP * _STEP, np.uint8)
