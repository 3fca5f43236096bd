"""The frames of a bag in the order they were recorded, each with the calibration and the mask that belong to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__Image as Image

from desert_seg.errors import DataError, DesertSegError
from desert_seg.recordings.bag import Bag, Topic, deserialize
from desert_seg.recordings.drive_frame import DriveFrame, nanoseconds
from desert_seg.recordings.files import RecordingFiles
from desert_seg.recordings.image_codec import decode
from desert_seg.recordings.image_topic import IMAGE_TYPES, sibling_topic
from desert_seg.recordings.picture_fault import darkness, lost_colours
from desert_seg.recordings.video import VideoImages
from desert_seg.recordings.video_messages import VIDEO

_LOOKAHEAD = 5
"""A camera_info or mask may be recorded up to this many images after its own image."""


def first_image(bag: Bag, topic: Topic) -> tuple[str, str]:
    """Sentences on the colours and the darkness of the first image, by which the pictures show less than there was."""
    with suppress(DesertSegError):  # what cannot be read is reported in its turn
        for stored in bag.messages([topic.name] if topic.type in IMAGE_TYPES else []):
            if stored.type == topic.type:
                message = deserialize(stored)
                told = lost_colours(message), darkness(message, partial(decode, message))
                return (told[0] and f"{bag.path}: {told[0]}", told[1] and f"{bag.path}: {told[1]}")
    return "", ""


def bag_frames(files: RecordingFiles, image_topic: Topic) -> Iterator[DriveFrame | DataError]:
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
        beside[nanoseconds(message.header.stamp)] = message
        if len(beside) > 3 * _LOOKAHEAD:
            del beside[next(iter(beside))]

    def next(self) -> DriveFrame | DataError:
        """The image that waited longest, with what belongs to it."""
        waiting = self._waiting.popleft()
        if isinstance(waiting, DataError):
            return waiting
        recorded_ns, image = waiting
        stamp_ns = nanoseconds(image.header.stamp)
        info_ns = max((info_ns for info_ns in self._infos if info_ns <= stamp_ns), default=None)
        info = None if info_ns is None else self._infos[info_ns]
        # Where images share a stamp, it is unknown whose mask it is, so none of them gets it.
        neighbours = (nanoseconds(each[1].header.stamp) for each in self._waiting if not isinstance(each, DataError))
        is_shared = stamp_ns == self._last_stamp_ns or stamp_ns in neighbours
        self._last_stamp_ns = stamp_ns
        truth = None if is_shared else self._truths.get(stamp_ns)
        return DriveFrame(stamp_ns, recorded_ns, image, info, truth)
