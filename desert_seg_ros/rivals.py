"""Publishers that share a topic with another, where there should be one: cameras, or the node itself started twice."""

from __future__ import annotations

from rclpy.node import Node


def mixed_images(node: Node, topic: str, kind: str) -> list[str]:
    """A sentence if several publishers send images of a type on an input topic."""
    names = _publishers(node, topic, kind)
    if len(names) < 2:
        return []
    return [
        f"images of {len(names)} publishers are mixed on {topic} ({', '.join(names)}): stop all but one, or give each "
        "camera a topic of its own"
    ]


def shared_output(node: Node, topic: str) -> list[str]:
    """A sentence if an output of the node has another publisher."""
    names = _publishers(node, topic)
    if len(names) < 2:
        return []
    return [
        f"{topic} has {len(names)} publishers ({', '.join(names)}): stop the others, or start this node under another "
        "name"
    ]


def _publishers(node: Node, topic: str, kind: str | None = None) -> list[str]:
    return [
        f"{peer.node_namespace.rstrip('/')}/{peer.node_name}"
        for peer in node.get_publishers_info_by_topic(topic)
        if kind in (None, peer.topic_type)
    ]
