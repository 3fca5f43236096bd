"""Remappings of topics that the node does not have, which ROS passes over silently."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from rclpy.node import Node

from desert_seg_ros.topics import IMAGE_INPUTS, NODE_OUTPUTS, OTHER_INPUTS, OUTPUTS, SERVICES

_OPTIONS = ("-r", "--remap")
_RULE = re.compile(r"(?:(?P<node>\w+):(?!=|//))?(?:rostopic://|rosservice://)?(?P<origin>.+?):=(?P<target>.+)")
_OF_ROS = ("/rosout", "/parameter_events", "/clock")


def unused_remappings(arguments: Sequence[str], node: Node, cameras: Sequence[str]) -> list[str]:
    """Look for rules by which somebody may have meant the images.

    Args:
        arguments: For rclpy, from `--ros-args` on.
        node: The node that they are for.
        cameras: The names of its cameras.

    Returns:
        A sentence for each rule of a topic that the node does not have; none if some input of images is remapped.
    """
    images = [_below(camera, topic.name) for camera in cameras for topic in IMAGE_INPUTS]
    if any(node.resolve_topic_name(name) != _expanded(node, name) for name in images):
        return []
    known = {_expanded(node, name) for name in _names(cameras)}
    found = []
    for option, text in itertools.pairwise(arguments):
        rule = _RULE.fullmatch(text) if option in _OPTIONS else None
        if rule is None or rule["origin"].startswith("__"):
            continue
        is_for_others = rule["node"] not in (None, node.get_name())
        if is_for_others or _expanded(node, rule["origin"]) not in known:
            found.append(
                f"nothing is remapped by {text}, which is of no topic of this node; its images come on {images[0]}: "
                f"-r {images[0]}:={rule['target']}"
            )
    return found


def _names(cameras: Sequence[str]) -> Iterator[str]:
    for topic in (*IMAGE_INPUTS, *OTHER_INPUTS, *OUTPUTS):
        for name in topic.name.split(", "):
            yield from (_below(camera, name) for camera in cameras)
    yield from (topic.name for topic in (*NODE_OUTPUTS, *SERVICES))
    yield from _OF_ROS


def _below(camera: str, name: str) -> str:
    """A topic's name among those of a camera."""
    if not camera or name.startswith("/"):
        return name
    return f"~/{camera}/{name.removeprefix('~/')}" if name.startswith("~/") else f"{camera}/{name}"


def _expanded(node: Node, name: str) -> str:
    return node.resolve_topic_name(name, only_expand=True)
