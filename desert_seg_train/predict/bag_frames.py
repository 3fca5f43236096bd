"""The frames of a bag for prediction: the one module of this folder that knows of bags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.recordings import bag
from desert_seg.recordings.drive import Drive, open_drive, refuse


def is_bag(path: Path) -> bool:
    """True for a bag folder and for a single bag file."""
    return bag.is_bag(path)


def refuse_folder_of_bags(path: Path) -> None:
    """Raise DataError for a folder that holds no images, but bags."""
    bag.refuse_folder_of_bags(path)


def open_bag(path: Path, topic: str) -> Drive:
    """The frames of the topic, empty for the only one; raises DataError if there are none."""
    return open_drive(path, topic or None)


def bag_frames(
    drive: Drive, first: int = 0, length: int | None = None
) -> Iterator[tuple[str, Callable[[], npt.NDArray[np.uint8]]]]:
    """Names and decoders (HxWx3 uint8 RGB) of some frames; None takes all from the first on.

    A name is the stamp in nanoseconds; the second frame with a stamp ends in _2, and so on, counted from the first
    frame of the bag. A message that cannot be read is named by its position, and its decoder raises the DataError;
    damage to the bag adds such an entry at the end.
    """
    num_seen: Counter[int] = Counter()
    for index, frame in enumerate(islice(drive.read(), None if length is None else first + length)):
        if isinstance(frame, DataError):
            if index >= first:
                yield f"message_{index}", partial(refuse, frame)
            continue
        num_seen[frame.stamp_ns] += 1
        repeated = num_seen[frame.stamp_ns]
        if index >= first:
            yield f"{frame.stamp_ns}_{repeated}" if repeated > 1 else str(frame.stamp_ns), frame.rgb
