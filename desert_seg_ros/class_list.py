"""The class list of the model in use, latched for late subscribers.

Always as JSON, which alone has the colours; also as LabelInfo where vision_msgs is installed.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from desert_seg.labels import LabelSet
from desert_seg_ros.messages import LabelInfo, class_list_message, label_info_message

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ClassList:
    """See the module."""

    def __init__(self, node: Node) -> None:
        """Create the publishers."""
        self._node = node
        self._published: String | None = None
        self._json: Any = node.create_publisher(String, "~/label_info_json", LATCHED_QOS)
        self._label_info: Any = LabelInfo and node.create_publisher(LabelInfo, "~/label_info", LATCHED_QOS)

    def publish(self, labels: LabelSet, threshold: float) -> None:
        """Publish the classes, and the confidence below which a pixel has none, if they have changed."""
        message = class_list_message(labels, threshold)
        if message == self._published:
            return
        self._published = message
        self._json.publish(message)
        if self._label_info is not None:
            stamp = self._node.get_clock().now().to_msg()
            self._label_info.publish(label_info_message(labels, threshold, stamp))

    def close(self) -> None:
        """Free the publishers."""
        for publisher in filter(None, (self._json, self._label_info)):
            self._node.destroy_publisher(publisher)
