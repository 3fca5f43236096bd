"""How sure a number is, and whether one model is really better than another: the bootstrap over frames.

Frames are drawn with replacement, and the statistic is recomputed on every draw; between the 2.5th and the 97.5th
percentile lies the 95 % interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993). Two models are
compared on the same draws, so that what is hard about a frame is hard for both and cancels out. Frames of one drive
resemble each other, which makes these intervals too narrow rather than too wide. Knows nothing of files.

Shape letters: N frames, K classes, R draws.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desert_seg.scoring import class_iou, mean_iou

NUM_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A number and the 95 % interval of it; NaN where there is nothing to measure."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Of a difference: `better`, `worse`, or, where the interval holds 0, `no difference shown`."""
        if self.low > 0 or self.high < 0:
            return "better" if self.value > 0 else "worse"
        return "no difference shown"


@dataclass(frozen=True)
class Intervals:
    """The mean IoU over classes present in the truth and the IoU of each class, or differences of them."""

    miou: Interval
    classes: tuple[Interval, ...]


def bootstrap(confusions: npt.NDArray[np.int64], generator: np.random.Generator) -> Intervals:
    """The intervals of one model's numbers.

    Args:
        confusions: NxKx(K+1) int64, one matrix for each frame.
        generator: Draws the frames.
    """
    drawn = _draw(confusions, _weights(len(confusions), generator))
    total = confusions.sum(0)
    return _intervals(mean_iou(total), class_iou(total), mean_iou(drawn), class_iou(drawn))


def compare(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], generator: np.random.Generator) -> Intervals:
    """Differences of the first model over the second, with their intervals.

    Args:
        first: NxKx(K+1) int64, one matrix for each frame.
        second: The same of the other model, of the same frames in the same order.
        generator: Draws the frames.
    """
    assert np.array_equal(first.sum(2), second.sum(2)), "both are measured against the same truth"
    weights = _weights(len(first), generator)
    one, other = first.sum(0), second.sum(0)
    ones, others = _draw(first, weights), _draw(second, weights)
    return _intervals(
        mean_iou(one) - mean_iou(other),
        class_iou(one) - class_iou(other),
        mean_iou(ones) - mean_iou(others),
        class_iou(ones) - class_iou(others),
    )


def _weights(num_frames: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """RxN: how often each draw holds each frame."""
    return generator.multinomial(num_frames, np.full(num_frames, 1 / num_frames), NUM_DRAWS).astype(float)


def _draw(confusions: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """RxKx(K+1): the confusion of every draw; whole numbers below 2^53, so float64 holds them exactly."""
    flat = weights @ confusions.reshape(len(confusions), -1).astype(float)
    return np.asarray(flat.reshape(-1, *confusions.shape[1:]))


def _intervals(
    miou: npt.NDArray[np.float64],
    classes: npt.NDArray[np.float64],
    drawn_miou: npt.NDArray[np.float64],
    drawn_classes: npt.NDArray[np.float64],
) -> Intervals:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that no draw holds: NaN is the right answer
        low, high = np.nanpercentile(np.column_stack([drawn_miou, drawn_classes]), (2.5, 97.5), axis=0).tolist()
    values = [float(miou), *classes.tolist()]
    intervals = [Interval(*numbers) for numbers in zip(values, low, high, strict=True)]
    return Intervals(intervals[0], tuple(intervals[1:]))
