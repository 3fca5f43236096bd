"""One pass over a labelled folder with a model, through the robot's own inference path.

At most one frame is in memory. Knows nothing of reports.

Shape letters: N frames, K classes, B bands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from desert_seg.dataset_folder import image_and_mask_folders
from desert_seg.errors import DataError
from desert_seg.labels import LabelMap, load_label_map, shipped_label_maps
from desert_seg.scoring import count
from desert_seg.segmenter import Segmentation, Segmenter, SegmentOptions
from desert_seg_train.evaluate.boundary import BoundaryCounts
from desert_seg_train.evaluate.measurement import NUM_BANDS, Measurement, Setting
from desert_seg_train.evaluate.reliability import Reliability
from desert_seg_train.folder import Sample, SegmentationFolder

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
        beside: Other label maps with the same classes that also read these masks, but differently.
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
    """Check every file of a folder before anything is measured on it.

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
    return folder.class_counts(index), set(np.unique(folder.raw_mask(index)).tolist())


def _readings_beside(label_map: LabelMap, own: LabelMap, values: set[int]) -> tuple[LabelMap, ...]:
    """The model's own and the shipped label maps that know these values and give them the same classes differently."""
    found: list[LabelMap] = []
    for candidate in (own, *map(load_label_map, shipped_label_maps())):
        known = (label_map, *found)
        fits = candidate.labels.names == label_map.labels.names and candidate.in_color == label_map.in_color
        fits = fits and values <= candidate.values.keys()
        readings = [{value: each.values.get(value) for value in values} for each in (*known, candidate)]
        if fits and readings[-1] not in readings[:-1] and candidate.name not in {each.name for each in known}:
            found.append(candidate)
    return tuple(found)


def measure(
    segmenter: Segmenter,
    test_set: TestSet,
    settings: Sequence[Setting],
    progress: Progress,
    keep: Callable[[Sample, Segmentation], None] = lambda sample, result: None,
) -> list[Measurement]:
    """Segment every frame in every setting and count.

    The settings take turns on each frame, so that other load on the machine slows all of them alike.

    Args:
        segmenter: The model.
        test_set: The frames.
        settings: How to segment them, at least one.
        progress: Display for the frames done.
        keep: Called with every frame and its result in the first setting, which are forgotten afterwards.

    Raises:
        DataError: A file changed since the test set was opened.
    """
    beside = {label_map.name: label_map for label_map in test_set.beside}
    tallies = [_Tally(setting, len(segmenter.labels), beside) for setting in settings]
    options = [
        SegmentOptions(each.views, segmenter.suppress(each.suppressed), scale=each.scale, want_confidence=True)
        for each in settings
    ]
    for each in options:
        segmenter.warm_up(each)
    for index in progress(range(len(test_set.folder)), len(test_set.folder)):
        sample = test_set.folder[index]
        readings = {name: _target(test_set, index, label_map) for name, label_map in beside.items()}
        for number, (tally, how) in enumerate(zip(tallies, options, strict=True)):
            result = segmenter.segment(sample.image, how)
            tally.add(sample, result, readings)
            if not number:
                keep(sample, result)
    return [tally.measurement() for tally in tallies]


class _Tally:
    """Accumulates a `Measurement`, frame by frame."""

    def __init__(self, setting: Setting, num_classes: int, beside: Iterable[str]) -> None:
        self._setting, self._num_classes = setting, num_classes
        self._names: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._confusions: list[npt.NDArray[np.int64]] = []
        self._latency: list[tuple[float, ...]] = []
        self._beside = {name: np.zeros((num_classes, num_classes + 1), np.int64) for name in beside}
        self._bands = np.zeros((NUM_BANDS, num_classes, num_classes + 1), np.int64)
        self._boundary, self._reliability = BoundaryCounts.none(num_classes), Reliability.none()

    def add(self, sample: Sample, result: Segmentation, readings: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Count a frame; `readings` are its truth as the other label maps read it."""
        assert result.confidence is not None
        in_bands = count_bands(sample.target, result.mask, self._num_classes)
        self._bands += in_bands
        self._confusions.append(in_bands.sum(0))
        self._boundary += BoundaryCounts.of(sample.target, result.mask, self._num_classes)
        self._reliability += Reliability.of(sample.target, result.mask, result.confidence)
        for name, target in readings.items():
            self._beside[name] += count(target, result.mask, self._num_classes)
        stages = (result.resize_ms, result.inference_ms, result.decode_ms)
        self._latency.append((*stages, sum(stages)))
        self._names.append(sample.name)
        self._sizes.append((sample.image.shape[1], sample.image.shape[0]))

    def measurement(self) -> Measurement:
        """Of the frames so far, of which there must be at least one."""
        return Measurement(
            setting=self._setting,
            names=tuple(self._names),
            sizes=tuple(self._sizes),
            confusions=np.stack(self._confusions),
            beside=self._beside,
            bands=self._bands,
            boundary=self._boundary,
            reliability=self._reliability,
            latency_ms=np.array(self._latency),
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
    return label_map.apply(test_set.folder.raw_mask(index), str(test_set.folder.pairs[index][1]))
