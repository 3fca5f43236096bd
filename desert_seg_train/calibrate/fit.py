"""The numbers behind `desert-seg calibrate`. Knows nothing of frames or files.

Shape letters: N pixels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from desert_seg_train.evaluate.reliability import Reliability

MAX_TEMPERATURE = 20.0
"""Also one over the lowest."""


def fit_temperature(scores: npt.NDArray[np.float32], targets: npt.NDArray[np.uint8]) -> float:
    """The temperature at which the targets are likeliest (Guo et al., "On Calibration of Modern ...", 2017).

    Args:
        scores: NxK.
        targets: N classes, 0..K-1.
    """
    edge = float(np.log(MAX_TEMPERATURE))
    found = minimize_scalar(
        lambda logarithm: negative_log_likelihood(scores, targets, float(np.exp(logarithm))),
        bounds=(-edge, edge),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return float(np.exp(found.x))


def negative_log_likelihood(
    scores: npt.NDArray[np.float32], targets: npt.NDArray[np.uint8], temperature: float
) -> float:
    """Mean over pixels, in nats; arguments as of `fit_temperature`."""
    logarithms = log_softmax(scores / np.float32(temperature), axis=1)
    return float(-np.take_along_axis(logarithms, targets[:, None].astype(np.int64), axis=1).mean())


def reliability(scores: npt.NDArray[np.float32], targets: npt.NDArray[np.uint8], temperature: float) -> Reliability:
    """Reliability of the confidences; arguments as of `fit_temperature`."""
    confidence = np.exp(log_softmax(scores / np.float32(temperature), axis=1).max(1))
    levels = np.rint(confidence * 255).astype(np.uint8)
    return Reliability.of(targets, scores.argmax(1).astype(np.uint8), levels)


@dataclass(frozen=True)
class Detector:
    """How well a score separates the pixels to be found from the others.

    Attributes:
        auroc: Chance that a pixel to be found scores higher than another, ties counting half; 0.5 is guessing.
        fpr95: Share of the others that scores above what 95 % of the pixels to be found reach; 0 is perfect.
    """

    auroc: float
    fpr95: float

    @classmethod
    def of(cls, wanted: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> Detector:
        """Compute both; NaN if either group is empty."""
        if not len(wanted) or not len(others):
            return cls(float("nan"), float("nan"))
        ordered = np.sort(others)
        below, up_to = (np.searchsorted(ordered, wanted, side) for side in ("left", "right"))
        reached = np.quantile(wanted, 0.05)
        return cls(float((below + up_to).mean() / 2 / len(ordered)), float((others >= reached).mean()))
