"""Dataset folders: `Color_Images/` beside `Segmentation/`, or `images/` beside `labels/`, paired by name.

Images are 8-bit colour, masks single-channel PNG with raw values, palette PNG whose indices are the values, or colours
if the label map has colours; the label map turns them into classes. A labelled image with an EXIF rotation is refused,
because its mask may have been drawn before or after it. Knows nothing of training.

Shape letters: H, W, K classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.images import (
    folders_with_images,
    is_image_name,
    list_images,
    read_color_mask,
    read_image,
    read_mask,
    read_orientation,
)
from desert_seg.labels import LabelMap
from desert_seg_train.pairing import pair

LAYOUTS = (("Color_Images", "Segmentation"), ("images", "labels"))
"""Names of the folder of images and the folder of masks; the first that exists is used."""

TURNED = "found EXIF orientation {}, expected 1: whether its mask fits the picture as shown or as stored is not known"
TURNED_CURE = "turn the pixels of the image (mogrify -auto-orient) or delete the tag (exiftool -Orientation=)"


def image_and_mask_folders(root: Path) -> tuple[Path, Path]:
    """The folders of images and masks in a dataset folder, by `LAYOUTS`; the first layout if neither exists."""
    for images, masks in LAYOUTS:
        if (root / images).is_dir():
            return root / images, root / masks
    return root / LAYOUTS[0][0], root / LAYOUTS[0][1]


def labelled_folders(root: Path) -> tuple[Path, Path]:
    """Where a labelled folder keeps images and masks, by `LAYOUTS`.

    Raises:
        DataError: It is laid out in another way; what it holds is named.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give one with images and masks")
    if not any((root / images).is_dir() for images, _ in LAYOUTS):
        expected = " or ".join(f"{images}/ beside {masks}/" for images, masks in LAYOUTS)
        here = ["the folder itself"] if any(is_image_name(path) for path in root.iterdir()) else []
        places = ", ".join([*here, *folders_with_images(root)])
        if any(root.glob("*.json")):
            cure = "if its .json files are labelme's, make masks of them with `desert-seg read-labels`"
        else:
            cure = f"move the images into {LAYOUTS[0][0]}/ and their masks, named like them, into {LAYOUTS[0][1]}/"
        raise DataError(f"{root}: found {f'images in {places}' if places else 'no image'}, expected {expected}; {cure}")
    images, masks = image_and_mask_folders(root)
    if not masks.is_dir():
        others = [name for name in folders_with_images(root) if name != images.name]
        also = f", and images in {', '.join(others)}" if others else ""
        raise DataError(f"{root}: found {images.name}/ but no {masks.name}/{also}; put the masks into {masks.name}/")
    return images, masks


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


def check_not_turned(path: Path) -> None:
    """Raise DataError for an image or a mask with an EXIF rotation."""
    if (orientation := read_orientation(path)) != 1:
        raise DataError(f"{path}: {TURNED.format(orientation)}; {TURNED_CURE}")


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
        image_folder, mask_folder = labelled_folders(self.root)
        found = pair(list_images(image_folder), list_images(mask_folder))
        if found.ambiguous:
            images, masks = found.ambiguous[0]
            names = [f"{path.parent.name}/{path.name}" for path in (*images, *masks)]
            raise DataError(
                f"{self.root}: {', '.join(names)} are named alike, expected one image and one mask; rename or move "
                "away what does not belong"
            )
        self.pairs = found.pairs
        if found.images_alone:
            first = found.images_alone[0]
            similar = [mask.name for mask in found.masks_alone if mask.name.startswith(first.stem)]
            hint = f", though {similar[0]} begins alike" if similar else ""
            raise DataError(
                f"{self.root}: {len(found.images_alone)} of {len(self.pairs) + len(found.images_alone)} images have no "
                f"mask in {mask_folder.name}/ (first: {first.name}{hint}); add the masks, name them like the images or "
                "move the images away"
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Decode one frame; raises DataError naming the file if it is unreadable or its mask has another size."""
        image_path, mask_path = self.pairs[index]
        for path in (image_path, mask_path):
            check_not_turned(path)
        image, raw = read_image(image_path), self.raw_mask(index)
        if image.shape[:2] != raw.shape:
            raise DataError(
                f"{mask_path}: found a mask of {raw.shape[1]}x{raw.shape[0]}, expected the image's "
                f"{image.shape[1]}x{image.shape[0]}; export the mask at the image's size"
            )
        return Sample(image_path.stem, image, self.label_map.apply(raw, str(mask_path)))

    def raw_mask(self, index: int) -> npt.NDArray[Any]:
        """The mask of a frame as stored, see `read_raw_mask`."""
        return read_raw_mask(self.pairs[index][1], self.label_map)

    def class_counts(self, index: int) -> npt.NDArray[np.int64]:
        """Pixels of each class in one frame, K int64; raises DataError as decoding the frame does."""
        num_classes = len(self.label_map.labels)
        return np.bincount(self[index].target.ravel(), minlength=num_classes)[:num_classes]
