"""One frame of a drive, as the messages it was recorded in, and the same frame in other messages.

Shape letters: H, W.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.typesys.stores.ros2_kilted import builtin_interfaces__msg__Time as Time
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__Image as Image
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header

from desert_seg.recordings.image_codec import decode, decode_mask

_JPEG_QUALITY = 95

MessageT = TypeVar("MessageT", Image, CompressedImage, Image | CompressedImage, CameraInfo)


@dataclass(frozen=True)
class DriveFrame:
    """One camera frame; the messages are `rosbags` objects with the fields of their ROS types.

    Attributes:
        stamp_ns: When the image was taken, from its header.
        recorded_ns: When it was recorded, which sets the pace of a replay; less the jumps of a clock by days before it.
        image: As stored; for video, the decoded frame in rgb8.
        camera_info: The one with the image's stamp, else the latest one before it, else None.
        truth: The ground-truth mask with exactly the image's stamp, as stored, or None.
    """

    stamp_ns: int
    recorded_ns: int
    image: Image | CompressedImage
    camera_info: CameraInfo | None
    truth: Image | CompressedImage | None

    @property
    def frame_id(self) -> str:
        """The coordinate frame the image was taken in."""
        return self.image.header.frame_id

    def rgb(self) -> npt.NDArray[np.uint8]:
        """Decode the image: HxWx3 uint8 RGB; raises FrameError if it is broken."""
        return decode(self.image)

    def ground_truth(self) -> npt.NDArray[Any] | None:
        """Decode the ground-truth mask: HxW uint8 or uint16 raw values, or None; raises FrameError if it is broken."""
        return None if self.truth is None else decode_mask(self.truth)

    def with_stamp(self, stamp_ns: int) -> DriveFrame:
        """The same frame as if taken at another time: all its messages carry the new stamp."""
        return replace(
            self,
            stamp_ns=stamp_ns,
            image=_with_stamp(self.image, stamp_ns),
            camera_info=self.camera_info and _with_stamp(self.camera_info, stamp_ns),
            truth=self.truth and _with_stamp(self.truth, stamp_ns),
        )

    def as_raw(self) -> DriveFrame:
        """The same frame with image and mask as Image; raises FrameError if a compressed one is broken."""
        image, truth = self.image, self.truth
        if isinstance(image, CompressedImage):
            image = _raw(image.header, self.rgb(), "rgb8")
        if isinstance(truth, CompressedImage):
            mask = decode_mask(truth)
            truth = _raw(truth.header, mask, "mono8" if mask.dtype == np.uint8 else "mono16")
        return replace(self, image=image, truth=truth)

    def as_compressed(self) -> DriveFrame:
        """The same frame with image (JPEG) and mask (PNG) as CompressedImage; raises FrameError if one is broken."""
        image, truth = self.image, self.truth
        if isinstance(image, Image):
            jpeg_options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            image = _compressed(image.header, cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2BGR), "jpeg", jpeg_options)
        if isinstance(truth, Image):
            truth = _compressed(truth.header, decode_mask(truth), "png", [])
        return replace(self, image=image, truth=truth)


def _raw(header: Header, image: npt.NDArray[Any], encoding: str) -> Image:
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
    return Image(header, height, width, encoding, 0, data.size // height, data)


def _compressed(header: Header, image: npt.NDArray[Any], kind: str, options: list[int]) -> CompressedImage:
    return CompressedImage(header, kind, cv2.imencode(f".{kind}", image, options)[1].reshape(-1))


def _with_stamp(message: MessageT, stamp_ns: int) -> MessageT:
    return replace(message, header=header_of(stamp_ns, message.header.frame_id))


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """The header of a message; `stamp_ns` in nanoseconds."""
    return Header(Time(*divmod(stamp_ns, 10**9)), frame_id)


def nanoseconds(stamp: Time) -> int:
    """A stamp in nanoseconds."""
    return stamp.sec * 10**9 + stamp.nanosec
