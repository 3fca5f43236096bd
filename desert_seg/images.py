"""Image files on disk: RGB frames and raw masks, read without loss and written atomically. Knows nothing of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.files import write_bytes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def list_images(folder: Path) -> list[Path]:
    """Image files of a folder in name order; raises DataError if there is no such folder or no image in it."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give a folder that holds images")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DataError(f"{folder}: found no image; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    return paths


def _read(path: Path, flags: int) -> npt.NDArray[Any]:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    array = cv2.imdecode(data, flags) if data.size else None
    if array is None:
        raise DataError(
            f"{path}: is not an image that OpenCV can decode; the file is empty, cut short or of another type"
        )
    return array


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read a colour image as HxWx3 uint8 RGB; raises DataError naming the file."""
    return np.ascontiguousarray(cv2.cvtColor(_read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(path: Path) -> npt.NDArray[Any]:
    """Read a mask's stored values, HxW uint8 or uint16, unchanged; of a palette PNG the indices, not the colours.

    Raises:
        DataError: The file cannot be read or is no mask; it is named.
    """
    mask = _read_palette_indices(path) if _is_palette_png(path) else _read(path, cv2.IMREAD_UNCHANGED)
    if mask.ndim != 2 or mask.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise DataError(
            f"{path}: found {mask.dtype} with shape {mask.shape}, expected one channel of 8 or 16 bits; "
            "save masks as single-channel PNG"
        )
    return mask


def _is_palette_png(path: Path) -> bool:
    """True if the colour type in the header of a PNG (W3C PNG 11.2.1) is 3, indexed colour."""
    try:
        with path.open("rb") as file:
            header = file.read(26)
    except OSError:
        return False
    return len(header) == 26 and header.startswith(b"\x89PNG") and header[25] == 3


def _read_palette_indices(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError  # OpenCV can only give the colours behind the indices

    try:
        with Image.open(path) as image:
            return np.asarray(image, np.uint8)
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: is not an image that can be decoded ({error}); export the file again") from error


def write_image(path: Path, image: npt.NDArray[Any]) -> None:
    """Write HxWx3 uint8 RGB, or one HxW plane of uint8 or uint16, in the format of the suffix; all of it or nothing."""
    array = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    encoded = cv2.imencode(path.suffix, array)[1]
    write_bytes(path, encoded.tobytes())
