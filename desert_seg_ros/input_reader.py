"""What comes on an input topic as bytes: its stamp at once, the message when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy._rclpy_pybind11 import RMWError
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from desert_seg.errors import FrameError
from desert_seg_ros import cdr


@dataclass(frozen=True)
class InputReader:
    """Reads the messages of a topic that begin with a header.

    Attributes:
        topic: Its resolved name.
        message_type: Of the topic.
    """

    topic: str
    message_type: Any

    def stamp_ns(self, data: bytes) -> int:
        """The stamp, in nanoseconds; raises FrameError if the bytes do not even begin like a message of the type."""
        try:
            return cdr.stamp_of(data)
        except FrameError as error:
            raise self._no_message(data) from error

    def message(self, data: bytes) -> Any:
        """The message; raises FrameError if the bytes are none of the type."""
        try:
            if self.message_type is Image:
                return cdr.image_of(data, _header)
            return deserialize_message(data, self.message_type)
        except (FrameError, RMWError) as error:
            raise self._no_message(data) from error

    def _no_message(self, data: bytes) -> FrameError:
        found = f"found {len(data)} bytes on {self.topic} that are no {self.message_type.__name__} message"
        return FrameError(f"{found}; publish it with a ROS 2 client library")


def _header(seconds: int, nanoseconds: int, frame_id: str) -> Header:
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = seconds, nanoseconds
    return header
