"""Who publishes another kind of message than a camera's input takes, where, and how to take theirs instead."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SUFFIX = "/compressed"


def input_mistakes(node: Node, topic: str, compressed: bool) -> list[str]:
    """Sentences about publishers that an input cannot hear.

    Args:
        node: Whose view of the graph is taken.
        topic: What the input listens to, in full.
        compressed: Whether it takes CompressedImage; else it takes Image.

    Returns:
        One for each publisher of another type on the topic itself. If nobody publishes there, one for each publisher of
        the same camera's images in the other transport: raw on the topic without `/compressed`, or compressed on the
        one with it.
    """
    wanted, other = (COMPRESSED, RAW) if compressed else (RAW, COMPRESSED)
    base = topic.removesuffix(SUFFIX)
    here = node.get_publishers_info_by_topic(topic)
    found = [
        f"{_name(peer)} publishes {peer.topic_type} on {topic}, where {wanted} is expected: "
        + (_take_instead(topic, peer.topic_type) if peer.topic_type == other else "give the topic of a camera's images")
        for peer in here
        if peer.topic_type != wanted
    ]
    sibling = base if compressed else topic + SUFFIX
    if not here and sibling != topic:
        found += [
            f"{_name(peer)} publishes {other} on {sibling}, and nobody publishes on {topic}: "
            + _take_instead(sibling, other)
            for peer in node.get_publishers_info_by_topic(sibling)
            if peer.topic_type == other
        ]
    return found


def _take_instead(topic: str, kind: str) -> str:
    """How to start the node for such a topic; in the launch file `image:=` is the name without `/compressed`."""
    if kind == RAW:
        return f"start with image_transport:=raw and image:={topic}"
    if topic.endswith(SUFFIX):
        return f"start with image_transport:=compressed and image:={topic.removesuffix(SUFFIX)}"
    return f"start with image_transport:=compressed, and remap image/compressed to {topic}"


def _name(peer: Any) -> str:
    return f"{peer.node_namespace.rstrip('/')}/{peer.node_name}"
