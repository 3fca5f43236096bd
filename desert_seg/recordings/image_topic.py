"""Which topics of a recording hold a camera's images, and how the topics beside one are named.

Ground truth is published with the stamp of its image on `<namespace>/ground_truth` (Image, mono8 or mono16, raw mask
values) or `<namespace>/ground_truth/compressed` (CompressedImage, PNG). Knows nothing of pixels or live topics.
"""

from __future__ import annotations

from typing import Any, Literal

from desert_seg.errors import DataError
from desert_seg.recordings.bag import Bag, Topic, deserialize
from desert_seg.recordings.compressed import is_depth
from desert_seg.recordings.image_codec import is_readable
from desert_seg.recordings.video_messages import VIDEO

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
CAMERA_TYPES = (*IMAGE_TYPES, *VIDEO)
TRANSPORTS = ("compressed", "ffmpeg", "foxglove")
"""Of image_transport: the last part of a topic's name, behind the base topic's."""

_MANY = 6


def is_ground_truth(topic: str) -> bool:
    """True for topics that carry ground-truth masks instead of camera images."""
    return topic.removesuffix("/compressed").endswith("/ground_truth")


def sibling_topic(image_topic: str, name: str) -> str:
    """The topic `name` beside an image topic: `/cam/image_raw/compressed`, `camera_info` -> `/cam/camera_info`."""
    base, _, transport = image_topic.rpartition("/")
    namespace, slash, _ = (base if transport in TRANSPORTS else image_topic).rpartition("/")
    return f"{namespace}{slash}{name}"


def find_image_topic(bag: Bag, wanted: str | None = None) -> Topic:
    """The camera images of a bag.

    Args:
        bag: Where to look.
        wanted: The topic to take; None = the only image topic of the bag. Ground truth and depth do not count, nor
            beside others do images of encodings that are not read, like the labels of simulators.

    Returns:
        The topic; of a name with images of several types, the type with the most messages.

    Raises:
        DataError: There is no such topic, no image topic at all, several to choose from, or none that can be read.
    """
    named = [topic for topic in bag.topics() if topic.type in CAMERA_TYPES and not is_ground_truth(topic.name)]
    kinds = {topic: _kind(bag, topic) for topic in named}
    kept = [topic for topic in named if kinds[topic] == "image"] if wanted is None else []
    kept = kept or [topic for topic in named if kinds[topic] in ("image", "unreadable")]
    found = sorted(kept, key=lambda topic: topic.num_messages)
    images = {topic.name: topic for topic in found}
    listed = ", ".join(sorted(images))
    depth = ", ".join(topic.name for topic in named if kinds[topic] == "depth")
    damaged = [kind for topic, kind in kinds.items() if isinstance(kind, DataError) and wanted in (None, topic.name)]
    empty = [topic.name for topic in named if kinds[topic] == "empty" and wanted in (None, topic.name)]
    if wanted in images:
        return images[wanted]
    if damaged and (wanted is not None or not images):
        raise damaged[0]
    if empty and (wanted is not None or not images):
        raise DataError(
            f"{bag.path}: holds no message on {', '.join(empty)}, for the recorder got none; check that the camera was "
            "publishing, and give `ros2 bag record` its quality of service (--qos-profile-overrides-path)"
        )
    if wanted is not None:
        is_wanted_depth = any(topic.name == wanted and kinds[topic] == "depth" for topic in named)
        what = "depth, not colour images," if is_wanted_depth else "no images"
        cure = f"the image topics are: {listed}" if images else "record the topic of a colour camera"
        raise DataError(f"{bag.path}: holds {what} on {wanted}; {cure}")
    if not images:
        others = sorted({topic.type for topic in bag.topics()} - set(CAMERA_TYPES))
        shown = ", ".join(others[:_MANY]) + (", …" if len(others) > _MANY else "")
        what = f"no colour images, only depth on {depth}" if depth else "no images"
        what += f", but {shown}" if others and not depth else ""
        raise DataError(f"{bag.path}: holds {what}; record a topic of type {' or '.join(CAMERA_TYPES)}")
    if len(images) > 1:
        raise DataError(f"{bag.path}: holds several image topics; name one of: {listed}")
    return next(iter(images.values()))


def other_types(bag: Bag, topic: Topic) -> str:
    """A sentence on messages of other types under the name of an image topic; empty if there are none."""
    others = [each for each in bag.topics() if each.name == topic.name and each.type != topic.type]
    told = ", ".join(f"{each.num_messages} of {each.type}" for each in others if each.num_messages)
    if not told:
        return ""
    return (
        f"{bag.path}: holds on {topic.name} {told}, which are not read, beside {topic.num_messages} of {topic.type}, "
        "which are; give what publishes them topics of their own"
    )


def _kind(bag: Bag, topic: Topic) -> Literal["image", "unreadable", "depth", "empty"] | DataError:
    """What a topic of images holds, by the first of its messages that can be read; the damage if there is none."""
    is_empty = True
    try:
        for stored in bag.messages([topic.name]):
            if stored.type != topic.type:
                continue
            is_empty = False
            try:
                message: Any = deserialize(stored)
            except DataError:
                continue
            if is_depth(message):
                return "depth"
            return "image" if is_readable(message) else "unreadable"
    except DataError as error:
        return error if is_empty else "image"  # else it is reported when the images are read
    return "empty" if is_empty else "image"
