"""Image files on disk: RGB frames and raw masks, read without loss and written atomically. Knows nothing of labels.

Only regular files are opened (reading a FIFO could wait for ever), and an image larger than `image_header.MAX_PIXELS`
is never decoded.
"""

from __future__ import annotations

import importlib.util
import io
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.files import write_bytes
from desert_seg.image_header import (
    MAX_PIXELS,
    check_pixels,
    count_pages,
    exif_orientation,
    is_deep_grey,
    other_channels,
)
from desert_seg.jpeg import decode_whole
from desert_seg.mask_loss import is_packed_tiff, lossy_compression

MAX_BYTES = 8 * MAX_PIXELS
"""What the largest image takes uncompressed, with four channels of 16 bits."""

_MANY_COLORS = 1000
"""More than any list of classes has."""

_PNG_PALETTE = 3


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of at most `MAX_BYTES`; raises DataError naming the file for anything else."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: is no regular file, expected an image; move it away")
        if status.st_size > MAX_BYTES:
            raise DataError(
                f"{path}: found {status.st_size / 1e6:.0f} MB, expected at most {MAX_BYTES / 1e6:.0f}; scale it down"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def read_image_file(path: Path) -> bytes:
    """The bytes of an image file whose header is that of a colour image, or of a grey one of 8 bits.

    Raises:
        DataError: It is none, has several pages, is too large, or may be depth.
    """
    data = read_file(path)
    _check_header(path, data)
    if is_deep_grey(data):
        raise DataError(
            f"{path}: found one channel of 16 bits, which may be depth as well as grey, expected 8 bits or colour; "
            "save grey images with 8 bits (mogrify -auto-level -depth 8)"
        )
    return data


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read a colour image as viewers show it, rotated by its EXIF orientation: HxWx3 uint8 RGB.

    Raises:
        DataError: The file is not a complete image, too large, or may be depth.
    """
    data = read_image_file(path)
    image = _decode(path, data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_orientation(path: Path) -> int:
    """EXIF orientation of an image file, 1 to 8: 1 = shown as stored, also where there is no such tag.

    Raises:
        DataError: The file cannot be read.
    """
    return exif_orientation(read_file(path))


def read_mask(path: Path) -> npt.NDArray[Any]:
    """Read a mask's stored values, HxW uint8 or uint16; of a palette PNG or BMP the indices, not the colours.

    Raises:
        DataError: The file cannot be read or is not a mask.
    """
    data = _read_lossless(path)
    if has_palette(data):
        mask: npt.NDArray[Any] = palette_indices(data, str(path))
    else:
        mask = _decode(path, data, cv2.IMREAD_UNCHANGED)
        depth, _ = _png_depth_and_color_type(data)
        if depth in (1, 2, 4):
            mask = mask // (255 // (2**depth - 1))  # decoders scale fewer bits to 0..255
    _check_whole_numbers(path, mask)
    if mask.ndim != 2:
        raise DataError(f"{path}: found {_channels(mask)}")
    return mask


def _check_whole_numbers(path: Path, mask: npt.NDArray[Any]) -> None:
    if mask.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise DataError(
            f"{path}: found {mask.dtype} values, expected whole numbers of 8 or 16 bits; round them and save the mask "
            "as 16-bit PNG"
        )


def _channels(mask: npt.NDArray[Any]) -> str:
    """What the channels of a mask are that should have one, and the cure."""
    num_channels = mask.shape[2]
    if transparent := _transparent(mask):
        return transparent
    if (mask[..., :3] == mask[..., :1]).all():
        return f"{num_channels} channels that repeat the same values, expected one; keep one channel and save it as PNG"
    if (num_colors := len(np.unique(mask.reshape(-1, num_channels), axis=0))) > _MANY_COLORS:
        return (
            f"{num_channels} channels of {num_colors} colours, as a photograph has, expected a mask; put the masks in "
            "its place, which may have been taken for the images"
        )
    if not mask[..., :2].any():  # blue and green
        return (
            f"{num_channels} channels of which red alone is used, as CARLA writes its numbers, expected one; keep the "
            "red channel and save it as PNG"
        )
    return (
        f"{num_channels} channels: a picture of the labels, not the labels; give a label map whose keys are "
        "colours, or export the raw values"
    )


def _transparent(mask: npt.NDArray[Any]) -> str:
    """How many pixels of a mask with an alpha channel are not opaque, and the cure; empty if all are."""
    num_transparent = np.count_nonzero(mask[..., 3] < np.iinfo(mask.dtype).max) if mask.shape[2] == 4 else 0
    if not num_transparent:
        return ""
    return (
        f"{num_transparent} pixels that are transparent, so that nobody sees their colours, expected opaque ones; drop "
        "the transparency if the colours are right (mogrify -alpha off), or fill it with the colour that is ignored "
        "(mogrify -background black -alpha remove)"
    )


def read_stored(path: Path) -> npt.NDArray[Any] | None:
    """An image file as it is stored, of any type and number of channels; None if it cannot be read."""
    try:
        data = read_file(path)
        _check_header(path, data)
        return _decode(path, data, cv2.IMREAD_UNCHANGED)
    except DataError:
        return None


def read_color_mask(path: Path) -> npt.NDArray[np.uint32]:
    """Read a mask that shows classes as colours: HxW uint32, 65536 red + 256 green + blue.

    Raises:
        DataError: The file cannot be read, its compression is lossy, a pixel is transparent, or its colours have more
            than 8 bits.
    """
    colors = _decode(path, _read_lossless(path), cv2.IMREAD_UNCHANGED)
    _check_whole_numbers(path, colors)
    if colors.ndim == 2:
        colors = np.repeat(colors[..., np.newaxis], 3, axis=2)
    if transparent := _transparent(colors):
        raise DataError(f"{path}: found {transparent}")
    colors = colors[..., :3]
    blue, green, red = np.moveaxis(_eight_bits(path, colors).astype(np.uint32), 2, 0)
    return np.asarray(red << 16 | green << 8 | blue, np.uint32)


def _read_lossless(path: Path) -> bytes:
    data = read_file(path)
    if found := lossy_compression(data):
        raise DataError(f"{path}: is a {found}, which changes values at every edge; export the mask again as PNG")
    _check_header(path, data)
    return data


def _eight_bits(path: Path, colors: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Colours of 16 bits as the 8 they were made of, which may have been kept, shifted or stretched."""
    if colors.dtype == np.uint16 and colors.max() > 255:
        if (colors == colors[..., :1]).all():
            raise DataError(
                f"{path}: found one channel of 16 bits, expected colours; give a label map whose keys are numbers"
            )
        if (colors & 255).any() and (colors % 257).any():
            raise DataError(
                f"{path}: found colours of 16 bits that are none of 8, expected red, green and blue from 0 to 255; "
                "export the mask again with 8 bits"
            )
        colors = colors >> 8
    return colors.astype(np.uint8)


def _check_header(path: Path, data: bytes) -> None:
    """Refuse an image file that is too large, holds several images, or whose channels are not red, green and blue."""
    check_pixels(data, str(path))
    if found := other_channels(data):
        raise DataError(f"{path}: found {found}, expected red, green and blue, or grey; save it again as RGB")
    if (num_pages := count_pages(data)) > 1:
        raise DataError(
            f"{path}: found {num_pages} pages or frames, expected one; save the one that is meant as a file of its own"
        )


def _decode(path: Path, data: bytes, flags: int) -> npt.NDArray[Any]:
    """Decode an image file whose header has been checked."""
    array = decode_whole(data, flags)
    if array is None and (stored := decode_whole(data, cv2.IMREAD_UNCHANGED)) is not None:
        raise DataError(f"{path}: found {stored.dtype} samples, expected 8 or 16 bits; save it again with 8 bits")
    if array is None or (array.dtype == np.uint8 and _is_damaged_tiff(data)):
        raise DataError(f"{path}: is not a whole image that OpenCV can decode; copy or export the file again")
    return array


def _is_damaged_tiff(data: bytes) -> bool:
    """Whether a compressed TIFF of 8 bits does not unpack, which OpenCV passes over and Pillow, where it is, tells."""
    if not is_packed_tiff(data) or importlib.util.find_spec("PIL") is None:
        return False
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except UnidentifiedImageError:  # of a kind that only OpenCV reads
        return False
    except (OSError, SyntaxError, ValueError):
        return True
    return False


def _png_depth_and_color_type(data: bytes) -> tuple[int, int]:
    """Bits per sample and colour type of a PNG (W3C PNG 11.2.1); zeros for any other file."""
    return (data[24], data[25]) if data.startswith(b"\x89PNG") and len(data) > 25 else (0, 0)


def _is_palette_bmp(data: bytes) -> bool:
    """True for a BMP of 8 bits a pixel or fewer: all of these are indices, also where their palette is grey."""
    header_bytes = int.from_bytes(data[14:18], "little")
    bits = data[24:26] if header_bytes == 12 else data[28:30]
    return data.startswith(b"BM") and int.from_bytes(bits, "little") <= 8


def has_palette(data: bytes) -> bool:
    """True for the content of a PNG or BMP file whose pixels are indices of a palette."""
    return _png_depth_and_color_type(data)[1] == _PNG_PALETTE or _is_palette_bmp(data)


def palette_indices(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """The indices of an image with a palette, HxW.

    Args:
        data: The content of the file.
        name: What to call it in an error.

    Raises:
        DataError: It is damaged or too large, or Pillow is not installed.
    """
    try:
        from PIL import Image  # OpenCV can only give the colours behind the indices
    except ImportError as error:
        raise DataError(
            f"{name}: has a palette, whose indices only Pillow reads; install it (pip install pillow), or save the "
            "indices as grey levels"
        ) from error
    check_pixels(data, name)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image, np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: is not an image that can be decoded ({error}); export the file again") from error


def read_palette(path: Path) -> list[tuple[int, int, int]] | None:
    """The colours of an image file's palette, red, green and blue; None without one, or if it is grey in order.

    Raises:
        DataError: The file cannot be read.
    """
    data = read_file(path)
    if not has_palette(data):
        return None
    from PIL import Image  # whose indices have been read, or nobody would ask for their colours

    with Image.open(io.BytesIO(data)) as image:
        levels = image.getpalette()
    return None if levels is None else list(zip(levels[::3], levels[1::3], levels[2::3], strict=True))


def write_image(path: Path, image: npt.NDArray[Any]) -> None:
    """Write HxWx3 uint8 RGB, or one HxW plane of uint8 or uint16, in the format of the suffix; all of it or nothing."""
    array = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    encoded = cv2.imencode(path.suffix, array)[1]
    write_bytes(path, encoded.tobytes())
