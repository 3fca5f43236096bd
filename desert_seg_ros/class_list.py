"""The class list of the model in use, latched for whoever comes later."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from desert_seg.labels import LabelSet
from desert_seg_ros.messages import LABEL_INFO_TOPIC, label_info_message

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ClassList:
    """See the module."""

    def __init__(self, node: Node, labels: LabelSet) -> None:
        """Create the publisher."""
        self._node = node
        self._published: Any = None
        self._publisher = node.create_publisher(type(label_info_message(labels, 0.0)), LABEL_INFO_TOPIC, LATCHED_QOS)

    def publish(self, labels: LabelSet, threshold: float) -> None:
        """Tell the classes, and the confidence below which a pixel has none: once, and again only if they change."""
        message = label_info_message(labels, threshold)
        if message != self._published:
            self._publisher.publish(message)
            self._published = message

    def close(self) -> None:
        """Free the publisher."""
        self._node.destroy_publisher(self._publisher)
