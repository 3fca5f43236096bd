"""Reliability of the confidence: how often pixels of a given confidence are right.

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
    """Scored pixels by confidence, counted separately for right and wrong ones; counts of several frames add up.

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
        """Probability that a right pixel has a higher confidence than a wrong one, ties counting half.

        1: a threshold separates right from wrong; 0.5: the confidence says nothing about errors. NaN if all pixels are
        right or all are wrong. Source: Hendrycks and Gimpel, "A Baseline for Detecting Misclassified ...", 2017.
        """
        num_right, num_wrong = int(self.right.sum()), int(self.wrong.sum())
        if not num_right or not num_wrong:
            return float("nan")
        surer = num_right - np.cumsum(self.right)
        return float((self.wrong * (surer + self.right / 2)).sum() / num_right / num_wrong)

    @property
    def fpr95(self) -> float:
        """Fraction of the wrong pixels above the threshold that keeps 95 % of the right ones; 0 is perfect.

        NaN if all pixels are right or all are wrong. Source: as of `auroc`.
        """
        if not self.right.any() or not self.wrong.any():
            return float("nan")
        kept = _from_the_surest(self.right)
        level = np.flatnonzero(kept >= 0.95 * kept[-1])[0]
        return float(_from_the_surest(self.wrong)[level] / self.wrong.sum())

    def risk_coverage(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What is wrong of the surest pixels, by how many are kept, both shares 0..1 of 256 levels, the surest first.

        Levels that no pixel has repeat the level before; those above the surest pixel have coverage and risk 0.
        Source: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017. NaN if nothing is
        scored.
        """
        kept, wrong = _from_the_surest(self.right + self.wrong), _from_the_surest(self.wrong)
        with np.errstate(invalid="ignore"):
            return kept / kept[-1], wrong / np.maximum(kept, 1)

    @property
    def aurc(self) -> float:
        """Area under the risk-coverage curve, 0..1, less is better; NaN if nothing is scored."""
        coverage, risk = self.risk_coverage()
        return float((np.diff(coverage, prepend=0.0) * risk).sum())

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


def _from_the_surest(pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of pixels at or above each confidence level, highest level first."""
    return np.cumsum(pixels[::-1])


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
