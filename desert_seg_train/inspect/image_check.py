"""Checks one image file: whether it is intact, its colours, and a fingerprint to find similar images.

Knows nothing of masks, classes or other images.

Shape letters: H, W.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.dataset_folder import TURNED, TURNED_CURE
from desert_seg.errors import DataError
from desert_seg.images import read_image, read_orientation
from desert_seg.levels import uses_few_levels
from desert_seg_train.inspect.fault import Fault

CHANNELS = ("red", "green", "blue", "brightness")
FINGERPRINT_SIDE = 16


@dataclass(frozen=True)
class ImageMeasures:
    """Measurements of an image that are kept without its pixels.

    Attributes:
        size: Width and height, pixels.
        histograms: 4x256 int64, pixels per level of each of `CHANNELS`.
        fingerprint: 256 float32, each -1 or 1, see `fingerprint`.
        digest: SHA-256 of the decoded pixels and their shape.
        is_dim: It uses few levels, see `desert_seg.levels`.
    """

    size: tuple[int, int]
    histograms: npt.NDArray[np.int64]
    fingerprint: npt.NDArray[np.float32]
    digest: str
    is_dim: bool


def check_image(path: Path) -> ImageMeasures | Fault:
    """Decode an image as a training does and measure it, or return its fault."""
    try:
        orientation, rgb = read_orientation(path), read_image(path)
    except DataError as error:
        return unreadable(path, error)
    if orientation != 1:
        return turned(path, orientation)
    if (rgb == rgb[0, 0]).all():
        color = ", ".join(str(level) for level in rgb[0, 0].tolist())
        return Fault("constant image", path, f"every pixel is RGB ({color})", "record the frame again or move it away")
    brightness = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    planes = (*np.moveaxis(rgb, 2, 0), brightness)
    return ImageMeasures(
        size=(rgb.shape[1], rgb.shape[0]),
        histograms=np.stack([np.bincount(plane.ravel(), minlength=256) for plane in planes]),
        fingerprint=fingerprint(np.asarray(brightness, np.uint8)),
        digest=hashlib.sha256(repr(rgb.shape).encode() + rgb.tobytes()).hexdigest(),
        is_dim=uses_few_levels(rgb),
    )


def unreadable(path: Path, error: DataError, kind: str = "unreadable") -> Fault:
    """The fault of a file that cannot be read, from an error's message `PATH: FOUND; CURE`."""
    found, _, cure = str(error).removeprefix(f"{path}: ").rpartition("; ")
    return Fault(kind, path, found, cure)


def turned(path: Path, orientation: int) -> Fault:
    """The fault of a labelled image, or a mask, with an EXIF rotation."""
    return Fault("turned", path, TURNED.format(orientation), TURNED_CURE)


def fingerprint(brightness: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A difference hash: is each cell of a coarse grid brighter than its left neighbour?

    It survives compression, scaling, exposure and a camera that moved a little, because none of these changes which of
    two neighbouring patches is the brighter one. (N. Krawetz, "Kind of Like That", 2013; there 8x8 bits. 16x16 are used
    here because all desert frames have sky above and ground below, which 64 bits cannot distinguish.)

    Args:
        brightness: HxW uint8.

    Returns:
        256 float32, each -1 or 1, so that a dot product counts agreements minus disagreements.
    """
    side = FINGERPRINT_SIDE
    small = cv2.resize(brightness, (side + 1, side), interpolation=cv2.INTER_AREA)
    return np.where(small[:, 1:] > small[:, :-1], 1, -1).astype(np.float32).ravel()
