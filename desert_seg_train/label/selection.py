"""Chooses the frames worth labelling: those that the model is unsure of and that differ from those chosen before.

The greedy k-centre rule (Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
Approach", 2018), with distances weighted by uncertainty. Knows nothing of files.

Shape letters: N frames, D descriptor, K classes, h, w score grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desert_seg.calibration import FrameStatistics, describe, entropy
from desert_seg.segmenter import Segmenter, SegmentOptions

MIN_DISTANCE = 0.05
"""A frame that is nearer than this to a chosen one shows nothing new."""


@dataclass(frozen=True)
class Candidate:
    """A frame in a few numbers.

    Attributes:
        name: Name of the frame.
        uncertainty: Mean entropy of the class probabilities, 0..1.
        hesitation: The two classes that most of it is between.
        description: D float64, see `desert_seg.calibration.describe`.
    """

    name: str
    uncertainty: float
    hesitation: tuple[str, str]
    description: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """A chosen frame: its position, and its distance to the nearest chosen before, inf for the first.

    Distances are in standard deviations over all frames, root mean square over the descriptor.
    """

    index: int
    distance: float


def assess(name: str, rgb: npt.NDArray[np.uint8], segmenter: Segmenter) -> Candidate:
    """Assess a frame, HxWx3 uint8 RGB, in a single view."""
    (scored,) = segmenter.score([rgb], SegmentOptions())
    doubt = entropy(scored.scores / np.float32(segmenter.calibration.temperature))
    ranking = np.argsort(scored.scores, axis=0)
    num_classes = len(ranking)
    pairs = np.bincount((ranking[-1] * num_classes + ranking[-2]).ravel(), doubt.ravel())
    best, second = divmod(int(pairs.argmax()), num_classes)
    hesitation = segmenter.labels.names[best], segmenter.labels.names[second]
    return Candidate(name, float(doubt.mean()), hesitation, describe(scored.image, scored.scores))


def choose(candidates: Sequence[Candidate], count: int) -> list[Choice]:
    """Choose at most `count` of at least one candidates, the best first; fewer if the rest shows nothing new."""
    descriptions = np.stack([candidate.description for candidate in candidates])
    uncertainty = np.array([candidate.uncertainty for candidate in candidates])
    statistics = FrameStatistics.of(descriptions)
    points = (descriptions - statistics.mean) / statistics.spread
    choices: list[Choice] = []
    distances = np.full(len(points), np.inf)
    best = int(uncertainty.argmax())
    while len(choices) < count and distances[best] >= MIN_DISTANCE:
        choices.append(Choice(best, float(distances[best])))
        distances = np.minimum(distances, np.sqrt(np.mean((points - points[best]) ** 2, axis=1)))
        best = int((uncertainty * distances).argmax())
    return choices
