"""Going through a dataset folder: images beside masks, paired by file stem.

Every pair is looked at by itself, several at a time, so that one bad file hides no other. Knows nothing of reports.

Shape letters: K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.images import list_images
from desert_seg.labels import LabelMap
from desert_seg_train.folder import image_and_mask_folders, scene_of
from desert_seg_train.inspect.fault import Fault
from desert_seg_train.inspect.image_check import ImageMeasures, check_image
from desert_seg_train.inspect.mask_check import check_mask

Progress = Callable[[Iterable["Frame"], int], Iterable["Frame"]]
"""Wraps an iterable and its length in a progress display."""


@dataclass(frozen=True)
class Frame:
    """One image with its mask.

    Attributes:
        image_path: The image file.
        mask_path: The mask file.
        image: None if the image has a fault.
        counts: K+1 int64 pixels per class and, last, ignored; None if the mask has a fault.
        faults: What is wrong with either file.
    """

    image_path: Path
    mask_path: Path
    image: ImageMeasures | None
    counts: npt.NDArray[np.int64] | None
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        """File stem of image and mask."""
        return self.image_path.stem

    @property
    def scene(self) -> str:
        """The drive or place, see `scene_of`."""
        return scene_of(self.name)


@dataclass(frozen=True)
class Survey:
    """A folder after all of its files were looked at: `frames` are the pairs, `faults` everything found wrong."""

    root: Path
    frames: tuple[Frame, ...]
    faults: tuple[Fault, ...]


def survey(root: Path, label_map: LabelMap, progress: Progress) -> Survey:
    """Look at every file of a dataset folder.

    Raises:
        DataError: The folder of images or of masks is missing or holds no image at all.
    """
    image_folder, mask_folder = image_and_mask_folders(root)
    images, image_faults = _by_stem(image_folder)
    masks, mask_faults = _by_stem(mask_folder)
    stems = sorted(images.keys() & masks.keys())
    with ThreadPoolExecutor() as pool:
        looks = pool.map(lambda stem: _look(images[stem], masks[stem], label_map), stems)
        frames = tuple(progress(looks, len(stems)))
    faults = [*image_faults, *mask_faults, *_unpaired(images, masks, image_folder.name, mask_folder.name)]
    return Survey(root, frames, (*faults, *(fault for frame in frames for fault in frame.faults)))


def _look(image_path: Path, mask_path: Path, label_map: LabelMap) -> Frame:
    image = check_image(image_path)
    counts = check_mask(mask_path, label_map, None if isinstance(image, Fault) else image.size)
    return Frame(
        image_path,
        mask_path,
        None if isinstance(image, Fault) else image,
        None if isinstance(counts, Fault) else counts,
        tuple(fault for fault in (image, counts) if isinstance(fault, Fault)),
    )


def _by_stem(folder: Path) -> tuple[dict[str, Path], list[Fault]]:
    """The files of a folder by stem, and a fault for every file whose stem another file has, too."""
    files: dict[str, Path] = {}
    faults = []
    for path in list_images(folder):
        kept = files.setdefault(path.stem, path)
        if kept is not path:
            found = f"{kept.name} has the same stem, so the pair is ambiguous"
            faults.append(Fault("stem used twice", path, found, "delete or rename one of the two"))
    return files, faults


def _unpaired(images: dict[str, Path], masks: dict[str, Path], image_folder: str, mask_folder: str) -> Iterator[Fault]:
    for stem in sorted(images.keys() - masks.keys()):
        found = f"there is no mask {mask_folder}/{stem}.png"
        yield Fault("no mask", images[stem], found, "add the mask or move the image away")
    for stem in sorted(masks.keys() - images.keys()):
        found = f"there is no image {stem} in {image_folder}/"
        yield Fault("no image", masks[stem], found, "add the image or move the mask away")
