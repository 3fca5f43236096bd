"""H.264 and HEVC packets -> frames, through PyAV (the extra `video`). Knows nothing of messages.

A packet builds on those before it, so a decoder has to see all of them in order. Decoders conceal what is missing; here
a frame is right or refused: after a lost or broken packet, everything up to the next key frame is refused.

Shape letters: H, W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.image_header import MAX_PIXELS
from desert_seg.recordings.h264 import FrameNumbers, nal_units

CODECS = ("h264", "hevc")

_MAX_REORDERED = 16
"""Largest number of frames by which reordering delays a frame, in both codecs."""

TokenT = TypeVar("TokenT")


@dataclass(frozen=True)
class Decoded(Generic[TokenT]):
    """The result for a packet: `rgb` HxWx3 uint8, or None if it cannot be decoded, and the `token` pushed with it."""

    token: TokenT
    rgb: npt.NDArray[np.uint8] | None


class VideoDecoder(Generic[TokenT]):
    """Takes the packets of one stream in the order they were sent, and returns one result for each."""

    def __init__(self, codec: str, max_pixels: int = MAX_PIXELS) -> None:
        """Start at the next key frame.

        Args:
            codec: One of CODECS.
            max_pixels: How many pixels a frame may have; a larger one counts as broken.

        Raises:
            DataError: PyAV is not installed.
        """
        try:
            import av
        except ImportError as error:
            raise DataError(
                f"found {codec} video, expected PyAV to decode it with; install the extra `video`, or `pip install av`"
            ) from error
        self.codec = codec
        self._av: Any = av
        self._context: Any = av.CodecContext.create(codec, "r")
        self._context.thread_count = 1  # with more threads, frames are delayed
        self._context.options = {"err_detect": "explode", "max_pixels": str(max_pixels)}
        self._in_step = False
        self._frame_numbers = FrameNumbers()
        self._num_packets = 0
        self._pending: dict[int, TokenT] = {}

    def push(self, packet: bytes, token: TokenT) -> list[Decoded[TokenT]]:
        """Decode one packet: Annex B, one complete frame.

        Args:
            packet: As the encoder wrote it.
            token: Returned with the frame, for example its stamp.

        Returns:
            The results that are now known for this packet and earlier ones, in display order. Without B-frames that is
            this packet alone.
        """
        self._num_packets += 1
        if not self._in_step and not self._is_key(packet):
            return [Decoded(token, None)]
        self._in_step = True
        self._pending[self._num_packets] = token
        if self.codec == "h264" and not self._frame_numbers.is_next(packet):
            return self._give_up()
        return self._decode(self._packet(packet))

    def finish(self) -> list[Decoded[TokenT]]:
        """The remaining results, after the last packet."""
        return self._decode(None) + self._give_up()

    def _packet(self, data: bytes) -> Any:
        packet = self._av.Packet(data)
        packet.pts = self._num_packets
        return packet

    def _is_key(self, packet: bytes) -> bool:
        """Whether decoding can begin here: at parameter sets, or at an intra-coded picture."""
        if self.codec == "h264":
            return any(unit[0] & 0x1F in (5, 7) for unit in nal_units(packet))
        return any(16 <= unit[0] >> 1 & 0x3F <= 23 or unit[0] >> 1 & 0x3F == 33 for unit in nal_units(packet))

    def _decode(self, packet: Any) -> list[Decoded[TokenT]]:
        decoded: list[Decoded[TokenT]] = []
        try:
            for frame in self._context.decode(packet):
                if frame.is_corrupt:
                    return decoded + self._give_up()
                rgb = frame.to_ndarray(format="rgb24")
                if frame.pts in self._pending:  # otherwise a second frame of its packet, or one already given up
                    decoded.append(Decoded(self._pending.pop(frame.pts), rgb))
        except (self._av.error.FFmpegError, ValueError):
            return decoded + self._give_up()
        overdue = [number for number in self._pending if number < self._num_packets - _MAX_REORDERED]
        return [Decoded(self._pending.pop(number), None) for number in overdue] + decoded

    def _give_up(self) -> list[Decoded[TokenT]]:
        """Decode nothing more before the next key frame."""
        lost = [Decoded(token, None) for token in self._pending.values()]
        self._pending.clear()
        self._context.flush_buffers()
        self._frame_numbers.restart()
        self._in_step = False
        return lost
