"""A drive: the frames of a bag or of a folder of images, in time order, behind one interface.

Frames are read lazily one by one, and decoded only on demand. A message that cannot be read does not end the frames
after it. A drive knows nothing of live topics, of pacing, or of what is done with the frames.

Shape letters: H, W.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage

from desert_seg.absent import cure_of_absent
from desert_seg.dataset_folder import check_not_turned, image_and_mask_folders, paired, without_image, without_mask
from desert_seg.errors import DataError, DesertSegError
from desert_seg.image_folder import list_images
from desert_seg.images import read_file, read_image_file
from desert_seg.recordings.bag import (
    Bag,
    is_bag,
    refuse_folder_of_bags,
)
from desert_seg.recordings.bag_drive import bag_frames, first_image
from desert_seg.recordings.drive_frame import DriveFrame, header_of
from desert_seg.recordings.files import find_files
from desert_seg.recordings.image_topic import find_image_topic, other_types

__all__ = ["Drive", "DriveFrame", "OnBad", "open_drive", "pass_over", "refuse", "refuse_left_out"]

_log = logging.getLogger(__name__)

FOLDER_START_NS = 1_700_000_000_000_000_000
"""Stamp of a folder's first frame: arbitrary, the same on every run, and not zero, which means "no time" in ROS."""

FOLDER_FRAME_ID = "camera_optical_frame"

_DAY_NS = 24 * 3600 * 10**9
_JUMP_NS = _DAY_NS
"""A longer time between two frames is a clock that was set, as on computers without a battery, and no time to wait."""

OnBad = Callable[[DesertSegError], None]
"""Called with the error of a frame that is left out, or of damage to the recording."""


def refuse(error: DesertSegError) -> NoReturn:
    """Raise the error: one bad message ends the frames."""
    raise error


def pass_over(_: DesertSegError) -> None:
    """Ignore the error, when an earlier pass through the drive has reported it."""


def refuse_left_out(path: Path, bad: Sequence[DesertSegError]) -> None:
    """Raise one DataError for everything that was left out of a drive, if anything was; called last."""
    if bad:
        what = (
            "1 message could not be read and was"
            if len(bad) == 1
            else f"{len(bad)} messages could not be read and were"
        )
        raise DataError(f"{path}: {what} left out; the first: {bad[0]}")


@dataclass(frozen=True)
class Drive:
    """Frames in time order, which can be iterated any number of times.

    Attributes:
        path: Where the frames come from.
        num_frames: How many there are according to the recording's index: good for a progress bar.
        read: Opens the source and yields its frames, and an error in the place of each that cannot be read.
        limit: Largest number of frames.
        remarks: Sentences on faults of the recording in spite of which it is read.
        darkness: One on a first image that is nearly black for want of scaling.
    """

    path: Path
    num_frames: int
    read: Callable[[], Iterator[DriveFrame | DataError]]
    limit: int | None = None
    remarks: tuple[str, ...] = ()
    darkness: str = ""
    _told: set[str] = field(default_factory=set, init=False, compare=False, repr=False)

    def warn(self, darkness: bool = True) -> None:
        """Log the remarks, once for a command, with that on `darkness` unless the command looks at levels itself."""
        for remark in (*self.remarks, *([self.darkness] if darkness and self.darkness else [])):
            _log.warning("warning: %s", remark)

    def frames(self, on_bad: OnBad = refuse) -> Iterator[DriveFrame]:
        """Read the frames from the first on.

        Args:
            on_bad: Called with the error of every message that cannot be read, in its place among the frames.

        Raises:
            DataError: A file is unreadable or a message or the bag is damaged, if `on_bad` refuses that.
        """
        num_frames, last_ns, jumped_ns = 0, None, 0
        for frame in self.read():
            if isinstance(frame, DataError):
                on_bad(frame)
                continue
            if last_ns is not None and frame.recorded_ns - last_ns > _JUMP_NS:
                jumped_ns += frame.recorded_ns - last_ns
                self._tell_jump(frame.recorded_ns - last_ns)
            last_ns = frame.recorded_ns
            yield replace(frame, recorded_ns=last_ns - jumped_ns)
            num_frames += 1
            if num_frames == self.limit:
                return

    def _tell_jump(self, jump_ns: int) -> None:
        days = f"{self.path}: the recorder's clock jumps by {jump_ns / _DAY_NS:.0f} days"
        if days not in self._told:
            self._told.add(days)
            _log.warning("warning: %s, as where it was set after the start; that time is passed over", days)


