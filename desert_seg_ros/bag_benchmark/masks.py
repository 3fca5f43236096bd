"""The masks of a run, read back from its bag, beside the frames of the drive. Knows nothing of rclpy.

Shape letters: H, W.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.recordings.bag import Bag, deserialize
from desert_seg.recordings.drive import Drive, DriveFrame
from desert_seg.recordings.image_codec import decode_mask

Mask = npt.NDArray[np.uint8]
Masked = tuple[int, DriveFrame, Mask]
"""Position in the drive, frame, and HxW uint8 mask."""


def recorded_masks(mask_bag: Path) -> Iterator[tuple[int, Mask]]:
    """Stamp in nanoseconds and HxW uint8 mask of every mask in a bag, in the order of the drive."""
    with Bag(mask_bag) as bag:
        for stored in bag.messages([topic.name for topic in bag.topics()]):
            message = deserialize(stored)
            yield message.header.stamp.sec * 10**9 + message.header.stamp.nanosec, decode_mask(message)


def masked_frames(drive: Drive, mask_bag: Path) -> Iterator[Masked]:
    """The frames of a drive that got a mask, in order."""
    masks = recorded_masks(mask_bag)
    waiting = next(masks, None)
    for index, frame in enumerate(drive.frames()):
        if waiting is not None and waiting[0] == frame.stamp_ns:
            yield index, frame, waiting[1]
            waiting = next(masks, None)
