"""The images of an export: those that int8 is calibrated with and those that engines are compared on.

If both come from one folder, each gets every other image, so that int8 is judged on images it was not calibrated with.
Knows nothing of engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.dataset_folder import LAYOUTS, image_and_mask_folders
from desert_seg.errors import DataError
from desert_seg.image_folder import list_images
from desert_seg.images import read_image
from desert_seg.labels import LabelMap
from desert_seg_train.export.config import ExportConfig
from desert_seg_train.folder import SegmentationFolder

MAX_CALIBRATION_IMAGES = 32


@dataclass(frozen=True)
class Frame:
    """An image file, and where its mask is if it has one."""

    path: Path
    labelled: SegmentationFolder | None = None
    index: int = 0

    def read(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """HxWx3 uint8 RGB, and HxW uint8 class indices (255 = ignore) or None; raises DataError naming a bad file."""
        if self.labelled is None:
            return read_image(self.path), None
        sample = self.labelled[self.index]
        return sample.image, sample.target


@dataclass(frozen=True)
class Frames:
    """`calibration` is empty without int8, `judged` without images."""

    calibration: tuple[Frame, ...]
    judged: tuple[Frame, ...]


def choose_frames(config: ExportConfig, label_map: LabelMap) -> Frames:
    """List the images of the given folders.

    Raises:
        DataError: A folder is missing or empty or lacks masks, or there are none to calibrate int8 with.
    """
    if config.max_images <= 0:
        raise DataError(f"found max_images {config.max_images}, expected a positive number")
    labelled = _list(config.labelled, label_map, needs_masks=True) if config.labelled else ()
    images = _list(config.images, label_map, needs_masks=False) if config.images else ()
    if not config.int8:
        return Frames((), _spread(labelled or images, config.max_images))
    if not labelled and not images:
        raise DataError("int8 has to be calibrated on real images, found none; give --images FOLDER")
    if labelled and images:
        calibration, judged = images, labelled
    else:
        both = labelled or images
        calibration, judged = both[::2], both[1::2] or both
    return Frames(_spread(calibration, MAX_CALIBRATION_IMAGES), _spread(judged, config.max_images))


def _list(root: Path, label_map: LabelMap, needs_masks: bool) -> tuple[Frame, ...]:
    if not needs_masks and not any((root / images).is_dir() for images, _ in LAYOUTS):
        return tuple(Frame(path) for path in list_images(root))
    images, masks = image_and_mask_folders(root)
    if not needs_masks and not masks.is_dir():
        return tuple(Frame(path) for path in list_images(images))
    folder = SegmentationFolder(root, label_map)
    return tuple(Frame(path, folder, index) for index, (path, _) in enumerate(folder.pairs))


def _spread(frames: Sequence[Frame], most: int) -> tuple[Frame, ...]:
    """At most `most` of them, evenly spread over the sequence."""
    step = max(1.0, len(frames) / most)
    return tuple(frames[int(number * step)] for number in range(min(most, len(frames))))
