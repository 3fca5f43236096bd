"""How sure a model is, and of what: a temperature, a score for unknown terrain, and what its own frames look like.

Measured once on frames that were not trained on (`desert-seg calibrate`), stored in the artifact, used wherever the
model runs. Everything here works on the decoder's low-resolution scores, at next to no cost. Knows nothing of engines
or files.

Shape letters: K classes, h, w score grid, H, W a frame, D descriptor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.float32]


def _log_sum_exp(scores: Planes) -> Planes:
    best = scores.max(0)
    return np.asarray(best + np.log(np.exp(scores - best).sum(0)), np.float32)


def energy(scores: Planes) -> Planes:
    """Minus the log of the sum of exponentials (Liu et al., "Energy-based Out-of-distribution Detection", 2020)."""
    return -_log_sum_exp(scores)


def max_logit(scores: Planes) -> Planes:
    """Minus the highest score (Hendrycks et al., "Scaling Out-of-Distribution Detection", 2022)."""
    return np.asarray(-scores.max(0), np.float32)


def entropy(scores: Planes) -> Planes:
    """Entropy of the softmax over that of equal probabilities, 0..1."""
    logarithms = scores - _log_sum_exp(scores)
    return np.asarray(-(np.exp(logarithms) * logarithms).sum(0) / np.log(len(scores)), np.float32)


UNKNOWN_SCORES: Mapping[str, Callable[[Planes], Planes]] = {
    "energy": energy,
    "max_logit": max_logit,
    "entropy": entropy,
}
"""Name -> function of Khw scores, divided by the temperature, to hw; higher is less known."""


@dataclass(frozen=True)
class FrameStatistics:
    """What the frames look like that the model knows: mean and spread of the D numbers of `describe`.

    Attributes:
        mean: Mean over frames.
        spread: Standard deviation over frames, above 0.
        usual: Distance that 95 % of the frames stay below, above 0.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    usual: float

    def __post_init__(self) -> None:
        spreads_are_positive = all(0 < each < np.inf for each in (*self.spread, self.usual))
        if len(self.mean) != len(self.spread) or not np.isfinite(self.mean).all() or not spreads_are_positive:
            raise ValueError("the statistics of frames are no means and spreads above 0")

    @classmethod
    def of(cls, descriptions: npt.NDArray[np.float64]) -> FrameStatistics:
        """Statistics of frames, FxD, of which there must be at least two."""
        spread = np.maximum(descriptions.std(0), 0.02 * np.abs(descriptions).max(0) + 1e-6)
        mean = descriptions.mean(0)
        distances = [_distance(each, mean, spread) for each in descriptions]
        return cls(tuple(mean.tolist()), tuple(spread.tolist()), max(float(np.percentile(distances, 95)), 1e-6))

    def shift(self, description: npt.NDArray[np.float64]) -> float:
        """How unlike these frames another one is: 1 = as far off as their 95th percentile, 2 = twice as far."""
        return _distance(description, np.array(self.mean), np.array(self.spread)) / self.usual


def _distance(description: npt.NDArray[np.float64], mean: Any, spread: Any) -> float:
    return float(np.sqrt(np.mean(((description - mean) / spread) ** 2)))


def describe(rgb: npt.NDArray[np.uint8], scores: Planes) -> npt.NDArray[np.float64]:
    """A frame in a few numbers: its colours and grain, the shares of the classes, and the spread of the scores.

    Args:
        rgb: HxWx3 uint8, the network's input; only every eighth row is used, and for the colours every eighth column.
        scores: Khw float32; only every fourth row and column is used.

    Returns:
        D = 7 + 3K float64: mean and standard deviation of R, G, B (0..1), the mean difference between neighbours in a
        row (0..1), the share of each class, the mean of each class's scores and their standard deviation.
    """
    rows = np.ascontiguousarray(rgb[::8])
    mean, deviation = cv2.meanStdDev(np.ascontiguousarray(rows[:, ::8]))
    grain = cv2.mean(cv2.absdiff(rows[:, 1:], rows[:, :-1]))[:3]
    planes = scores[:, ::4, ::4].reshape(len(scores), -1)
    shares = np.bincount(planes.argmax(0), minlength=len(scores)) / planes.shape[1]
    colours = mean.ravel() / 255, deviation.ravel() / 255, [np.mean(grain) / 255]
    parts = *colours, shares, planes.mean(1), planes.std(1)
    return np.concatenate(parts).astype(np.float64)


def _description_length(num_classes: int) -> int:
    return 7 + 3 * num_classes


@dataclass(frozen=True)
class Calibration:
    """See the module.

    Attributes:
        temperature: Scores are divided by it before they become probabilities (Guo et al., "On Calibration of Modern
            Neural Networks", 2017).
        unknown_score: One of `UNKNOWN_SCORES`.
        unknown_threshold: Pixels with a higher score are unknown terrain; None = never measured.
        frames: What the frames look like that the model knows; None = never measured.
        data: Frames it was measured on, in words.
        measured: Figures of the measurement by name.
    """

    temperature: float = 1.0
    unknown_score: str = "entropy"
    unknown_threshold: float | None = None
    frames: FrameStatistics | None = None
    data: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature is {self.temperature}, expected more than 0")
        if self.unknown_threshold is not None and not np.isfinite(self.unknown_threshold):
            raise ValueError(f"unknown_threshold is {self.unknown_threshold}, expected a number")
        if self.unknown_score not in UNKNOWN_SCORES:
            raise ValueError(f"there is no score for unknown terrain {self.unknown_score!r}")

    def unknown(self, scores: Planes) -> Planes:
        """Score for unknown terrain, hw, from the engine's Khw scores."""
        return UNKNOWN_SCORES[self.unknown_score](scores / np.float32(self.temperature))

    def to_dict(self) -> dict[str, Any]:
        """Plain content for JSON; `calibration_from_dict` is its inverse."""
        return asdict(self) | {"measured": dict(self.measured)}


def calibration_from_dict(content: Mapping[str, Any], num_classes: int) -> Calibration:
    """Read what `Calibration.to_dict` made; raises TypeError, KeyError or ValueError if it is something else.

    Statistics of frames that an earlier version described by other numbers count as never measured.
    """
    values = dict(content)
    frames = values.pop("frames")
    if frames is not None:
        frames = FrameStatistics(tuple(frames["mean"]), tuple(frames["spread"]), frames["usual"])
        if len(frames.mean) != _description_length(num_classes):
            frames = None
    return Calibration(**values, frames=frames)
