"""ROS image messages <-> numpy arrays.

Only the fields of messages are used, so rclpy and `rosbags` objects both work; ROS is not imported. All encodings of
sensor_msgs that cv_bridge can convert to colour are converted here, without cv_bridge: it shears padded rows, fails on
big-endian data and does not load beside numpy 2 on some distros.

Shape letters: K channels, H, W.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError, FrameError, quoted
from desert_seg.image_header import MAX_PIXELS, check_size
from desert_seg.images import has_palette, palette_indices
from desert_seg.mask_loss import lossy_compression
from desert_seg.recordings.bayer import BAYER_ENCODINGS, demosaic
from desert_seg.recordings.compressed import DEPTH_ENCODINGS, decode_compressed, decompress, depth_error
from desert_seg.recordings.video_decoder import CODECS
from desert_seg.recordings.video_stream import broken_video_error

__all__ = [
    "BROKEN_VIDEO",
    "SUPPORTED_ENCODINGS",
    "decode",
    "decode_compressed",
    "decode_image",
    "decode_mask",
    "fill_image",
]


@dataclass(frozen=True)
class _Layout:
    """How pixels lie in memory: samples per pixel, bytes per sample, OpenCV's conversion to RGB (None: is RGB)."""

    num_channels: int
    sample_bytes: int
    to_rgb: int | None


