"""Messages that carry video -> frames: of ffmpeg_image_transport and of Foxglove, one packet each.

Only the fields of messages are used, so rclpy and `rosbags` objects both work; ROS is not imported.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from desert_seg.errors import DataError, FrameError, quoted
from desert_seg.image_header import MAX_PIXELS
from desert_seg.recordings.h264 import nal_units
from desert_seg.recordings.video_decoder import Decoded, VideoDecoder


class VideoPacket(NamedTuple):
    """The content of a message of either type; `codec` is one of `video_decoder.CODECS`."""

    stamp: Any
    frame_id: str
    codec: str
    data: bytes


def video_packet(message: Any) -> VideoPacket:
    """Read an FFMPEGPacket or a CompressedVideo.

    Raises:
        DataError: The codec is neither H.264 nor HEVC.
    """
    if hasattr(message, "encoding"):
        # "CODEC;FORMAT;FORMAT;ENCODING", or in older versions the encoder alone: "libx264", "hevc_nvenc".
        stamp, frame_id, name = message.header.stamp, message.header.frame_id, message.encoding.partition(";")[0]
    else:
        stamp, frame_id, name = message.timestamp, message.frame_id, message.format
    name = name.casefold()
    if "264" in name:
        codec = "h264"
    elif "265" in name or "hevc" in name:
        codec = "hevc"
    else:
        raise DataError(f"found video of codec {quoted(name)}, expected h264 or hevc; record it with one of these")
    return VideoPacket(stamp, frame_id, codec, bytes(message.data))


class VideoStream:
    """Decodes the packets of one topic, in the order they were sent, with one result for each."""

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        """Start at the next key frame; frames of more than `max_pixels` pixels count as broken."""
        self._max_pixels = max_pixels
        self._decoder: VideoDecoder[VideoPacket] | None = None

    def push(self, message: Any) -> list[Decoded[VideoPacket]]:
        """The results that are now known for this packet and earlier ones.

        Raises:
            DataError: The codec is neither H.264 nor HEVC, or PyAV is not installed.
        """
        packet = video_packet(message)
        before = []
        if self._decoder is None or self._decoder.codec != packet.codec:
            before = self.finish()
            self._decoder = VideoDecoder(packet.codec, self._max_pixels)
        return before + self._decoder.push(packet.data, packet)

    def finish(self) -> list[Decoded[VideoPacket]]:
        """The remaining results."""
        return [] if self._decoder is None else self._decoder.finish()


def broken_video_error(codec: str, packet: bytes) -> FrameError:
    """The error for a packet that was not decoded."""
    if not any(nal_units(packet)):
        return FrameError(
            f"found a packet of {codec} video without a start code; have the encoder write Annex B, not the form of "
            "MP4 files, and a whole packet in each message"
        )
    return FrameError(
        f"found a packet of {codec} video that is broken, or comes before the first key frame or after a lost packet; "
        "have the encoder send key frames often, and let no packet be lost"
    )
