"""Finds publishers of message types that a camera's input does not accept, and how to use them instead."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from desert_seg_ros.transport import MESSAGES

TYPES = {transport: f"{package}/msg/{kind}" for transport, (package, kind) in MESSAGES.items()}


def input_mistakes(node: Node, topic: str, transport: str) -> list[str]:
    """Sentences about publishers that an input cannot receive from.

    Args:
        node: The node whose view of the graph is used.
        topic: The input's topic, in full.
        transport: The type it accepts, a value of `image_transport`.

    Returns:
        One for each publisher of another type on the topic itself. If nobody publishes there, one for each publisher of
        the same camera's images in another transport.
    """
    here = node.get_publishers_info_by_topic(topic)
    found = [
        f"{_name(peer)} publishes {peer.topic_type} on {topic}, where {TYPES[transport]} is expected: "
        + _take_instead(topic, peer.topic_type)
        for peer in here
        if peer.topic_type != TYPES[transport]
    ]
    if here:
        return found
    base = topic.removesuffix(f"/{transport}")
    for name in (base, *(f"{base}/{other}" for other in TYPES if other != "raw")):
        found += [
            f"{_name(peer)} publishes {peer.topic_type} on {name}, and nobody publishes on {topic}: "
            + _take_instead(name, peer.topic_type)
            for peer in node.get_publishers_info_by_topic(name)
            if peer.topic_type in TYPES.values()
        ]
    return found


def _take_instead(topic: str, kind: str) -> str:
    """How to start the node for such a topic; `image:=` in the launch file is the name without the transport."""
    transport = next((name for name, known in TYPES.items() if known == kind), None)
    if transport is None:
        return "give the topic of a camera's images"
    if transport == "raw":
        return f"start with image_transport:=raw and image:={topic}"
    if topic.endswith(f"/{transport}"):
        return f"start with image_transport:={transport} and image:={topic.removesuffix(f'/{transport}')}"
    return f"start with image_transport:={transport}, and remap image/{transport} to {topic}"


def _name(peer: Any) -> str:
    return f"{peer.node_namespace.rstrip('/')}/{peer.node_name}"
