"""A drive: the frames of a bag or of a folder of images, in time order, behind one interface.

Frames are read lazily one by one, and decoded only on demand. A message that cannot be read does not end the frames
after it. A drive knows nothing of live topics, of pacing, or of what is done with the frames.

Shape letters: H, W.
"""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.typesys.stores.ros2_kilted import builtin_interfaces__msg__Time as Time
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__Image as Image
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header

from desert_seg.absent import cure_of_absent
from desert_seg.dataset_folder import check_not_turned, image_and_mask_folders, paired, without_image, without_mask
from desert_seg.errors import DataError, DesertSegError
from desert_seg.image_folder import list_images
from desert_seg.images import read_file, read_image_file
from desert_seg.recordings.bag import (
    Bag,
    Topic,
    deserialize,
    is_bag,
    refuse_folder_of_bags,
)
from desert_seg.recordings.files import RecordingFiles, find_files
from desert_seg.recordings.image_codec import decode, decode_mask
from desert_seg.recordings.image_topic import IMAGE_TYPES, find_image_topic, other_types, sibling_topic
from desert_seg.recordings.picture_fault import darkness, lost_colours
from desert_seg.recordings.video import VideoImages
from desert_seg.recordings.video_messages import VIDEO

_log = logging.getLogger(__name__)

FOLDER_START_NS = 1_700_000_000_000_000_000
"""Stamp of a folder's first frame: arbitrary, the same on every run, and not zero, which means "no time" in ROS."""

FOLDER_FRAME_ID = "camera_optical_frame"

_LOOKAHEAD = 5
"""A camera_info or mask may be recorded up to this many images after its own image."""

_JPEG_QUALITY = 95

MessageT = TypeVar("MessageT", Image, CompressedImage, Image | CompressedImage, CameraInfo)


@dataclass(frozen=True)
class DriveFrame:
    """One camera frame; the messages are `rosbags` objects with the fields of their ROS types.

    Attributes:
        stamp_ns: When the image was taken, from its header.
        recorded_ns: When it was recorded, which sets the pace of a replay.
        image: As stored; for video, the decoded frame in rgb8.
        camera_info: The one with the image's stamp, else the latest one before it, else None.
        truth: The ground-truth mask with exactly the image's stamp, as stored, or None.
    """

    stamp_ns: int
    recorded_ns: int
    image: Image | CompressedImage
    camera_info: CameraInfo | None
    truth: Image | CompressedImage | None

    @property
    def frame_id(self) -> str:
        """The coordinate frame the image was taken in."""
        return self.image.header.frame_id

    def rgb(self) -> npt.NDArray[np.uint8]:
        """Decode the image: HxWx3 uint8 RGB; raises FrameError if it is broken."""
        return decode(self.image)

    def ground_truth(self) -> npt.NDArray[Any] | None:
        """Decode the ground-truth mask: HxW uint8 or uint16 raw values, or None; raises FrameError if it is broken."""
        return None if self.truth is None else decode_mask(self.truth)

    def with_stamp(self, stamp_ns: int) -> DriveFrame:
        """The same frame as if taken at another time: all its messages carry the new stamp."""
        return replace(
            self,
            stamp_ns=stamp_ns,
            image=_with_stamp(self.image, stamp_ns),
            camera_info=self.camera_info and _with_stamp(self.camera_info, stamp_ns),
            truth=self.truth and _with_stamp(self.truth, stamp_ns),
        )

    def as_raw(self) -> DriveFrame:
        """The same frame with image and mask as Image; raises FrameError if a compressed one is broken."""
        image, truth = self.image, self.truth
        if isinstance(image, CompressedImage):
            image = _raw(image.header, self.rgb(), "rgb8")
        if isinstance(truth, CompressedImage):
            mask = decode_mask(truth)
            truth = _raw(truth.header, mask, "mono8" if mask.dtype == np.uint8 else "mono16")
        return replace(self, image=image, truth=truth)

    def as_compressed(self) -> DriveFrame:
        """The same frame with image (JPEG) and mask (PNG) as CompressedImage; raises FrameError if one is broken."""
        image, truth = self.image, self.truth
        if isinstance(image, Image):
            jpeg_options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            image = _compressed(image.header, cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2BGR), "jpeg", jpeg_options)
        if isinstance(truth, Image):
            truth = _compressed(truth.header, decode_mask(truth), "png", [])
        return replace(self, image=image, truth=truth)


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
        num_frames = 0
        for frame in self.read():
            if isinstance(frame, DataError):
                on_bad(frame)
                continue
            yield frame
            num_frames += 1
            if num_frames == self.limit:
                return


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
            colours, dark = _first_image(bag, image_topic)
            remarks = (*bag.remarks, *filter(None, (other_types(bag, image_topic), colours)))
        num_frames, read = image_topic.num_messages, partial(_bag_frames, files, image_topic)
    else:
        images, masks, remarks = _folder_files(path)
        num_frames, read = len(images), partial(_folder_frames, images, masks, hz)
    return Drive(path, num_frames if limit is None else min(limit, num_frames), read, limit, remarks, dark)


