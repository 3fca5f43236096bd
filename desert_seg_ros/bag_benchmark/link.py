"""The benchmark's own ROS node: publishes prepared frames, receives masks and diagnostics.

Masks are received as bytes and not deserialised: only the time of arrival matters here, and this process must not take
processor time from the node under test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from desert_seg.recordings.image_topic import sibling_topic
from desert_seg_ros.bag_benchmark.frames import PreparedFrame
from desert_seg_ros.bag_benchmark.node_status import NodeStatus
from desert_seg_ros.cdr import stamp_of, stamped
from desert_seg_ros.side_node import spinning_node

MASK_DEPTH = 50
"""Queue depth for masks that wait for this process."""


class Link(AbstractContextManager["Link"]):
    """Topics to and from one node, within a `with` block.

    `changed` is notified after every mask and every report of the node. A run sets `on_mask`, which is called on the
    executor's thread with the stamp, the time of arrival on `time.perf_counter`, and the message.
    """

    def __init__(self, node_name: str, image_topic: str, transport: str) -> None:
        """Prepare.

        Args:
            node_name: The node under test, without leading slash.
            image_topic: Base name of its image topic.
            transport: `raw` or `compressed`; compressed images go to `<image_topic>/compressed`.
        """
        self.changed = threading.Condition()
        self.on_mask: Callable[[int, float, bytes], None] = lambda *_: None
        self.status: NodeStatus | None = None
        self.heard_of: set[str] = set()
        """Who reports on /diagnostics."""
        self.mask_topic = f"/{node_name}/mask"
        self._node_name, self._image_topic, self._transport = node_name, image_topic, transport
        self._last_stamp_ns = 0

    def __enter__(self) -> Link:
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        with ExitStack() as stack:
            self._ros = stack.enter_context(spinning_node("desert_seg_benchmark"))
            compressed = self._transport == "compressed"
            self._images = self._ros.create_publisher(
                CompressedImage if compressed else Image,
                f"{self._image_topic}/compressed" if compressed else self._image_topic,
                10,
            )
            self._infos = self._ros.create_publisher(CameraInfo, sibling_topic(self._image_topic, "camera_info"), 10)
            depth = QoSProfile(depth=MASK_DEPTH)
            self._ros.create_subscription(Image, self.mask_topic, self._receive_mask, depth, raw=True)
            self._ros.create_subscription(DiagnosticArray, "/diagnostics", self._receive_diagnostics, 10)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()  # nothing is received from here on

    @property
    def image_topic(self) -> str:
        """The full topic that images are published on."""
        return str(self._images.topic_name)

    @property
    def num_listeners(self) -> int:
        """How many subscribers to the images there are."""
        return int(self._images.get_subscription_count())

    def stranger(self) -> str:
        """A sentence if other publishers or nodes would be measured, too, else empty; valid once the node is found."""
        if self._ros.count_publishers(self.image_topic) > 1:
            return (
                f"found another publisher on {self.image_topic}, whose images would count as the benchmark's; stop it, "
                "or choose a topic with --image-topic"
            )
        if self._ros.get_node_names().count(self._node_name.rpartition("/")[2]) > 1:
            return f"found several nodes named {self._node_name}, whose reports cannot be told apart; stop all but one"
        return ""

    def new_stamp(self) -> int:
        """The present time in nanoseconds since 1970, never the same twice: identifies a published frame."""
        self._last_stamp_ns = max(time.time_ns(), self._last_stamp_ns + 1)
        return self._last_stamp_ns

    def publish(self, frame: PreparedFrame, stamp_ns: int, at_last: Callable[[float], None]) -> None:
        """Publish a frame under a unique stamp; `at_last` is called with the time just before its image goes out."""
        image = stamped(frame.image, stamp_ns)
        if frame.camera_info is not None:
            self._infos.publish(stamped(frame.camera_info, stamp_ns))
        at_last(time.perf_counter())
        self._images.publish(image)

    def _receive_mask(self, cdr: bytes) -> None:
        now = time.perf_counter()
        self.on_mask(stamp_of(cdr), now, cdr)
        with self.changed:
            self.changed.notify_all()

    def _receive_diagnostics(self, message: Any) -> None:
        now = time.perf_counter()
        for status in message.status:
            name, _, what = status.name.partition(": ")
            if what != "segmentation":
                continue
            with self.changed:
                self.heard_of.add(name)
                if name == self._node_name:
                    values = {entry.key: entry.value for entry in status.values}
                    self.status = NodeStatus(now, status.message, values)
                    self.changed.notify_all()
