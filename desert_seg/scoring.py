"""How masks are judged: one confusion matrix over a whole set, and the numbers read off it. Knows nothing of files.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.labels import IGNORE


class Confusion:
    """Counts of (true class, predicted class) over all frames added, at the frames' own resolution."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes + 1), np.int64)
        """K true classes x K predicted classes and, last, "unknown"."""

    def add(self, target: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> None:
        """Count one frame.

        Args:
            target: HxW uint8 truth; `IGNORE` pixels are not counted.
            mask: HxW uint8 prediction; `IGNORE` (unknown) is a miss for the true class.
        """
        assert target.shape == mask.shape
        scored = target != IGNORE
        truth = target[scored].astype(np.int64)
        guess = np.minimum(mask[scored], self.num_classes).astype(np.int64)
        flat = np.bincount(truth * (self.num_classes + 1) + guess, minlength=self.counts.size)
        self.counts += flat.reshape(self.counts.shape)

    def scores(self) -> Scores:
        """The numbers of `evaluation.md`'s headline, from everything added so far."""
        square = self.counts[:, : self.num_classes]
        hit, truth, guess = np.diag(square), self.counts.sum(1), square.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            iou = hit / (truth + guess - hit)
            share = truth / truth.sum()
            precision, recall = hit / guess, hit / truth
        present, frequent = truth > 0, share >= 0.001
        total = int(truth.sum())
        return Scores(
            iou=tuple(iou.tolist()),
            precision=tuple(precision.tolist()),
            recall=tuple(recall.tolist()),
            share=tuple(share.tolist()),
            miou_present=float(iou[present].mean()) if total else float("nan"),
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
