"""ROS image messages <-> numpy arrays.

Messages are read by their fields alone, so rclpy and `rosbags` objects both do; ROS is not imported. Encodings this
module does not know go to cv_bridge where that is installed: ours are converted here because cv_bridge shears padded
rows, mishandles big-endian data and does not load beside numpy 2 on some distros.

Shape letters: K channels, H, W.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import FrameError


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
    "mono8": _Layout(1, 1, cv2.COLOR_GRAY2RGB),
    "mono16": _Layout(1, 2, cv2.COLOR_GRAY2RGB),
    "8UC1": _Layout(1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Layout(3, 1, cv2.COLOR_BGR2RGB),  # OpenCV's order, as everywhere in ROS
    "16UC1": _Layout(1, 2, cv2.COLOR_GRAY2RGB),
    "yuv422": _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "nv12": _Layout(1, 1, cv2.COLOR_YUV2RGB_NV12),
    # OpenCV names a Bayer pattern by its second row and column, ROS by its first.
    "bayer_rggb8": _Layout(1, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _Layout(1, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _Layout(1, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _Layout(1, 1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": _Layout(1, 2, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr16": _Layout(1, 2, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg16": _Layout(1, 2, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg16": _Layout(1, 2, cv2.COLOR_BayerGB2RGB),
}

SUPPORTED_ENCODINGS = tuple(_LAYOUTS)

_MASK_DTYPES = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2"}


def decode(message: Any) -> npt.NDArray[np.uint8]:
    """Decode an Image or a CompressedImage: HxWx3 uint8 RGB; raises FrameError as the two functions below do."""
    return decode_compressed(message) if hasattr(message, "format") else decode_image(message)


def decode_image(message: Any) -> npt.NDArray[np.uint8]:
    """Decode a sensor_msgs/Image.

    16-bit samples keep their high byte, `value >> 8`: the full range maps to the full range, as in cv_bridge (which
    rounds `value / 257` and so differs by at most one level). A camera that puts 10 or 12 bits into the low end of
    mono16 therefore comes out dark; let its driver scale.

    Args:
        message: Anything with `encoding`, `height`, `width`, `step`, `is_bigendian` and a `data` buffer. The rows of
            nv12 are H of luma and H/2 of chroma, all of length `step`.

    Returns:
        HxWx3 uint8 RGB. For rgb8 without padding it is a read-only view of `message.data`.

    Raises:
        FrameError: The encoding is unknown, or sizes and data do not fit each other.
    """
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        return _decode_with_cv_bridge(message)
    rows = _rows(message, layout.num_channels * layout.sample_bytes)
    if layout.sample_bytes == 2:
        pixels: npt.NDArray[Any] = cv2.extractChannel(rows.reshape(len(rows), -1, 2), 0 if message.is_bigendian else 1)
    else:
        pixels = rows.reshape(len(rows), -1, layout.num_channels)
    if layout.to_rgb is None:
        rgb = np.ascontiguousarray(pixels, np.uint8)
        rgb.flags.writeable = False
        return rgb
    try:
        return np.asarray(cv2.cvtColor(pixels, layout.to_rgb), np.uint8)
    except cv2.error as error:
        raise FrameError(
            f"found {message.encoding} of {message.width}x{message.height}, which OpenCV cannot convert; "
            "yuv and nv12 need even sizes"
        ) from error


def decode_compressed(message: Any) -> npt.NDArray[np.uint8]:
    """Decode a sensor_msgs/CompressedImage of any format OpenCV reads: HxWx3 uint8 RGB.

    Raises:
        FrameError: The data is not a whole image, or is depth.
    """
    return np.asarray(cv2.cvtColor(_decompress(message, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def decode_mask(message: Any) -> npt.NDArray[Any]:
    """Decode the raw values of a ground-truth mask.

    Args:
        message: An Image (mono8, mono16, 8UC1 or 16UC1), or a CompressedImage that holds a single-channel PNG.

    Returns:
        HxW, uint8 or uint16, values as stored.

    Raises:
        FrameError: It is broken, or not one plane of 8 or 16 bits.
    """
    if hasattr(message, "format"):
        mask = _decompress(message, cv2.IMREAD_UNCHANGED)
        if mask.ndim != 2:
            raise FrameError(f"found a mask of {mask.shape[2]} channels; publish masks as single-channel PNG")
        return mask
    if message.encoding not in _MASK_DTYPES:
        raise FrameError(f"found a mask of encoding {message.encoding!r}; publish masks as mono8 or mono16")
    dtype = np.dtype(_MASK_DTYPES[message.encoding]).newbyteorder(">" if message.is_bigendian else "<")
    mask = np.ascontiguousarray(_rows(message, dtype.itemsize)).view(dtype)
    return mask.astype(dtype.newbyteorder("="), copy=False)


def fill_image(message: Any, image: npt.NDArray[Any], encoding: str, header: Any) -> None:
    """Fill a ROS sensor_msgs/Image.

    Args:
        message: The rclpy message; every field is set.
        image: HxW, or HxWxK; for example HxWx3 uint8 for rgb8, HxW uint8 for mono8, HxWxK float32 for 32FCk.
        encoding: Of these pixels.
        header: Becomes the message's header as it is.
    """
    message.header = header
    message.height, message.width = image.shape[:2]
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = image.nbytes // image.shape[0]
    # An array.array is taken over as it is, in 0.04 ms for 960x540x3; rclpy checks anything else byte by byte.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(image).data.cast("B"))
    message.data = data


def _rows(message: Any, pixel_bytes: int) -> npt.NDArray[np.uint8]:
    """The rows of an Image without their padding, as a view: rows x (W * pixel_bytes) uint8."""
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise FrameError(f"found an image of {width}x{height} pixels, expected at least one; check the camera driver")
    if step < width * pixel_bytes:
        raise FrameError(
            f"found rows of {step} bytes, expected at least {width * pixel_bytes} for {width} pixels of "
            f"{message.encoding}; check the camera driver"
        )
    num_rows = height * 3 // 2 if message.encoding == "nv12" else height
    if len(message.data) < num_rows * step:
        raise FrameError(
            f"found {len(message.data)} bytes of data, expected {num_rows * step} for {num_rows} rows of {step}; "
            "check the camera driver"
        )
    data = np.frombuffer(message.data, np.uint8, num_rows * step)
    return data.reshape(num_rows, step)[:, : width * pixel_bytes]


def _decompress(message: Any, flags: int) -> npt.NDArray[Any]:
    if "compressedDepth" in message.format:
        raise FrameError(f"found format {message.format!r}, which is depth; choose a topic of colour images")
    try:
        image = cv2.imdecode(np.frombuffer(message.data, np.uint8), flags)
    except cv2.error:  # empty data, or a size beyond OpenCV's limits
        image = None
    if image is None:
        raise FrameError(
            f"found {len(message.data)} bytes of format {message.format!r} that are not a whole image; "
            "check the camera driver and the network"
        )
    return image


def _decode_with_cv_bridge(message: Any) -> npt.NDArray[np.uint8]:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        raise FrameError(
            f"found encoding {message.encoding!r}, expected one of: {', '.join(SUPPORTED_ENCODINGS)}; "
            "set the camera driver to one of these or install cv_bridge"
        ) from None
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), np.uint8)
    except CvBridgeError as error:
        raise FrameError(
            f"found encoding {message.encoding!r}, which cv_bridge cannot convert ({error}); "
            f"set the camera driver to one of: {', '.join(SUPPORTED_ENCODINGS)}"
        ) from error
