"""The pixels that a calibration looks at: a model's scores beside the truth, on a grid over every frame.

Shape letters: N pixels, K classes, D descriptor.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.calibration import describe
from desert_seg.labels import IGNORE
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.evaluate.measuring import Progress
from desert_seg_train.folder import SegmentationFolder, scene_of

STEP = 2
"""Every second row and column of the scores is looked at; neighbours say the same twice."""


@dataclass(frozen=True)
class Pixels:
    """See the module.

    Attributes:
        scores: NxK float32, as they come from the engine.
        targets: N uint8, `IGNORE` where nothing is scored.
        is_unknown: N bool, things that the model was never taught.
        group: N uint8, 0 or 1: one half of the scenes or the other; of the frames where there is one scene.
        descriptions: FxD, of every frame; see `desert_seg.calibration.describe`.
    """

    scores: npt.NDArray[np.float32]
    targets: npt.NDArray[np.uint8]
    is_unknown: npt.NDArray[np.bool_]
    group: npt.NDArray[np.uint8]
    descriptions: npt.NDArray[np.float64]


def collect(
    segmenter: Segmenter, folder: SegmentationFolder, unknown_values: Collection[int], progress: Progress
) -> Pixels:
    """Score every frame.

    Args:
        segmenter: The model.
        folder: Labelled frames with the model's classes.
        unknown_values: Raw values of the masks.
        progress: Display for the frames done.

    Raises:
        DataError: A file is unusable.
    """
    groups = _halves([scene_of(image.stem) for image, _ in folder.pairs])
    parts, descriptions = [], []
    for index in progress(range(len(folder)), len(folder)):
        sample = folder[index]
        scored = segmenter.score([sample.image], SegmentOptions())[0]
        descriptions.append(describe(scored.image, scored.scores))
        planes = scored.scores[:, ::STEP, ::STEP]
        size = scored.scores.shape[:0:-1]
        unknown = np.isin(folder.raw_mask(index), list(unknown_values)).astype(np.uint8)
        target, is_unknown = (
            np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST_EXACT)[::STEP, ::STEP], np.uint8).ravel()
            for plane in (sample.target, unknown)
        )
        group = np.full(target.shape, groups[index], np.uint8)
        parts.append((planes.reshape(len(planes), -1).T, target, is_unknown, group))
    scores, targets, unknown, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    is_unknown = (unknown != 0) & (targets == IGNORE)
    return Pixels(np.asarray(scores, np.float32), targets, is_unknown, group, np.stack(descriptions))


def _halves(scenes: list[str]) -> list[int]:
    """0 or 1 for every frame."""
    known = sorted(set(scenes))
    return [known.index(scene) % 2 for scene in scenes] if len(known) > 1 else [n % 2 for n in range(len(scenes))]
