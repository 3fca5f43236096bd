"""How images come in: the topic, the type and the decoder of every `image_transport`.

Message packages are imported when needed, because those of video are not part of ROS.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DesertSegError
from desert_seg.recordings.image_codec import decode_compressed, decode_image
from desert_seg.recordings.video_decoder import CODECS, VideoDecoder
from desert_seg_ros.video import decode_video_frame

MESSAGES = {
    "raw": ("sensor_msgs", "Image"),
    "compressed": ("sensor_msgs", "CompressedImage"),
    "ffmpeg": ("ffmpeg_image_transport_msgs", "FFMPEGPacket"),
    "foxglove": ("foxglove_msgs", "CompressedVideo"),
}
"""Value of `image_transport` -> package and name of the message type."""


@dataclass(frozen=True)
class Transport:
    """One kind of input.

    Attributes:
        name: The value of `image_transport`.
        topic: Topic name relative to the camera's namespace.
        message_type: Message type of the topic.
        is_video: Whether its messages have to be decoded in order, by a VideoReceiver.
        max_pixels: How many pixels an image may have.
        decode: Message (or video frame) -> HxWx3 uint8 RGB; raises FrameError.
    """

    name: str
    topic: str
    message_type: Any
    is_video: bool
    max_pixels: int
    decode: Callable[[Any], npt.NDArray[np.uint8]]


def load_transport(name: str, max_pixels: int) -> Transport:
    """Find what an `image_transport` needs.

    Args:
        name: The value of the parameter.
        max_pixels: How many pixels an image may have; what is larger is refused before it is decoded.

    Raises:
        DesertSegError: Its message package, or for video PyAV, is not installed.
    """
    package, kind = MESSAGES[name]
    topic = "image" if name == "raw" else f"image/{name}"
    try:
        message_type = getattr(importlib.import_module(f"{package}.msg"), kind)
    except ImportError as error:
        raise DesertSegError(
            f"image_transport is {name}, which needs the ROS package {package}; "
            f"install ros-$ROS_DISTRO-{package.replace('_', '-')}, or choose raw or compressed"
        ) from error
    if name in ("raw", "compressed"):
        decode = functools.partial(decode_image if name == "raw" else decode_compressed, max_pixels=max_pixels)
        return Transport(name, topic, message_type, False, max_pixels, decode)
    VideoDecoder(CODECS[0])  # raises now if it cannot
    return Transport(name, topic, message_type, True, max_pixels, decode_video_frame)
