"""Images in CompressedImage messages -> numpy arrays; messages are read by their fields alone.

The field `format` is read as image_transport writes it, "ENCODING; CODEC compressed TARGET": ENCODING is what the
camera published, TARGET what was compressed, empty if that is the same. JPEG and PNG of colour are stored as such,
whatever ENCODING is. A Bayer image is stored as its mosaic, or in grey where TARGET is mono8. TIFF has no TARGET and
keeps the channels in the order of ENCODING. A `format` of one word ("jpeg") is only the codec. Capitals mean nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError, FrameError, quoted
from desert_seg.file_kind import other_kind
from desert_seg.image_header import MAX_PIXELS, check_pixels, image_size
from desert_seg.jpeg import decode_whole
from desert_seg.recordings.bayer import demosaic

DEPTH_ENCODINGS = ("16UC1", "32FC1")  # REP 118

_DEPTH = tuple(map(str.casefold, DEPTH_ENCODINGS))
_COMPRESSED_DEPTH = "compresseddepth"
_DEPTH_HEADER_BYTES = 12
"""What compressed_depth_image_transport puts before its PNG."""

_VIDEO = ("264", "265", "hevc", "av1", "vp8", "vp9", "mpeg4", "ffmpeg")
"""Parts of the names of video in a `format`."""

_START_CODES = (b"\0\0\0\1", b"\0\0\1")  # of H.264 and HEVC in Annex B format


class _Format(NamedTuple):
    """The parts of a `format`, in small letters."""

    encoding: str
    codec: str
    target: str


def decode_compressed(message: Any, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Decode a sensor_msgs/CompressedImage: PNG, JPEG, WebP, TIFF or BMP.

    JPEG, PNG and WebP are not rotated by their EXIF orientation, because the calibration is not rotated either. Of
    16-bit samples the high byte is kept, as with raw images; alpha is dropped.

    Args:
        message: Anything with `format` and a `data` buffer.
        max_pixels: How many pixels it may have.

    Returns:
        HxWx3 uint8 RGB.

    Raises:
        FrameError: The data is not a complete image of at most `max_pixels` pixels, is depth, or may be depth.
    """
    form = _parse(message.format)
    if form.encoding in _DEPTH:
        raise depth_error(f"format {quoted(message.format)}")
    image = decompress(message, max_pixels)
    if image.dtype not in (np.uint8, np.uint16):
        raise FrameError(
            f"found an image of {image.dtype} samples in format {quoted(message.format)}, expected 8 or 16 bits; "
            "choose a topic of colour images"
        )
    if image.ndim == 2 and image.dtype == np.uint16 and not form.codec:
        raise FrameError(
            f"found one channel of 16 bits in format {quoted(message.format)}, which may be depth as well as grey; "
            "choose a topic of colour images, or publish grey in the format 'mono16; png compressed'"
        )
    if image.ndim == 2 and form.encoding.startswith("bayer_") and not form.target.startswith("mono"):
        return demosaic(image, form.encoding)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
    if form.codec == "tiff" and form.encoding.startswith("rgb"):
        return np.ascontiguousarray(image[..., :3])
    to_rgb = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, to_rgb), np.uint8)


def decompress(message: Any, max_pixels: int = MAX_PIXELS) -> npt.NDArray[Any]:
    """The samples of a CompressedImage as stored: HxW, HxWx3 BGR or HxWx4 BGRA.

    Raises:
        FrameError: The data is not a complete image of at most `max_pixels` pixels, or is compressedDepth.
    """
    form = quoted(message.format)
    if _COMPRESSED_DEPTH in message.format.casefold():
        raise depth_error(f"format {form}")
    data = bytes(message.data)
    if image_size(data) is None:
        raise _no_image_error(data, message.format)
    try:
        check_pixels(data, f"an image of format {form}", max_pixels)
    except DataError as error:
        raise FrameError(str(error)) from error
    image = decode_whole(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FrameError(
            f"found {len(data)} bytes of format {form} that are not a whole image; "
            "check the camera driver and the network"
        )
    return image


def is_depth(message: Any) -> bool:
    """Whether an Image or a CompressedImage says that it holds depth."""
    kind = (message.format if hasattr(message, "format") else message.encoding).strip().casefold()
    return kind.startswith(_DEPTH) or _COMPRESSED_DEPTH in kind


def _no_image_error(data: bytes, form: str) -> FrameError:
    """The error for data that has no header of an image, by what it looks like or is said to be."""
    if data.startswith(_START_CODES) or any(name in form.casefold() for name in _VIDEO):
        return FrameError(
            f"found video in format {quoted(form)}, expected a PNG, JPEG, WebP, TIFF or BMP; publish it in H.264 or "
            "HEVC as ffmpeg_image_transport_msgs/FFMPEGPacket or foxglove_msgs/CompressedVideo"
        )
    if image_size(data[_DEPTH_HEADER_BYTES:]):
        return depth_error(f"an image behind the header of compressedDepth in format {quoted(form)}")
    other = other_kind(data)
    found = other.name if other else f"{len(data)} bytes that do not begin like an image, or are cut short,"
    return FrameError(
        f"found {found} in format {quoted(form)}, expected a PNG, JPEG, WebP, TIFF or BMP; have the camera's driver "
        "publish JPEG or PNG, or choose its raw topic"
    )


def _parse(text: str) -> _Format:
    encoding, _, rest = text.casefold().partition(";")
    words = rest.split()
    return _Format(encoding.strip(), words[0] if words else "", words[2] if len(words) > 2 else "")


def depth_error(found: str) -> FrameError:
    """The error for a message that `found`, a part of it, marks as depth."""
    return FrameError(f"found {found}, which is depth; choose a topic of colour images")
