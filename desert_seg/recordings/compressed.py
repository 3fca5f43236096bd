"""Images in CompressedImage messages -> numpy arrays; messages are read by their fields alone.

The field `format` is read as image_transport writes it, "ENCODING; CODEC compressed TARGET": ENCODING is what the
camera published, TARGET what was compressed, empty if that is the same. JPEG and PNG of colour are stored as such,
whatever ENCODING is. A Bayer image is stored as its mosaic, or in grey where TARGET is mono8. TIFF has no TARGET and
keeps the channels in the order of ENCODING. A `format` of one word ("jpeg") is only the codec.
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

_VIDEO_FORMATS = ("h264", "h265", "hevc", "av1", "vp9")


class _Format(NamedTuple):
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
    if form.encoding in DEPTH_ENCODINGS:
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
    if "compressedDepth" in message.format:
        raise depth_error(f"format {form}")
    data = bytes(message.data)
    if message.format.strip().lower() in _VIDEO_FORMATS:
        raise FrameError(
            f"found format {form}, which is video; "
            "publish it as ffmpeg_image_transport_msgs/FFMPEGPacket or foxglove_msgs/CompressedVideo"
        )
    if image_size(data) is None and (other := other_kind(data)):
        raise FrameError(
            f"found {other.name} in format {form}, expected a PNG, JPEG, WebP, TIFF or BMP; have the camera's driver "
            "publish JPEG or PNG, or choose its raw topic"
        )
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


def _parse(text: str) -> _Format:
    encoding, _, rest = text.partition(";")
    words = rest.split()
    return _Format(encoding.strip(), words[0] if words else "", words[2] if len(words) > 2 else "")


def depth_error(found: str) -> FrameError:
    """The error for a message that `found`, a part of it, marks as depth."""
    return FrameError(f"found {found}, which is depth; choose a topic of colour images")
