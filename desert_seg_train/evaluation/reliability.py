"""Whether a confidence can be believed: how often pixels are right that are so and so sure of themselves.

Confidences are bytes, so two histograms hold everything: exact numbers, however many frames there are. Knows nothing of
files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.labels import IGNORE

NUM_BINS = 15
"""Of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017."""

_LEVELS = np.arange(256) / 255
_BIN_OF_LEVEL = np.minimum(np.arange(256) * NUM_BINS // 255, NUM_BINS - 1)


@dataclass(frozen=True)
class Reliability:
    """Scored pixels by confidence, apart for right and wrong ones; of several frames they add up.

    Attributes:
        right: 256 int64, pixels whose class is right at confidence 0/255, 1/255, ... 255/255.
        wrong: 256 int64, likewise for the others.
    """

    right: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]

    @classmethod
    def none(cls) -> Reliability:
        """Of no frame at all."""
        return cls(*np.zeros((2, 256), np.int64))

    @classmethod
    def of(
        cls, target: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8]
    ) -> Reliability:
        """Count one frame.

        Args:
            target: HxW uint8 truth, `IGNORE` pixels are not counted.
            mask: HxW uint8 prediction.
            confidence: HxW uint8, 0..255 for 0..1.
        """
        scored = target != IGNORE
        hits = target == mask
        return cls(
            np.bincount(confidence[scored & hits], minlength=256),
            np.bincount(confidence[scored & ~hits], minlength=256),
        )

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(self.right + other.right, self.wrong + other.wrong)

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1: how far confidence and accuracy are apart over `NUM_BINS` bins on average.

        Source: Guo et al., 2017. NaN if nothing is scored.
        """
        bins = self.bins()
        total = bins.pixels.sum()
        if total == 0:
            return float("nan")
        gaps = np.abs(bins.accuracy - bins.confidence)
        return float((bins.pixels * np.nan_to_num(gaps)).sum() / total)

    @property
    def auroc(self) -> float:
        """Probability that a right pixel is surer of itself than a wrong one, ties counting half.

        1: a threshold parts right from wrong; 0.5: the confidence knows nothing of errors. NaN if all pixels are right
        or all are wrong. Source: Hendrycks and Gimpel, "A Baseline for Detecting Misclassified ...", 2017.
        """
        num_right, num_wrong = int(self.right.sum()), int(self.wrong.sum())
        if not num_right or not num_wrong:
            return float("nan")
        surer = num_right - np.cumsum(self.right)
        return float((self.wrong * (surer + self.right / 2)).sum() / num_right / num_wrong)

    @property
    def mean_confidence(self) -> float:
        """Mean confidence of the scored pixels, 0..1; NaN if there are none."""
        pixels = self.right + self.wrong
        return float((pixels * _LEVELS).sum() / pixels.sum()) if pixels.any() else float("nan")

    def bins(self) -> ReliabilityBins:
        """The reliability curve."""

        def summed(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
            return np.asarray(np.bincount(_BIN_OF_LEVEL, weights=values, minlength=NUM_BINS), np.float64)

        pixels = summed(self.right + self.wrong)
        with np.errstate(invalid="ignore"):
            return ReliabilityBins(
                pixels=pixels.astype(np.int64),
                confidence=summed((self.right + self.wrong) * _LEVELS) / pixels,
                accuracy=summed(self.right) / pixels,
            )


@dataclass(frozen=True)
class ReliabilityBins:
    """The reliability curve over bins of equal width.

    Attributes:
        pixels: `NUM_BINS` int64, scored pixels in each bin.
        confidence: Their mean confidence, 0..1, NaN for an empty bin.
        accuracy: Share of them that is right, 0..1, NaN for an empty bin.
    """

    pixels: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