def _first_image(bag: Bag, topic: Topic) -> tuple[str, str]:
    """Sentences on the colours and the darkness of the first image, by which the pictures show less than there was."""
    with suppress(DesertSegError):  # what cannot be read is reported in its turn
        for stored in bag.messages([topic.name] if topic.type in IMAGE_TYPES else []):
            if stored.type == topic.type:
                message = deserialize(stored)
                told = lost_colours(message), darkness(message, partial(decode, message))
                return (told[0] and f"{bag.path}: {told[0]}", told[1] and f"{bag.path}: {told[1]}")
    return "", ""


def _bag_frames(files: RecordingFiles, image_topic: Topic) -> Iterator[DriveFrame | DataError]:
    """The frames in order; an error is in the place of its message, damage to the bag at the end."""
    topic = image_topic.name
    info_topic, truth_topic = sibling_topic(topic, "camera_info"), sibling_topic(topic, "ground_truth")
    types = {
        topic: (image_topic.type,),
        info_topic: (CameraInfo.__msgtype__,),
        truth_topic: IMAGE_TYPES,
        f"{truth_topic}/compressed": IMAGE_TYPES,
    }
    lookahead, video, last_recorded_ns = _Lookahead(), VideoImages(), 0
    with Bag(files) as bag:
        try:
            for stored in bag.messages(tuple(types)):
                if stored.type not in types[stored.topic]:
                    continue
                try:
                    message = deserialize(stored)
                except DataError as error:
                    if stored.topic == topic:
                        lookahead.put(error)
                    continue
                if stored.topic == topic:
                    last_recorded_ns = stored.recorded_ns
                    for image in video.add(message) if stored.type in VIDEO else [message]:
                        lookahead.put((last_recorded_ns, image))
                else:
                    lookahead.keep(message)
                while len(lookahead) > _LOOKAHEAD:
                    yield lookahead.next()
        except DataError as error:
            lookahead.put(error)
        for image in video.finish():
            lookahead.put((last_recorded_ns, image))
        while len(lookahead):
            yield lookahead.next()


class _Lookahead:
    """Images that wait for messages that belong to them and may be recorded a little later."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Image | CompressedImage] | DataError] = deque()
        self._infos: dict[int, CameraInfo] = {}
        self._truths: dict[int, Image | CompressedImage] = {}
        self._last_stamp_ns: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, image: tuple[int, Image | CompressedImage] | DataError) -> None:
        """Add the time at which an image was recorded, and the image; or the error in its place."""
        self._waiting.append(image)

    def keep(self, message: CameraInfo | Image | CompressedImage) -> None:
        """Remember a camera_info or a ground-truth mask for a while."""
        beside: dict[int, Any] = self._infos if isinstance(message, CameraInfo) else self._truths
        beside[_nanoseconds(message.header.stamp)] = message
        if len(beside) > 3 * _LOOKAHEAD:
            del beside[next(iter(beside))]

    def next(self) -> DriveFrame | DataError:
        """The image that waited longest, with what belongs to it."""
        waiting = self._waiting.popleft()
        if isinstance(waiting, DataError):
            return waiting
        recorded_ns, image = waiting
        stamp_ns = _nanoseconds(image.header.stamp)
        info_ns = max((info_ns for info_ns in self._infos if info_ns <= stamp_ns), default=None)
        info = None if info_ns is None else self._infos[info_ns]
        # Where images share a stamp, it is unknown whose mask it is, so none of them gets it.
        neighbours = (_nanoseconds(each[1].header.stamp) for each in self._waiting if not isinstance(each, DataError))
        is_shared = stamp_ns == self._last_stamp_ns or stamp_ns in neighbours
        self._last_stamp_ns = stamp_ns
        truth = None if is_shared else self._truths.get(stamp_ns)
        return DriveFrame(stamp_ns, recorded_ns, image, info, truth)


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
    return CompressedImage(_header(stamp_ns, FOLDER_FRAME_ID), kind, np.frombuffer(data, np.uint8))


def _raw(header: Header, image: npt.NDArray[Any], encoding: str) -> Image:
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
    return Image(header, height, width, encoding, 0, data.size // height, data)


def _compressed(header: Header, image: npt.NDArray[Any], kind: str, options: list[int]) -> CompressedImage:
    return CompressedImage(header, kind, cv2.imencode(f".{kind}", image, options)[1].reshape(-1))


def _with_stamp(message: MessageT, stamp_ns: int) -> MessageT:
    return replace(message, header=_header(stamp_ns, message.header.frame_id))


def _header(stamp_ns: int, frame_id: str) -> Header:
    return Header(Time(*divmod(stamp_ns, 10**9)), frame_id)


def _nanoseconds(stamp: Time) -> int:
    return stamp.sec * 10**9 + stamp.nanosec