def open_drive(path: str | Path, topic: str | None = None, hz: float = 10.0, limit: int | None = None) -> Drive:
    """Find the frames in a bag or folder.

    Args:
        path: A bag folder, a .mcap, .db3 or .bag file, a folder of images, or a dataset folder, whose masks, if it has
            any, are the ground truth of the images that they are named like; see `desert_seg.dataset_folder`.
        topic: The image topic of a bag; needed only if there are several.
        hz: Frames per second of a folder; a bag has its own times.
        limit: Take at most this many frames.

    Raises:
        DataError: There are no frames there, or an argument is out of range.
    """
    path = Path(path)
    if not 0 < hz < math.inf:
        raise DataError(f"found a rate of {hz} frames per second, expected a positive number")
    if limit is not None and limit <= 0:
        raise DataError(f"found a limit of {limit} frames, expected a positive number")
    if not os.path.lexists(path):  # Path.exists raises an error of a name that is too long
        raise DataError(f"there is no {path}; {cure_of_absent(path, 'give a bag or a folder of images')}")
    remarks: tuple[str, ...] = ()
    dark = ""
    read: Callable[[], Iterator[DriveFrame | DataError]]
    if not path.is_dir() or is_bag(path):
        files = find_files(path)
        with Bag(files) as bag:
            image_topic = find_image_topic(bag, topic)
            colours, dark = first_image(bag, image_topic)
            remarks = (*bag.remarks, *filter(None, (other_types(bag, image_topic), colours)))
        num_frames, read = image_topic.num_messages, partial(bag_frames, files, image_topic)
    else:
        images, masks, remarks = _folder_files(path)
        num_frames, read = len(images), partial(_folder_frames, images, masks, hz)
    return Drive(path, num_frames if limit is None else min(limit, num_frames), read, limit, remarks, dark)


def _folder_files(path: Path) -> tuple[list[Path], dict[Path, Path], tuple[str, ...]]:
    """The images of a folder, the masks there are for them, and what is amiss."""
    image_folder, mask_folder = image_and_mask_folders(path)
    if not image_folder.is_dir():
        refuse_folder_of_bags(path)
        return list_images(path), {}, ()
    images = list_images(image_folder)
    if not mask_folder.is_dir():
        return images, {}, ()
    found = paired(path)
    remarks = (
        without_mask(path, found) and f"{without_mask(path, found)}; these frames have no true masks",
        without_image(path, found) and f"{without_image(path, found)}; these are not used",
    )
    return images, dict(found.pairs), tuple(filter(None, remarks))


def _folder_frames(images: list[Path], masks: dict[Path, Path], hz: float) -> Iterator[DriveFrame | DataError]:
    for index, path in enumerate(images):
        stamp_ns = FOLDER_START_NS + round(index * 1e9 / hz)
        mask = masks.get(path)
        try:
            truth = None
            if mask is not None:
                check_not_turned(path)
                check_not_turned(mask)
                truth = _file_message(mask, read_file(mask), stamp_ns)
            yield DriveFrame(stamp_ns, stamp_ns, _file_message(path, read_image_file(path), stamp_ns), None, truth)
        except DataError as error:
            yield error


def _file_message(path: Path, data: bytes, stamp_ns: int) -> CompressedImage:
    """An image file as the message it could have been recorded from: its bytes are passed on undecoded."""
    suffix = path.suffix.lower().removeprefix(".")
    kind = "jpeg" if suffix == "jpg" else suffix
    return CompressedImage(header_of(stamp_ns, FOLDER_FRAME_ID), kind, np.frombuffer(data, np.uint8))