_LAYOUTS = {
    "rgb8": _Layout(3, 1, None),
    "bgr8": _Layout(3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": _Layout(4, 1, cv2.COLOR_RGBA2RGB),
    "bgra8": _Layout(4, 1, cv2.COLOR_BGRA2RGB),
    "rgb16": _Layout(3, 2, None),
    "bgr16": _Layout(3, 2, cv2.COLOR_BGR2RGB),
    "rgba16": _Layout(4, 2, cv2.COLOR_RGBA2RGB),
    "bgra16": _Layout(4, 2, cv2.COLOR_BGRA2RGB),
    "mono8": _Layout(1, 1, cv2.COLOR_GRAY2RGB),
    "mono16": _Layout(1, 2, cv2.COLOR_GRAY2RGB),
    # Channels without names are in OpenCV's order, as everywhere in ROS.
    "8UC1": _Layout(1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Layout(3, 1, cv2.COLOR_BGR2RGB),
    "8UC4": _Layout(4, 1, cv2.COLOR_BGRA2RGB),
    "16UC3": _Layout(3, 2, cv2.COLOR_BGR2RGB),
    "16UC4": _Layout(4, 2, cv2.COLOR_BGRA2RGB),
    "yuv422": _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "nv12": _Layout(1, 1, cv2.COLOR_YUV2RGB_NV12),
    "nv21": _Layout(1, 1, cv2.COLOR_YUV2RGB_NV21),
    "nv24": _Layout(1, 1, None),
    **{encoding: _Layout(1, 2 if encoding.endswith("16") else 1, None) for encoding in BAYER_ENCODINGS},
}

SUPPORTED_ENCODINGS = tuple(_LAYOUTS)

_SPELLINGS = {name.casefold(): name for name in (*_LAYOUTS, *DEPTH_ENCODINGS)}
"""Some drivers write RGB8, 8uc3, or a blank behind the name; no two encodings differ in that alone."""

BROKEN_VIDEO = {codec: f"{codec}; packet that cannot be decoded" for codec in CODECS}
"""Encoding of the image that takes the place of a broken video packet, or one without its reference frames."""

_HALF_WIDTH_CHROMA = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21")
_HALF_HEIGHT_CHROMA = ("nv12", "nv21")
_PACKED = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv")

_YUV_TO_RGB = np.array(
    [[1.164383, 0.0, 1.596027], [1.164383, -0.391762, -0.812968], [1.164383, 2.017232, 0.0]], np.float64
)
"""ITU-R BT.601, 8 bits, limited range, as in OpenCV's other YUV conversions; for values minus 16, 128, 128."""

_MASK_DTYPES = {"mono8": "u1", "8uc1": "u1", "mono16": "u2", "16uc1": "u2"}
"""By the encoding in small letters."""


def is_readable(message: Any) -> bool:
    """Whether the encoding of an Image is one of those that are read; True of a CompressedImage or of video."""
    return not hasattr(message, "step") or _SPELLINGS.get(message.encoding.strip().casefold()) in _LAYOUTS


def decode(message: Any) -> npt.NDArray[np.uint8]:
    """Decode an Image or a CompressedImage: HxWx3 uint8 RGB; errors are those of the two functions."""
    return decode_compressed(message) if hasattr(message, "format") else decode_image(message)


def decode_image(message: Any, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Decode a sensor_msgs/Image.

    16-bit samples keep their high byte, `value >> 8`: the full range maps to the full range, as in cv_bridge (which
    rounds `value / 257` and so differs by at most one level). A camera that puts 10 or 12 bits into the low end of
    mono16 therefore looks dark; have its driver scale.

    Args:
        message: Anything with `encoding`, `height`, `width`, `step`, `is_bigendian` and a `data` buffer. The rows of
            nv12 and nv21 are H of luma and H/2 of chroma, all of length `step`; those of nv24 are H of luma and H of
            chroma, which are twice as long.
        max_pixels: How many pixels it may have.

    Returns:
        HxWx3 uint8 RGB. For rgb8 without padding it is a read-only view of `message.data`.

    Raises:
        FrameError: The encoding is depth or unknown, sizes and data contradict each other, or the image is too large.
    """
    encoding = _SPELLINGS.get(message.encoding.strip().casefold(), message.encoding)
    if encoding in BROKEN_VIDEO.values():
        raise broken_video_error(encoding.partition(";")[0], bytes(message.data))
    _check_size(message, max_pixels)
    if encoding in DEPTH_ENCODINGS:
        raise depth_error(f"encoding {quoted(encoding)}")
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        raise FrameError(
            f"found encoding {quoted(encoding)}, expected one of: {', '.join(SUPPORTED_ENCODINGS)}; "
            "set the camera driver to one of these"
        )
    if (encoding in _HALF_WIDTH_CHROMA and message.width % 2) or (
        encoding in _HALF_HEIGHT_CHROMA and message.height % 2
    ):
        raise FrameError(
            f"found {encoding} of {message.width}x{message.height} pixels, which share their colours in pairs and so "
            "need even sizes; check the camera driver"
        )
    if encoding in _PACKED and message.step == message.width and len(message.data) == message.height * message.width:
        raise FrameError(
            f"found {encoding} of one byte for each pixel, the brightness alone that image_transport makes of it where "
            "it compresses and unpacks it; read the camera's raw topic, or have its driver publish rgb8 or bgr8"
        )
    if encoding == "nv24":
        return _decode_nv24(message)
    rows = _rows(message, layout.num_channels * layout.sample_bytes, encoding in _HALF_HEIGHT_CHROMA)
    if layout.sample_bytes == 2:
        rows = np.asarray(
            cv2.extractChannel(rows.reshape(len(rows), -1, 2), 0 if message.is_bigendian else 1), np.uint8
        )
    if encoding in BAYER_ENCODINGS:
        return demosaic(rows, encoding)
    pixels = rows.reshape(len(rows), -1, layout.num_channels)
    if layout.to_rgb is None:
        rgb = np.ascontiguousarray(pixels, np.uint8)
        rgb.flags.writeable = False
        return rgb
    return np.asarray(cv2.cvtColor(pixels, layout.to_rgb), np.uint8)


def decode_mask(message: Any) -> npt.NDArray[Any]:
    """Decode the raw values of a ground-truth mask.

    Args:
        message: An Image (mono8, mono16, 8UC1 or 16UC1), or a CompressedImage that holds a single-channel PNG, or one
            with a palette, of which the indices count.

    Returns:
        HxW, uint8 or uint16, values as stored.

    Raises:
        FrameError: It is broken, too large, compressed with loss, or not one plane of 8 or 16 bits.
    """
    if hasattr(message, "format"):
        if has_palette(data := bytes(message.data)):
            return _indices(data)
        mask = decompress(message)
        if found := lossy_compression(data):
            raise FrameError(
                f"found a mask as {found}, which changes values at every edge; publish masks as PNG (parameter "
                "`compressed.format` of image_transport)"
            )
        if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
            num_channels = 1 if mask.ndim == 2 else mask.shape[2]
            raise FrameError(
                f"found a mask of {num_channels} channels of {mask.dtype}; "
                "publish masks as single-channel PNG of 8 or 16 bits"
            )
        return mask
    kind = _MASK_DTYPES.get(message.encoding.strip().casefold())
    if kind is None:
        raise FrameError(f"found a mask of encoding {quoted(message.encoding)}; publish masks as mono8 or mono16")
    _check_size(message, MAX_PIXELS)
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    mask = np.ascontiguousarray(_rows(message, dtype.itemsize, has_half_chroma=False)).view(dtype)
    return mask.astype(dtype.newbyteorder("="), copy=False)


def _indices(data: bytes) -> npt.NDArray[np.uint8]:
    try:
        return palette_indices(data, "a mask")
    except DataError as error:
        raise FrameError(str(error)) from error


def fill_image(message: Any, image: npt.NDArray[Any], encoding: str, header: Any) -> None:
    """Fill a ROS sensor_msgs/Image.

    Args:
        message: The rclpy message; every field is set.
        image: HxW, or HxWxK; for example HxWx3 uint8 for rgb8, HxW uint8 for mono8, HxWxK float32 for 32FCk.
        encoding: Encoding of these pixels.
        header: The message's header, not copied.
    """
    message.header = header
    message.height, message.width = image.shape[:2]
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = image.nbytes // image.shape[0]
    # rclpy takes an array.array as it is, in 0.04 ms for 960x540x3; anything else it checks byte by byte.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(image).data.cast("B"))
    message.data = data


def _check_size(message: Any, max_pixels: int) -> None:
    if not message.width or not message.height:  # of an empty message the encoding says nothing
        raise FrameError(
            f"found an image of {message.width}x{message.height} pixels, expected at least one; check the camera driver"
        )
    try:
        check_size(message.width, message.height, f"an image of {quoted(message.encoding)}", max_pixels)
    except DataError as error:
        raise FrameError(str(error)) from error


def _decode_nv24(message: Any) -> npt.NDArray[np.uint8]:
    """Luma, then pairs of Cb and Cr for every pixel; OpenCV has no conversion of it."""
    height, width, step = message.height, message.width, message.step
    rows = _padded_rows(message, 1, 3 * height)
    chroma = rows[height:].reshape(height, 2 * step)[:, : 2 * width].reshape(height, width, 2)
    # Like OpenCV, treat luma below black as black; otherwise it would darken the other channels, too.
    yuv = np.dstack([np.maximum(rows[:height, :width], 16), chroma])
    offset = -_YUV_TO_RGB @ (16, 128, 128)
    return np.asarray(cv2.transform(yuv, np.column_stack([_YUV_TO_RGB, offset])), np.uint8)


def _rows(message: Any, pixel_bytes: int, has_half_chroma: bool) -> npt.NDArray[np.uint8]:
    """The rows of an Image without their padding, as a view: rows x (W * pixel_bytes) uint8."""
    num_rows = message.height * 3 // 2 if has_half_chroma else message.height
    return _padded_rows(message, pixel_bytes, num_rows)[:, : message.width * pixel_bytes]


def _padded_rows(message: Any, pixel_bytes: int, num_rows: int) -> npt.NDArray[np.uint8]:
    """The first rows of an Image's data, as a view: num_rows x step uint8."""
    width, step = message.width, message.step
    if step < width * pixel_bytes:
        raise FrameError(
            f"found rows of {step} bytes, expected at least {width * pixel_bytes} for {width} pixels of "
            f"{message.encoding}; check the camera driver"
        )
    if len(message.data) != num_rows * step:  # as cv_bridge, so no driver pads the end
        raise FrameError(
            f"found {len(message.data)} bytes of data, expected {num_rows * step} for {num_rows} rows of {step}; "
            "check the camera driver"
        )
    return np.frombuffer(message.data, np.uint8, num_rows * step).reshape(num_rows, step)
