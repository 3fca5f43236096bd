"""The masks of a run, read back from its bag, beside the frames of the drive. Knows nothing of rclpy.

Shape letters: H, W.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.recordings.bag import Bag, deserialize
from desert_seg.recordings.drive import Drive, DriveFrame, pass_over
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


def masked_frames(drive: Drive, mask_bag: Path, indices: Sequence[int]) -> Iterator[Masked]:
    """The frames of a drive that got a mask, in order.

    Args:
        drive: The replayed drive; its stamps do not identify frames, because many drives have only one stamp.
        mask_bag: Their masks.
        indices: Positions of the frames with a mask, in the order of the bag.
    """
    masked, masks = set(indices), zip(indices, recorded_masks(mask_bag), strict=True)
    waiting: dict[int, Mask] = {}
    for index, frame in enumerate(drive.frames(pass_over)):
        if index not in masked:
            continue
        while index not in waiting:
            place, (_, mask) = next(masks)
            waiting[place] = mask
        yield index, frame, waiting.pop(index)
