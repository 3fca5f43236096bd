"""How masks are judged: one confusion matrix over a whole set, and the numbers read off it. Knows nothing of files.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FREQUENT_SHARE = 0.001
"""A class with at least this share of the scored pixels counts in `Scores.miou_frequent`."""


def count(target: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], num_classes: int) -> npt.NDArray[np.int64]:
    """Count the pairs of true and predicted class of one frame, or of a part of one.

    Args:
        target: HxW uint8 truth; `IGNORE` pixels are not counted.
        mask: HxW uint8 prediction; `IGNORE` (unknown) is a miss for the true class.
        num_classes: K.

    Returns:
        Kx(K+1) int64: true classes x predicted classes and, last, "unknown".
    """
    assert target.shape == mask.shape
    # Counting all 256x256 pairs is ten times faster than selecting the scored pixels first.
    pairs = np.bincount((target.astype(np.intp) * 256 + mask).ravel(), minlength=256 * 256).reshape(256, 256)
    truth = pairs[:num_classes]
    return np.column_stack([truth[:, :num_classes], truth[:, num_classes:].sum(1)])


def class_iou(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Intersection over union of every class.

    Args:
        counts: ...xKx(K+1) pixels as of `count`; leading axes are separate matrices.

    Returns:
        ...xK, 0..1, NaN where a class occurs neither in truth nor in prediction.
    """
    num_classes = counts.shape[-2]
    square = counts[..., :num_classes]
    hit = np.diagonal(square, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(hit / (counts.sum(-1) + square.sum(-2) - hit))


def mean_iou(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean IoU over the classes that are present in the truth, the headline of every report.

    Args:
        counts: ...xKx(K+1), as for `class_iou`.

    Returns:
        One number, 0..1, for every matrix; NaN where nothing is scored.
    """
    present = counts.sum(-1) > 0
    total = np.where(present, class_iou(counts), 0.0).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / present.sum(-1))


class Confusion:
    """Counts of (true class, predicted class) over all frames added, at the frames' own resolution."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes + 1), np.int64)
        """K true classes x K predicted classes and, last, "unknown"."""

    @classmethod
    def of(cls, counts: npt.NDArray[np.int64]) -> Confusion:
        """A confusion matrix from counts, Kx(K+1) as from `count`."""
        confusion = cls(len(counts))
        confusion.counts += counts
        return confusion

    def add(self, target: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> None:
        """Count one frame; see `count` for the arguments."""
        self.counts += count(target, mask, self.num_classes)

    def scores(self) -> Scores:
        """The scores of everything added so far."""
        square = self.counts[:, : self.num_classes]
        hit, truth, guess = np.diag(square), self.counts.sum(1), square.sum(0)
        iou = class_iou(self.counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = truth / truth.sum()
            precision, recall = hit / guess, hit / truth
        present, frequent = truth > 0, share >= FREQUENT_SHARE
        total = int(truth.sum())
        return Scores(
            iou=tuple(iou.tolist()),
            precision=tuple(precision.tolist()),
            recall=tuple(recall.tolist()),
            share=tuple(share.tolist()),
            miou_present=float(mean_iou(self.counts)),
            miou_all=float(np.where(present, iou, 0.0).mean()) if total else float("nan"),
            miou_frequent=float(iou[frequent].mean()) if frequent.any() else float("nan"),
            pixel_accuracy=float(hit.sum() / total) if total else float("nan"),
            frequency_weighted_iou=float((share * np.nan_to_num(iou)).sum()) if total else float("nan"),
            hallucinated_share=float(guess[~present].sum() / total) if total else float("nan"),
        )


@dataclass(frozen=True)
class Scores:
    """Numbers read off a confusion matrix; NaN where a class occurs neither in truth nor in prediction.

    Attributes:
        iou: Intersection over union per class, 0..1.
        precision: Per class, 0..1.
        recall: Per class, 0..1.
        share: Share of the scored pixels that truly are this class.
        miou_present: Mean IoU over classes present in the ground truth: the headline.
        miou_all: Mean over all classes, absent ones counted as 0.
        miou_frequent: Mean over classes with at least 0.1 % of the pixels.
        pixel_accuracy: Share of scored pixels that are right.
        frequency_weighted_iou: IoU weighted by true share.
        hallucinated_share: Share of scored pixels predicted as a class that is nowhere in the truth.
    """

    iou: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    share: tuple[float, ...]
    miou_present: float
    miou_all: float
    miou_frequent: float
    pixel_accuracy: float
    frequency_weighted_iou: float
    hallucinated_share: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: None stands for it."""
        return {
            name: [_none_if_nan(each) for each in value] if isinstance(value, tuple) else _none_if_nan(value)
            for name, value in vars(self).items()
        }


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else value
