"""The messages that carry video, one packet each: of ffmpeg_image_transport and of Foxglove.

Their definitions are those of https://github.com/ros-misc-utilities/ffmpeg_image_transport_msgs and
https://github.com/foxglove/foxglove-sdk. Messages are read by their fields alone; ROS is not imported.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rosbags.typesys import get_types_from_msg

from desert_seg.errors import DataError, quoted

FFMPEG_PACKET = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
COMPRESSED_VIDEO = "foxglove_msgs/msg/CompressedVideo"
VIDEO = (FFMPEG_PACKET, COMPRESSED_VIDEO)

VIDEO_TYPES = {
    **get_types_from_msg(
        "std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\nuint8 flags\n"
        "bool is_bigendian\nuint8[] data\n",
        FFMPEG_PACKET,
    ),
    **get_types_from_msg(
        "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n", COMPRESSED_VIDEO
    ),
}
"""For a `rosbags` type store."""


class VideoPacket(NamedTuple):
    """What a message of either type says; `codec` is one of `video_decoder.CODECS`."""

    stamp: Any
    frame_id: str
    codec: str
    data: bytes


def video_packet(message: Any) -> VideoPacket:
    """Read an FFMPEGPacket or a CompressedVideo.

    Raises:
        DataError: It is of another codec than H.264 or HEVC.
    """
    if hasattr(message, "encoding"):
        # "CODEC;FORMAT;FORMAT;ENCODING", or in older versions the encoder alone: "libx264", "hevc_nvenc".
        stamp, frame_id, name = message.header.stamp, message.header.frame_id, message.encoding.split(";")[0]
    else:
        stamp, frame_id, name = message.timestamp, message.frame_id, message.format
    if "264" in name:
        codec = "h264"
    elif "265" in name or "hevc" in name:
        codec = "hevc"
    else:
        raise DataError(f"found video of codec {quoted(name)}, expected h264 or hevc; record it with one of these")
    return VideoPacket(stamp, frame_id, codec, bytes(message.data))
