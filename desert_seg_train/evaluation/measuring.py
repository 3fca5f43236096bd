"""Going through a labelled folder once with a model, through the robot's own inference path, counting as it goes.

No more than one frame is held. Knows nothing of reports.

Shape letters: N frames, K classes, B bands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.images import read_mask
from desert_seg.labels import LabelMap, load_label_map, shipped_label_maps
from desert_seg.scoring import count
from desert_seg.segmenter import Segmentation, Segmenter, SegmentOptions
from desert_seg_train.evaluation.boundary import BoundaryCounts
from desert_seg_train.evaluation.measurement import NUM_BANDS, Measurement, Setting
from desert_seg_train.evaluation.reliability import Reliability
from desert_seg_train.folder import Sample, SegmentationFolder, image_and_mask_folders

Item = TypeVar("Item")


class Progress(Protocol):
    """Wraps an iterable and its length in a progress display."""

    def __call__(self, items: Iterable[Item], total: int) -> Iterable[Item]:
        """The items, as they are."""
        ...


@dataclass(frozen=True)
class TestSet:
    """A labelled folder of which every file was found usable.

    Attributes:
        folder: The frames.
        truth: NxK int64, scored pixels of each class in each frame.
        beside: Other label maps with the same classes that read these masks, too, but read them differently.
    """

    __test__ = False  # pytest, this is no test

    folder: SegmentationFolder
    truth: npt.NDArray[np.int64]
    beside: tuple[LabelMap, ...]

    @property
    def label_map(self) -> LabelMap:
        """What the raw values of the masks mean."""
        return self.folder.label_map

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the classes that no frame holds."""
        names = self.label_map.labels.names
        return tuple(name for name, pixels in zip(names, self.truth.sum(0), strict=True) if not pixels)


def open_test_set(root: Path, label_map_name: str, segmenter: Segmenter, progress: Progress) -> TestSet:
    """Look at every file of a folder before anything is measured on it.

    Args:
        root: The folder.
        label_map_name: Label map by name or path; empty = the model's own.
        segmenter: The model that is to be measured.
        progress: Display for the frames looked at.

    Raises:
        DataError: The folder has no images or no masks, a file is unusable, the label map does not fit the model or
            the masks, or nothing is left to score.
    """
    own = segmenter.card.label_map
    label_map = load_label_map(label_map_name) if label_map_name else own
    if label_map.labels.names != segmenter.labels.names:
        raise DataError(
            f"label map {label_map.name} has classes {', '.join(label_map.labels.names)}, the model predicts "
            f"{', '.join(segmenter.labels.names)}; choose a label map with the model's classes"
        )
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give one with images and masks")
    images, masks = image_and_mask_folders(root)
    if images.is_dir() and not masks.is_dir():
        raise DataError(
            f"{root}: found {images.name}/ but no {masks.name}/, expected a mask for every image; a model can only be "
            "measured on labelled frames"
        )
    folder = SegmentationFolder(root, label_map)
    with ThreadPoolExecutor() as pool:
        looks = pool.map(lambda index: _look(folder, index), range(len(folder)))
        rows = list(progress(looks, len(folder)))
    truth = np.stack([pixels for pixels, _ in rows])
    if not truth.any():
        raise DataError(
            f"{root}: label map {label_map.name} ignores every pixel of all {len(folder)} masks; choose another with "
            "--label-map"
        )
    return TestSet(folder, truth, _readings_beside(label_map, own, set().union(*(values for _, values in rows))))


def _look(folder: SegmentationFolder, index: int) -> tuple[npt.NDArray[np.int64], set[int]]:
    """Pixels per class and raw values of one frame; raises DataError naming the file if it is unusable."""
    mask_path = folder.pairs[index][1]
    assert mask_path is not None
    return folder.class_counts(index), set(np.flatnonzero(np.bincount(read_mask(mask_path).ravel())).tolist())


def _readings_beside(label_map: LabelMap, own: LabelMap, values: set[int]) -> tuple[LabelMap, ...]:
    """The model's own and the shipped label maps that know these values and give them the same classes differently."""
    found: list[LabelMap] = []
    for candidate in (own, *map(load_label_map, shipped_label_maps())):
        known = (label_map, *found)
        fits = candidate.labels.names == label_map.labels.names and values <= candidate.values.keys()
        readings = [{value: each.values.get(value) for value in values} for each in (*known, candidate)]
        if fits and readings[-1] not in readings[:-1] and candidate.name not in {each.name for each in known}:
            found.append(candidate)
    return tuple(found)


def measure(
    segmenter: Segmenter,
    test_set: TestSet,
    setting: Setting,
    progress: Progress,
    keep: Callable[[Sample, Segmentation], None] = lambda sample, result: None,
) -> Measurement:
    """Segment every frame and count.

    Args:
        segmenter: The model.
        test_set: The frames.
        setting: How to segment them.
        progress: Display for the frames done.
        keep: Called with every frame and its result, which are forgotten afterwards.

    Raises:
        DataError: A file changed since the test set was opened.
    """
    num_classes = len(segmenter.labels)
    bias = segmenter.suppress(setting.suppressed)
    options = SegmentOptions(setting.views, bias, scale=setting.scale, want_confidence=True)
    names, sizes, confusions, latency = [], [], [], []
    beside = {label_map.name: np.zeros((num_classes, num_classes + 1), np.int64) for label_map in test_set.beside}
    bands = np.zeros((NUM_BANDS, num_classes, num_classes + 1), np.int64)
    boundary, reliability = BoundaryCounts.none(num_classes), Reliability.none()
    segmenter.warm_up(options)
    for index in progress(range(len(test_set.folder)), len(test_set.folder)):
        sample = test_set.folder[index]
        result = segmenter.segment(sample.image, options)
        assert result.confidence is not None
        in_bands = count_bands(sample.target, result.mask, num_classes)
        bands += in_bands
        confusions.append(in_bands.sum(0))
        boundary += BoundaryCounts.of(sample.target, result.mask, num_classes)
        reliability += Reliability.of(sample.target, result.mask, result.confidence)
        for label_map in test_set.beside:
            beside[label_map.name] += count(_target(test_set, index, label_map), result.mask, num_classes)
        stages = (result.resize_ms, result.inference_ms, result.decode_ms)
        latency.append((*stages, sum(stages)))
        names.append(sample.name)
        sizes.append((sample.image.shape[1], sample.image.shape[0]))
        keep(sample, result)
    return Measurement(
        setting=setting,
        names=tuple(names),
        sizes=tuple(sizes),
        confusions=np.stack(confusions),
        beside=beside,
        bands=bands,
        boundary=boundary,
        reliability=reliability,
        latency_ms=np.array(latency),
    )


def count_bands(target: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], num_classes: int) -> npt.NDArray[np.int64]:
    """Count each of `NUM_BANDS` horizontal bands of a frame; BxKx(K+1) int64, the topmost band first.

    Args:
        target: HxW uint8 truth.
        mask: HxW uint8 prediction.
        num_classes: K.
    """
    edges: Sequence[int] = np.linspace(0, target.shape[0], NUM_BANDS + 1).round().astype(int).tolist()
    return np.stack([count(target[top:bottom], mask[top:bottom], num_classes) for top, bottom in pairwise(edges)])


def _target(test_set: TestSet, index: int, label_map: LabelMap) -> npt.NDArray[np.uint8]:
    """The truth of a frame as another label map reads it."""
    mask_path = test_set.folder.pairs[index][1]
    assert mask_path is not None
    return label_map.apply(read_mask(mask_path), str(mask_path))
