"""Video in bags as image messages: every packet of a topic becomes the frame it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__Image as Image
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header

from desert_seg.recordings.image_codec import BROKEN_VIDEO
from desert_seg.recordings.video_decoder import Decoded
from desert_seg.recordings.video_stream import VideoPacket, VideoStream


class VideoImages:
    """Turns the packets of one topic, in the order they were sent, into one image message each.

    Images are in rgb8; a packet that cannot be decoded gives a message that raises FrameError when it is decoded.
    """

    def __init__(self) -> None:
        self._stream = VideoStream()

    def add(self, message: Any) -> list[Image]:
        """The images that are now known; raises DataError as VideoStream.push does."""
        return [_image(frame) for frame in self._stream.push(message)]

    def finish(self) -> list[Image]:
        """The remaining images."""
        return [_image(frame) for frame in self._stream.finish()]


def _image(frame: Decoded[VideoPacket]) -> Image:
    packet, rgb = frame.token, frame.rgb
    header = Header(packet.stamp, packet.frame_id)
    if rgb is None:
        return Image(header, 0, 0, BROKEN_VIDEO[packet.codec], 0, 0, np.frombuffer(packet.data, np.uint8))
    height, width = rgb.shape[:2]
    return Image(header, height, width, "rgb8", 0, 3 * width, rgb.reshape(-1))
