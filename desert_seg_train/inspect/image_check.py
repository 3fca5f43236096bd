"""One image file: is it sound, what colours does it hold, and what does it look like to a machine in a hurry.

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

from desert_seg.errors import DataError
from desert_seg.images import read_image
from desert_seg_train.inspect.fault import Fault

CHANNELS = ("red", "green", "blue", "brightness")
FINGERPRINT_SIDE = 16


@dataclass(frozen=True)
class ImageMeasures:
    """What is kept of an image once its pixels are gone.

    Attributes:
        size: Width and height, pixels.
        histograms: 4x256 int64, pixels per level of each of `CHANNELS`.
        fingerprint: 256 float32, each -1 or 1, see `fingerprint`.
        digest: SHA-256 of the decoded pixels and their shape.
    """

    size: tuple[int, int]
    histograms: npt.NDArray[np.int64]
    fingerprint: npt.NDArray[np.float32]
    digest: str


def check_image(path: Path) -> ImageMeasures | Fault:
    """Decode an image as a training would and measure it, or say why that is no use."""
    try:
        rgb = read_image(path)
    except (DataError, cv2.error):
        return unreadable(path)
    if _is_cut_jpeg(path):
        return unreadable(path)
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
    )


def unreadable(path: Path) -> Fault:
    """The fault of a file that does not decode."""
    try:
        size = len(path.read_bytes())
    except OSError as error:
        return Fault(
            "unreadable", path, f"cannot be opened ({error.strerror})", "put the file in place, or mend its permissions"
        )
    found = f"none of its {size} bytes decode to a whole image" if size else "the file is empty"
    return Fault(
        "unreadable", path, found, "copy or export the file again; it is damaged, cut short or of another type"
    )


def _is_cut_jpeg(path: Path) -> bool:
    """True for a JPEG without its end: several versions of OpenCV fill the missing part with grey and say nothing."""
    data = path.read_bytes()
    return data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")


def fingerprint(brightness: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A difference hash: is each cell of a coarse grid brighter than its left neighbour?

    It survives compression, scaling, exposure and a camera that moved a little, because none of these changes which
    of two neighbouring patches is the brighter one. (N. Krawetz, "Kind of Like That", 2013; there 8x8 bits. 16x16
    are used here since all desert frames have sky above and ground below, and 64 bits cannot tell them apart.)

    Args:
        brightness: HxW uint8.

    Returns:
        256 float32, each -1 or 1, so that a dot product counts agreements minus disagreements.
    """
    side = FINGERPRINT_SIDE
    small = cv2.resize(brightness, (side + 1, side), interpolation=cv2.INTER_AREA)
    return np.where(small[:, 1:] > small[:, :-1], 1, -1).astype(np.float32).ravel()
