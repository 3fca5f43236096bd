"""Video in bags as images: every packet of a topic becomes the frame it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__Image as Image
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header

from desert_seg.recordings.image_codec import BROKEN_VIDEO
from desert_seg.recordings.video_decoder import Decoded, VideoDecoder
from desert_seg.recordings.video_messages import video_packet


class VideoImages:
    """Turns the packets of one topic, in the order they were sent, into as many image messages."""

    def __init__(self) -> None:
        self._decoder: VideoDecoder[tuple[Header, bytes]] | None = None

    def add(self, message: Any) -> list[Image]:
        """The images that are known with this packet.

        Returns:
            Images in rgb8; for a packet that cannot be decoded, one that holds the packet and raises FrameError when
            it is to be decoded.

        Raises:
            DataError: It is of another codec than H.264 or HEVC, or PyAV is not installed.
        """
        packet = video_packet(message)
        images = []
        if self._decoder is None or self._decoder.codec != packet.codec:
            images = self.finish()
            self._decoder = VideoDecoder(packet.codec)
        decoded = self._decoder.push(packet.data, (Header(packet.stamp, packet.frame_id), packet.data))
        return images + [self._image(packet.codec, frame) for frame in decoded]

    def finish(self) -> list[Image]:
        """The images that were still to come."""
        if self._decoder is None:
            return []
        return [self._image(self._decoder.codec, frame) for frame in self._decoder.finish()]

    def _image(self, codec: str, frame: Decoded[tuple[Header, bytes]]) -> Image:
        header, data = frame.token
        if frame.rgb is None:
            return Image(header, 0, 0, BROKEN_VIDEO[codec], 0, 0, np.frombuffer(data, np.uint8))
        height, width = frame.rgb.shape[:2]
        return Image(header, height, width, "rgb8", 0, 3 * width, frame.rgb.reshape(-1))
