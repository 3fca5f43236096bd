"""Boundary IoU: how well a mask's outlines agree, ignoring the large interiors that any model gets right.

After Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021, summed over all
frames like the confusion matrix. Knows nothing of files.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.labels import IGNORE

DILATION_RATIO = 0.02
"""Width of the strip along an outline, as a share of the image's diagonal: the paper's."""


@dataclass(frozen=True)
class BoundaryCounts:
    """Pixels in the strips along the outlines; counts of several frames add up.

    Attributes:
        both: K int64, in the strip of the true class and in that of the predicted class.
        truth: K int64, in the strip of the true class.
        guess: K int64, in the strip of the predicted class.
    """

    both: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int64]
    guess: npt.NDArray[np.int64]

    @classmethod
    def none(cls, num_classes: int) -> BoundaryCounts:
        """Of no frame at all."""
        return cls(*np.zeros((3, num_classes), np.int64))

    @classmethod
    def of(
        cls, target: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], num_classes: int, ratio: float = DILATION_RATIO
    ) -> BoundaryCounts:
        """Count one frame.

        Args:
            target: HxW uint8 truth. `IGNORE` pixels are also cut out of the mask, so that the outlines agree there.
            mask: HxW uint8 prediction.
            num_classes: K.
            ratio: Width of the strip as a share of the diagonal.
        """
        width = strip_width(target.shape[0], target.shape[1], ratio)
        mask = np.where(target == IGNORE, np.uint8(IGNORE), mask)
        true_strip, guess_strip = outline_strip(target, width), outline_strip(mask, width)

        def per_class(where: npt.NDArray[np.bool_], classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
            return np.bincount(classes[where], minlength=256)[:num_classes]

        return cls(
            both=per_class(true_strip & guess_strip & (target == mask), target),
            truth=per_class(true_strip, target),
            guess=per_class(guess_strip, mask),
        )

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(self.both + other.both, self.truth + other.truth, self.guess + other.guess)

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """K values, 0..1; NaN for a class that is neither in truth nor in prediction."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.both / (self.truth + self.guess - self.both))

    @property
    def mean_iou(self) -> float:
        """Mean over the classes present in the truth, 0..1; NaN if there are none."""
        present = self.truth > 0
        return float(self.iou[present].mean()) if present.any() else float("nan")


def strip_width(height: int, width: int, ratio: float = DILATION_RATIO) -> int:
    """Width of the strip in an image of this size, pixels, at least 1."""
    return max(1, round(ratio * float(np.hypot(height, width))))


def outline_strip(classes: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.bool_]:
    """Where a pixel of another class, or the edge of the image, is nearer than `width` + 1 pixels.

    For every class at once this is what the paper computes for one: the class's pixels that `width` erosions with a
    3x3 square take away.

    Args:
        classes: HxW uint8, 0..254 or `IGNORE`.
        width: Pixels.

    Returns:
        HxW bool.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    # Beyond the edge lie both the lowest and the highest value, so that a window that reaches it is never uniform.
    low = cv2.erode(classes, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    high = cv2.dilate(classes, square, borderType=cv2.BORDER_CONSTANT, borderValue=255)
    return np.asarray(low != high)
