"""Video from a camera: its packets are decoded in the order they were sent, on a thread of their own. Imports no ROS.

The worker skips all but the newest message, but skipping a packet would spoil all others up to the next key frame. So
the worker gets frames, not packets.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError, FrameError
from desert_seg.recordings.video_decoder import Decoded
from desert_seg.recordings.video_stream import VideoPacket, VideoStream, broken_video_error

MAX_WAITING = 64
"""Largest number of packets that wait to be decoded: two seconds of video."""


@dataclass(frozen=True)
class VideoFrame:
    """The worker's input for a packet: `rgb` HxWx3 uint8, or why there is none."""

    header: Any
    rgb: npt.NDArray[np.uint8] | FrameError


def decode_video_frame(frame: VideoFrame) -> npt.NDArray[np.uint8]:
    """HxWx3 uint8 RGB; raises FrameError if the packet could not be decoded."""
    if isinstance(frame.rgb, FrameError):
        raise frame.rgb
    return frame.rgb


class VideoReceiver:
    """Decodes the packets of one camera."""

    def __init__(
        self,
        stream: VideoStream,
        make_header: Callable[[Any, str], Any],
        on_frame: Callable[[VideoFrame], None],
        on_overload: Callable[[], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        """Start the thread.

        Args:
            stream: Decodes them; nobody else may use it.
            make_header: Makes a ROS header of a stamp and a frame id.
            on_frame: Called, on the thread, with the frame of every packet.
            on_overload: Called when a packet is dropped because too many wait.
            on_crash: Called when the thread dies of a bug.
        """
        self._make_header, self._on_frame = make_header, on_frame
        self._on_overload, self._on_crash = on_overload, on_crash
        self._condition = threading.Condition()
        self._waiting: deque[Any] = deque()
        self._closed = False
        self._stream = stream
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def put(self, message: Any) -> None:
        """Hand over an FFMPEGPacket or a CompressedVideo; never waits."""
        with self._condition:
            is_full = len(self._waiting) >= MAX_WAITING
            if not is_full:
                self._waiting.append(message)
                self._condition.notify()
        if is_full:
            self._on_overload()

    def stop(self) -> None:
        """Drop what waits, and wait for the packet in hand."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                with self._condition:
                    self._condition.wait_for(lambda: self._waiting or self._closed)
                    if self._closed:
                        return
                    message = self._waiting.popleft()
                self._decode(message)
        except Exception as error:
            self._on_crash(error)

    def _decode(self, message: Any) -> None:
        try:
            decoded = self._stream.push(message)
        except DataError as error:
            stamp = message.header.stamp if hasattr(message, "header") else message.timestamp
            frame_id = message.header.frame_id if hasattr(message, "header") else message.frame_id
            self._on_frame(VideoFrame(self._make_header(stamp, frame_id), FrameError(str(error))))
            return
        for frame in decoded:
            self._on_frame(self._frame(frame))

    def _frame(self, decoded: Decoded[VideoPacket]) -> VideoFrame:
        packet = decoded.token
        rgb = broken_video_error(packet.codec, packet.data) if decoded.rgb is None else decoded.rgb
        return VideoFrame(self._make_header(packet.stamp, packet.frame_id), rgb)
