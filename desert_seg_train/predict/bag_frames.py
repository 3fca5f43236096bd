"""The frames of a bag for prediction: the one module of this folder that knows of bags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.recordings import bag
from desert_seg.recordings.drive import open_drive


def is_bag(path: Path) -> bool:
    """True for a bag folder and for a bare .mcap or .db3 file."""
    return bag.is_bag(path)


def count_bag_frames(path: Path, topic: str) -> int:
    """Number of images on the topic; raises DataError if there is no such topic or the bag is damaged."""
    return open_drive(path, topic or None).num_frames


def bag_frames(
    path: Path, topic: str, first: int, length: int
) -> Iterator[tuple[str, Callable[[], npt.NDArray[np.uint8]]]]:
    """Names and decoders (HxWx3 uint8 RGB) of some frames; raises DataError for damage.

    A name is the stamp in nanoseconds; the second frame of a stamp ends in _2, and so on, for which all frames before
    count.
    """
    num_seen: Counter[int] = Counter()
    for index, frame in enumerate(islice(open_drive(path, topic or None).frames(), first + length)):
        num_seen[frame.stamp_ns] += 1
        repeated = num_seen[frame.stamp_ns]
        if index >= first:
            yield f"{frame.stamp_ns}_{repeated}" if repeated > 1 else str(frame.stamp_ns), frame.rgb
