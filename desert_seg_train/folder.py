"""Dataset folders: `Color_Images/` beside `Segmentation/`, or `images/` beside `labels/`, paired by file stem.

Images are 8-bit colour, masks 8- or 16-bit single-channel PNG with raw values, or palette PNG whose indices are the
values; a label map turns them into classes. Knows nothing of training or augmentation.

Shape letters: H, W, K classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.images import list_images, read_image, read_mask
from desert_seg.labels import LabelMap

LAYOUTS = (("Color_Images", "Segmentation"), ("images", "labels"))
"""Names of the folder of images and the folder of masks; the first one that is there is taken."""


def image_and_mask_folders(root: Path) -> tuple[Path, Path]:
    """Where a dataset folder keeps images and masks, by `LAYOUTS`; the first layout's names if it has neither."""
    for images, masks in LAYOUTS:
        if (root / images).is_dir():
            return root / images, root / masks
    return root / LAYOUTS[0][0], root / LAYOUTS[0][1]


def scene_of(stem: str) -> str:
    """Leading letters of a frame's file stem, which name the drive or place in the datasets we know; may be empty."""
    found = re.match(r"[^\W\d_]*", stem)
    return found.group() if found else ""


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
            DataError: A folder is missing or empty, or an image has no mask.
        """
        self.root, self.label_map = Path(root), label_map
        image_folder, mask_folder = image_and_mask_folders(self.root)
        masks = {path.stem: path for path in list_images(mask_folder)}
        self.pairs = [(path, masks.get(path.stem)) for path in list_images(image_folder)]
        missing = [image.name for image, mask in self.pairs if mask is None]
        if missing:
            raise DataError(
                f"{self.root}: {len(missing)} of {len(self.pairs)} images have no mask in {mask_folder.name}/ "
                f"(first: {missing[0]}); add the masks or move the images away"
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Decode one frame; raises DataError naming the file if it is unreadable or does not fit its mask."""
        image_path, mask_path = self.pairs[index]
        assert mask_path is not None
        image, raw = read_image(image_path), read_mask(mask_path)
        if image.shape[:2] != raw.shape:
            raise DataError(
                f"{mask_path}: found a mask of {raw.shape[1]}x{raw.shape[0]}, expected the image's "
                f"{image.shape[1]}x{image.shape[0]}; export the mask at the image's size"
            )
        return Sample(image_path.stem, image, self.label_map.apply(raw, str(mask_path)))

    def class_counts(self, index: int) -> npt.NDArray[np.int64]:
        """Pixels of each class in one frame, K int64; raises DataError as decoding the frame does."""
        num_classes = len(self.label_map.labels)
        return np.bincount(self[index].target.ravel(), minlength=num_classes)[:num_classes]
