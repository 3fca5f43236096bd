"""The frames of a labelled dataset folder, see `desert_seg.dataset_folder`, with masks as classes.

Images are 8-bit colour, masks single-channel PNG with raw values, palette PNG whose indices are the values, or colours
if the label map has colours; the label map turns them into classes. Knows nothing of training.

Shape letters: H, W, K classes.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.dataset_folder import check_not_turned, paired, without_image, without_mask
from desert_seg.errors import DataError
from desert_seg.images import read_color_mask, read_image, read_mask
from desert_seg.labels import LabelMap

_log = logging.getLogger(__name__)


def scene_of(stem: str) -> str:
    """Leading letters of a frame's file stem, which name the drive or place in the datasets we know; may be empty."""
    found = re.match(r"[^\W\d_]*", stem)
    return found.group() if found else ""


def read_raw_mask(path: Path, label_map: LabelMap) -> npt.NDArray[Any]:
    """The values of a mask as the label map names them: HxW uint8 or uint16, or uint32 if its keys are colours.

    Raises:
        DataError: The file is not such a mask.
    """
    return read_color_mask(path) if label_map.in_color else read_mask(path)


def cure_of_size(raw: npt.NDArray[Any], size: tuple[int, int]) -> str:
    """What to do with a mask that has not its image's width and height."""
    if raw.shape == size:
        return "turn one of the two by 90 degrees, or, if rows and columns were exchanged, write mask.T in NumPy"
    return "export the mask at the image's size; never resize with interpolation"


def class_counts(target: npt.NDArray[np.uint8], num_classes: int) -> npt.NDArray[np.int64]:
    """Pixels of each class in a target, K int64."""
    return np.bincount(target.ravel(), minlength=num_classes)[:num_classes]


@dataclass(frozen=True)
class Sample:
    """One labelled frame: `image` HxWx3 uint8 RGB, `target` HxW uint8 class indices with 255 = ignore."""

    name: str
    image: npt.NDArray[np.uint8]
    target: npt.NDArray[np.uint8]


class SegmentationFolder:
    """A folder of labelled frames, decoded on access, in file-name order."""

    def __init__(self, root: str | Path, label_map: LabelMap) -> None:
        """Pair images with masks.

        Raises:
            DataError: A folder is missing or empty, or an image has no mask, or several.
        """
        self.root, self.label_map = Path(root), label_map
        found = paired(self.root)
        self.pairs = found.pairs
        if alone := without_mask(self.root, found):
            raise DataError(f"{alone}; add the masks, name them like the images or move the images away")
        if alone := without_image(self.root, found):
            _log.warning("warning: %s; these are not used", alone)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Decode one frame; raises DataError as `stored` does, and for values that the label map does not name."""
        image, raw = self.stored(index)
        image_path, mask_path = self.pairs[index]
        return Sample(image_path.stem, image, self.label_map.apply(raw, str(mask_path)))

    def stored(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """A frame's image, HxWx3 uint8 RGB, and its mask as stored, see `read_raw_mask`.

        Raises:
            DataError: One is unreadable, or they differ in size.
        """
        image_path, mask_path = self.pairs[index]
        for path in (image_path, mask_path):
            check_not_turned(path)
        image, raw = read_image(image_path), self.raw_mask(index)
        size = image.shape[1], image.shape[0]
        if size != (raw.shape[1], raw.shape[0]):
            raise DataError(
                f"{mask_path}: found a mask of {raw.shape[1]}x{raw.shape[0]}, expected the image's "
                f"{size[0]}x{size[1]}; {cure_of_size(raw, size)}"
            )
        return image, raw

    def raw_mask(self, index: int) -> npt.NDArray[Any]:
        """The mask of a frame as stored, see `read_raw_mask`."""
        return read_raw_mask(self.pairs[index][1], self.label_map)

    def class_counts(self, index: int) -> npt.NDArray[np.int64]:
        """Pixels of each class in one frame, K int64; raises DataError as decoding the frame does."""
        return class_counts(self[index].target, len(self.label_map.labels))
