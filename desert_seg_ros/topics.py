"""The node's topics and services: names, types and meanings. Imports no ROS, so that documentation can read the list.

Names as the node has them with one unnamed camera; with several they are below the camera's name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A topic or service.

    Attributes:
        name: As the node creates it; `~/` is the node's own namespace.
        kind: Message or service type without its package; for an image with its encoding.
        meaning: What it carries, in Markdown.
    """

    name: str
    kind: str
    meaning: str


IMAGE_INPUTS = (
    Topic("image", "Image", "with `image_transport: raw`"),
    Topic("image/compressed", "CompressedImage", "with `image_transport: compressed`; JPEG, PNG and others"),
    Topic("image/ffmpeg", "FFMPEGPacket", "with `image_transport: ffmpeg`; H.264 or HEVC"),
    Topic("image/foxglove", "CompressedVideo", "with `image_transport: foxglove`; H.264 or HEVC"),
)
"""The camera's images: one of these."""

OTHER_INPUTS = (
    Topic(
        "camera_info",
        "CameraInfo",
        "optional; needed for `~/obstacles` and `~/free_space`; unless it is remapped, the one beside the images",
    ),
    Topic(
        "/tf, /tf_static",
        "TFMessage",
        "read if the parameter `world_frame` is set: where the camera is, for `smoothing`, `~/obstacles` and "
        "`~/free_space`",
    ),
    Topic(
        "camera_pose",
        "PoseStamped",
        "optional, in place of /tf: the pose of the camera's optical frame in a world whose z axis points up",
    ),
)

OUTPUTS = (
    Topic(
        "~/mask",
        "Image mono8",
        "the class of every pixel at the image's own size, 255 = unknown; the header is the image's",
    ),
    Topic("~/mask_color", "Image rgb8", "the mask in the colours of the classes"),
    Topic("~/overlay", "Image rgb8", "the colours over the image"),
    Topic(
        "~/confidence",
        "Image mono8",
        "calibrated probability of the class, 0 to 255; 0 where the mask is 255",
    ),
    Topic("~/unknown", "Image mono8", "255 = terrain the model does not know, or 255 in the mask; else 0"),
    Topic(
        "~/traversability",
        "Image mono8",
        "cost of driving there: 0 free to 254 lethal, 255 unknown or no ground",
    ),
    Topic(
        "~/probabilities",
        "Image 32FCn",
        "probability of each of the n classes; only with the parameter `probabilities`",
    ),
    Topic(
        "~/obstacles",
        "PointCloud2",
        "where the lethal pixels of `~/traversability` stand on a flat ground, for a plain obstacle layer",
    ),
    Topic("~/free_space", "PointCloud2", "how far that ground is seen to be free, for the layer to clear"),
    Topic("~/camera_info", "CameraInfo", "the input's, scaled to the mask, with the image's stamp"),
    Topic("~/timing", "DiagnosticArray", "where the time of each frame went, milliseconds; the header is the image's"),
)
"""Of each camera."""

NODE_OUTPUTS = (
    Topic("~/label_info_json", "String", "class names and colours as JSON; latched"),
    Topic("~/label_info", "LabelInfo", "class names; latched; only where vision_msgs is installed"),
    Topic(
        "/diagnostics",
        "DiagnosticArray",
        "once a second, an entry for each camera: rates, images lost on the way, drops by cause, latencies by stage, "
        "age, model, domain shift, and a sentence on every fault",
    ),
)

SERVICES = (
    Topic("~/enable", "SetBool", "sets the parameter `enabled`"),
    Topic(
        "~/reload_model",
        "Trigger",
        "loads the artifact again beside the one in use and swaps the two; a model that does not verify is refused",
    ),
)


def _names(kind: str) -> tuple[str, ...]:
    return tuple(topic.name.removeprefix("~/") for topic in OUTPUTS if topic.kind.split()[0] == kind)


IMAGES = _names("Image")
"""Outputs that are images; all but the first only for those who listen."""

CLOUDS = _names("PointCloud2")
"""Outputs that are points on the ground, only for those who listen."""
