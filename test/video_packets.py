"""Video of a known scene, encoded as ffmpeg_image_transport does."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

KEY_EVERY = 5
ENCODERS = {"h264": "libx264", "hevc": "libx265"}


def scene(num_frames: int = 15, size: tuple[int, int] = (64, 96)) -> list[np.ndarray]:
    """Frames of HxWx3 uint8 whose brightness, and a bar whose place, tell which one it is."""
    frames = []
    for index in range(num_frames):
        frame = np.full((*size, 3), (40 + 10 * index, 90, 200 - 10 * index), np.uint8)
        frame[:, 4 * index : 4 * index + 16] = 250
        frames.append(frame)
    return frames


def encode(codec: str, frames: list[np.ndarray], reordered: int = 0) -> list[tuple[int, bytes]]:
    """Packets in the order they are sent, each with the index of its frame; `reordered` B-frames are between others."""
    import av

    context = av.CodecContext.create(ENCODERS[codec], "w")
    context.height, context.width = frames[0].shape[:2]
    context.pix_fmt, context.time_base, context.gop_size = "yuv420p", Fraction(1, 30), KEY_EVERY
    context.max_b_frames = reordered
    context.thread_count = 1
    quiet = {"x265-params": "log-level=none:pools=1"} if codec == "hevc" else {}
    # Scene cuts would add key frames.
    context.options = {"preset": "ultrafast", "crf": "10", "sc_threshold": "0", **quiet}
    if not reordered:
        context.options = {**context.options, "tune": "zerolatency"}
    packets = []
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts = index
        packets += context.encode(picture)
    packets += context.encode(None)
    return [(packet.pts, bytes(packet)) for packet in packets]
