"""The message types that carry video, for reading bags where their packages are not installed.

Their definitions are those of https://github.com/ros-misc-utilities/ffmpeg_image_transport_msgs and
https://github.com/foxglove/foxglove-sdk.
"""

from __future__ import annotations

from rosbags.typesys import get_types_from_msg

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
