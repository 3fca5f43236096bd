"""Checks all files of a dataset folder: images and masks, paired by name.

Pairs are checked independently and in parallel, so that a bad file does not hide others. Knows nothing of reports.

Shape letters: K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.dataset_folder import labelled_folders
from desert_seg.image_folder import list_images
from desert_seg.images import read_image
from desert_seg.labels import LabelMap
from desert_seg.pairing import Pairing, pair
from desert_seg_train.folder import read_raw_mask, scene_of
from desert_seg_train.inspect.fault import Fault
from desert_seg_train.inspect.image_check import ImageMeasures, check_image
from desert_seg_train.inspect.mask_check import MaskMeasures, check_mask
from desert_seg_train.mask_signs import MaskSigns, signs_of

Progress = Callable[[Iterable["Frame"], int], Iterable["Frame"]]
"""Wraps an iterable and its length in a progress display."""


@dataclass(frozen=True)
class Frame:
    """One image with its mask.

    Attributes:
        image_path: The image file.
        mask_path: The mask file.
        image: None if the image has a fault.
        mask: None if the mask has a fault.
        signs: Of the mask; None if either has a fault.
        faults: What is wrong with either file.
    """

    image_path: Path
    mask_path: Path
    image: ImageMeasures | None
    mask: MaskMeasures | None
    signs: MaskSigns | None
    faults: tuple[Fault, ...]

    @property
    def counts(self) -> npt.NDArray[np.int64] | None:
        """K+1 int64 pixels per class and, last, ignored; None if the mask has a fault."""
        return None if self.mask is None else self.mask.counts

    @property
    def name(self) -> str:
        """File stem of the image."""
        return self.image_path.stem

    @property
    def scene(self) -> str:
        """The drive or place, see `scene_of`."""
        return scene_of(self.name)


@dataclass(frozen=True)
class Survey:
    """A checked folder: `frames` are its pairs, `faults` everything that is wrong."""

    root: Path
    frames: tuple[Frame, ...]
    faults: tuple[Fault, ...]


def survey(root: Path, label_map: LabelMap, progress: Progress) -> Survey:
    """Check every file of a dataset folder.

    Raises:
        DataError: The folder of images or of masks is missing or holds no image at all.
    """
    image_folder, mask_folder = labelled_folders(root)
    found = pair(list_images(image_folder), list_images(mask_folder))
    with ThreadPoolExecutor() as pool:
        looks = pool.map(lambda files: _look(files[0], files[1], label_map), found.pairs)
        frames = tuple(progress(looks, len(found.pairs)))
    faults = [*_ambiguous(found), *_alone(found, image_folder.name, mask_folder.name)]
    return Survey(root, frames, (*faults, *(fault for frame in frames for fault in frame.faults)))


def _look(image_path: Path, mask_path: Path, label_map: LabelMap) -> Frame:
    image = check_image(image_path)
    mask = check_mask(mask_path, label_map, None if isinstance(image, Fault) else image.size)
    faults = tuple(fault for fault in (image, mask) if isinstance(fault, Fault))
    signs = None
    if not faults:  # decoded again, because nobody keeps the pixels of an image beside those of its mask
        signs = signs_of(mask_path, read_image(image_path), read_raw_mask(mask_path, label_map), label_map)
    return Frame(
        image_path,
        mask_path,
        None if isinstance(image, Fault) else image,
        None if isinstance(mask, Fault) else mask,
        signs,
        faults,
    )


def _ambiguous(found: Pairing) -> Iterator[Fault]:
    """A fault for every file named like another of its kind, so that its partner is ambiguous."""
    for alike in found.ambiguous:
        for first, *others in alike:
            for path in others:
                reason = f"{first.name} is named like it, so the pair is ambiguous"
                yield Fault("named alike", path, reason, "delete or rename one of the two")


def _alone(found: Pairing, image_folder: str, mask_folder: str) -> Iterator[Fault]:
    for image in found.images_alone:
        similar = found.similar_mask(image)
        reason = f"there is no mask {mask_folder}/{image.stem}.png"
        reason += f", though {similar} begins alike" if similar else ""
        yield Fault("no mask", image, reason, "add the mask, name it like the image or move the image away")
    for mask in found.masks_alone:
        reason = f"there is no image {mask.stem} in {image_folder}/"
        yield Fault("no image", mask, reason, "add the image or move the mask away")
