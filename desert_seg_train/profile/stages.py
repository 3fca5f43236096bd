"""One frame from message to message, timed stage by stage; only the fields of messages are used.

Shape letters: H, W frame size.
"""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.recordings.image_codec import decode_image, fill_image
from desert_seg.segmenter import Segmenter, SegmentOptions

PLAIN = SegmentOptions()
"""One view, nothing but the mask."""


@dataclass
class ImageMessage:
    """Stands in for sensor_msgs/Image, with the same fields."""

    header: Any = None
    height: int = 0
    width: int = 0
    encoding: str = ""
    is_bigendian: int = 0
    step: int = 0
    data: Any = b""


@dataclass(frozen=True)
class Stages:
    """Milliseconds of one frame, by stage.

    Attributes:
        message: Message to pixels.
        resize: Pixels to network size.
        engine: Network, all views.
        mask: Scores to a mask of the camera's size.
        encode: Mask into a message's `array.array`.
        publish: Publishing that through DDS to a subscriber; measured separately, because it needs ROS.
        rest: The time between the stages.
    """

    message: float
    resize: float
    engine: float
    mask: float
    encode: float
    publish: float
    rest: float

    @property
    def total(self) -> float:
        """The time of all stages together."""
        return float(sum(astuple(self)))


def rgb_message(rgb: npt.NDArray[np.uint8]) -> ImageMessage:
    """HxWx3 uint8 RGB as a camera driver sends it: rgb8, rows without padding."""
    message = ImageMessage()
    fill_image(message, rgb, "rgb8", None)
    return message


def time_frame(
    segmenter: Segmenter, message: ImageMessage, options: SegmentOptions = PLAIN, publish_ms: float = 0.0
) -> Stages:
    """Make a mask message of an image message, as the node does.

    Args:
        segmenter: Loaded and warm.
        message: From `rgb_message`.
        options: As for `Segmenter.segment`.
        publish_ms: Milliseconds that publishing such a mask takes.
    """
    began = time.perf_counter()
    rgb = decode_image(message)
    decoded = time.perf_counter()
    result = segmenter.segment(rgb, options)
    segmented = time.perf_counter()
    fill_image(ImageMessage(), result.mask, "mono8", None)
    encoded = time.perf_counter()
    known = result.resize_ms + result.inference_ms + result.decode_ms
    return Stages(
        message=(decoded - began) * 1e3,
        resize=result.resize_ms,
        engine=result.inference_ms,
        mask=result.decode_ms,
        encode=(encoded - segmented) * 1e3,
        publish=publish_ms,
        rest=max(0.0, (segmented - decoded) * 1e3 - known),
    )
