"""Masks as people see them: in the colours of their classes, alone or over the frame.

Shape letters: H, W of a frame.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.labels import LabelSet


class Painter:
    """Draws masks in a label set's colours."""

    def __init__(self, labels: LabelSet) -> None:
        self._table = labels.palette().reshape(256, 1, 3)

    def color(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """HxW uint8 classes to HxWx3 uint8 RGB; unknown is black."""
        return np.asarray(cv2.applyColorMap(mask, self._table), np.uint8)

    def overlay(self, rgb: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], alpha: float) -> npt.NDArray[np.uint8]:
        """The frame with the colours laid over it at opacity `alpha`; HxWx3 uint8 RGB."""
        return np.asarray(cv2.addWeighted(rgb, 1 - alpha, self.color(mask), alpha, 0), np.uint8)
