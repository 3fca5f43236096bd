"""The robot's transforms: `/tf` and `/tf_static` into a buffer that is asked where a frame was.

The executor's threads only keep the bytes that come; they are read when somebody asks, in that thread. tf2_ros is not
needed, only its messages, so that what runs on a robot is what the tests run.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections import deque
from typing import Any

from rclpy._rclpy_pybind11 import RMWError
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from desert_seg.errors import DesertSegError
from desert_seg_ros.qos_watch import QosWatch, subscription_events
from desert_seg_ros.transforms import Matrix, Sample, TransformBuffer, TransformError

MAX_WAITING = 5000
"""So many messages wait to be read, the newest: 10 s of 500 Hz while nobody asks."""

transforms_qos = functools.partial(QoSProfile, depth=100, reliability=ReliabilityPolicy.RELIABLE)
"""As tf2_ros has it; depth 100 for both topics."""


class TransformListener:
    """Thread-safe."""

    def __init__(self, node: Node, world_frame: str, qos_watch: QosWatch) -> None:
        """Check that transforms can be read; `subscribe` begins to listen.

        Args:
            node: Who listens.
            world_frame: The frame in which `pose` answers.
            qos_watch: Hears of peers that cannot be connected to.

        Raises:
            DesertSegError: tf2_msgs is not installed.
        """
        try:
            self._message_type = importlib.import_module("tf2_msgs.msg").TFMessage
        except ImportError as error:
            raise DesertSegError(
                f"world_frame is {world_frame!r}, which needs the ROS package tf2_msgs; install "
                "ros-$ROS_DISTRO-tf2-msgs, or leave world_frame empty and publish camera_pose"
            ) from error
        self.world_frame = world_frame
        self._node, self._qos_watch = node, qos_watch
        self._subscriptions: list[Any] = []
        self._waiting: dict[str, deque[bytes]] = {}
        self._refused = ""
        self._buffer = TransformBuffer()
        self._lock = threading.Lock()

    def subscribe(self) -> None:
        """Begin to listen."""
        for topic, durability in (("/tf_static", DurabilityPolicy.TRANSIENT_LOCAL), ("/tf", DurabilityPolicy.VOLATILE)):
            self._waiting[topic] = deque(maxlen=MAX_WAITING)
            subscription = self._node.create_subscription(
                self._message_type,
                topic,
                functools.partial(self._on_bytes, self._waiting[topic]),
                transforms_qos(durability=durability),
                raw=True,
                event_callbacks=subscription_events(),
            )
            self._subscriptions.append(self._qos_watch.watched(subscription))

    def unsubscribe(self) -> None:
        """Stop listening, and forget everything."""
        for subscription in self._subscriptions:
            self._qos_watch.forget(subscription)
            self._node.destroy_subscription(subscription)
        with self._lock:
            self._subscriptions, self._waiting, self._refused = [], {}, ""
            self._buffer = TransformBuffer()

    def forget(self) -> None:
        """Forget what moves, after a jump of the clock."""
        with self._lock:
            if waiting := self._waiting.get("/tf"):
                waiting.clear()
            self._buffer.clear()
            self._refused = ""

    def pose(self, frame: str, stamp_ns: int, tolerance_ns: int) -> Matrix:
        """Where a frame was in `world_frame`: see `TransformBuffer.lookup`."""
        with self._lock:
            self._read()
            try:
                return self._buffer.lookup(self.world_frame, frame, stamp_ns, tolerance_ns)
            except TransformError as error:
                raise TransformError("; ".join(filter(None, (str(error), self._refused)))) from error

    def _on_bytes(self, waiting: deque[bytes], data: bytes) -> None:
        waiting.append(data)

    def _read(self) -> None:
        """Take in what waits."""
        for topic, waiting in self._waiting.items():
            while waiting:
                data = waiting.popleft()
                try:
                    message = deserialize_message(data, self._message_type)
                except RMWError:
                    self._refused = f"found {len(data)} bytes on {topic} that are no TFMessage"
                    continue
                for transform in message.transforms:
                    self._add(transform, is_static=topic == "/tf_static")

    def _add(self, stamped: Any, *, is_static: bool) -> None:
        stamp, place, turn = stamped.header.stamp, stamped.transform.translation, stamped.transform.rotation
        sample = Sample(
            stamp.sec * 1_000_000_000 + stamp.nanosec,
            stamped.header.frame_id,
            (place.x, place.y, place.z),
            (turn.x, turn.y, turn.z, turn.w),
        )
        try:
            self._buffer.add(stamped.child_frame_id, sample, is_static=is_static)
        except TransformError as error:
            self._refused = str(error)
