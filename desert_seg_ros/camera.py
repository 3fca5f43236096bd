"""One camera of the node: what it subscribes to, and what it publishes, each output only for those who listen."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy._rclpy_pybind11 import RMWError
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from desert_seg.errors import FrameError
from desert_seg.ground import GroundError
from desert_seg.smoothing import Viewpoint
from desert_seg_ros.ground_points import Sight, ground_points
from desert_seg_ros.health import Health, Timing
from desert_seg_ros.input_kind import input_mistakes
from desert_seg_ros.messages import camera_info_message, cloud_message, image_message, is_camera_matrix, timing_message
from desert_seg_ros.qos_watch import QosWatch
from desert_seg_ros.transport import Transport
from desert_seg_ros.video import MAX_WAITING, VideoReceiver
from desert_seg_ros.worker import CLOUDS, IMAGES, Lane, SegmentedFrame

# Profiles are made for every endpoint anew, because rclpy writes overrides from parameters into the one it is given.
camera_qos = functools.partial(QoSProfile, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""What cameras offer (REP-2003); a best-effort subscriber also matches reliable publishers."""

output_qos = functools.partial(QoSProfile, depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""A reliable publisher matches reliable and best-effort subscribers."""

POSE_TOLERANCE_S = 0.05
"""A pose that is farther in time from a frame does not tell where the frame was taken."""


class Camera:
    """See the module."""

    def __init__(self, node: LifecycleNode, name: str, qos_watch: QosWatch) -> None:
        """Create the publishers.

        Args:
            node: Whose publishers they are.
            name: Of the camera; empty for the only one.
            qos_watch: Hears of peers that cannot be connected to.
        """
        self.name = name
        self.health = Health()
        self.input_topic = ""
        self._transport: Transport | None = None
        self._node, self._qos_watch = node, qos_watch
        self._info: CameraInfo | None = None
        self._misfit, self._groundless, self._unplaced = "", "", ""
        self._poses: deque[PoseStamped] = deque(maxlen=200)
        self._inputs: list[Any] = []
        self._video: VideoReceiver | None = None
        self._outputs: dict[str, Any] = {}
        prefix = f"~/{name}/" if name else "~/"
        kinds = dict.fromkeys(IMAGES, Image) | dict.fromkeys(CLOUDS, PointCloud2)
        kinds |= {"camera_info": CameraInfo, "timing": DiagnosticArray}
        for output, kind in kinds.items():
            self._outputs[output] = qos_watch.watched(
                node.create_publisher(
                    kind,
                    prefix + output,
                    output_qos(),
                    qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                    event_callbacks=qos_watch.publisher_callbacks(prefix + output),
                )
            )

    def lane(self, transport: Transport) -> Lane:
        """How the worker reaches this camera."""
        return Lane(
            health=self.health,
            decode=transport.decode,
            wanted=self._wanted,
            view=self._viewpoint,
            publish=self._publish,
            publish_timing=self._publish_timing,
        )

    def subscribe(
        self,
        transport: Transport,
        on_image: Callable[[str, Any], None],
        on_bad_frame: Callable[[str, FrameError], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        """Begin to listen.

        Args:
            transport: What to listen to.
            on_image: Called with the camera's name and each image message, or each frame of video.
            on_bad_frame: Called with the camera's name where bytes came that are no message of the transport's type.
            on_crash: Called when the thread that decodes video dies of a bug.
        """
        self._transport = transport
        prefix = f"{self.name}/" if self.name else ""
        self.input_topic = self._node.resolve_topic_name(prefix + transport.topic)
        on_message: Callable[[Any], None] = functools.partial(on_image, self.name)
        qos = camera_qos()
        if transport.is_video:
            self._video = VideoReceiver(
                make_header=lambda stamp, frame_id: Header(stamp=stamp, frame_id=frame_id),
                on_frame=on_message,
                on_overload=functools.partial(self.health.drop, "overload"),
                on_crash=on_crash,
            )
            on_message, qos = self._video.put, camera_qos(depth=MAX_WAITING)  # all packets are needed, not the newest

        def on_bytes(data: bytes) -> None:
            try:
                message = deserialize_message(data, transport.message_type)
            except RMWError:
                kind = transport.message_type.__name__
                reason = f"found {len(data)} bytes on {self.input_topic} that are no {kind} message"
                on_bad_frame(self.name, FrameError(f"{reason}; publish it with a ROS 2 client library"))
            else:
                on_message(message)

        image = self._node.create_subscription(
            transport.message_type,
            prefix + transport.topic,
            on_bytes,
            qos,
            raw=True,  # else rclpy drops what it cannot read, and nobody hears of it
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            event_callbacks=self._qos_watch.subscription_callbacks(self.input_topic, self.health.frames_lost),
        )
        self._inputs = [
            self._node.create_subscription(CameraInfo, f"{prefix}camera_info", self._on_info, camera_qos()),
            self._node.create_subscription(PoseStamped, f"{prefix}camera_pose", self._on_pose, 50),
            self._qos_watch.watched(image),
        ]

    def unsubscribe(self) -> None:
        """Stop listening."""
        for subscription in self._inputs:
            self._node.destroy_subscription(subscription)
        if self._video is not None:
            self._video.stop()
        self._inputs, self.input_topic, self._video = [], "", None
        self._info, self._misfit, self._groundless, self._unplaced = None, "", "", ""

    def close(self) -> None:
        """Free the publishers."""
        for publisher in self._outputs.values():
            self._node.destroy_publisher(publisher)
        self._outputs = {}

    def mismatches(self) -> list[str]:
        """Sentences about inputs that do not fit, or are missing for an output that somebody listens to."""
        mistakes = []
        if self.input_topic and self._transport is not None:
            mistakes = input_mistakes(self._node, self.input_topic, self._transport.name)
        return [*mistakes, *(sentence for sentence in (self._misfit, self._groundless, self._unplaced) if sentence)]

    def num_publishers(self) -> int:
        """How many publishers the input topic has."""
        return self._node.count_publishers(self.input_topic) if self.input_topic else 0

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_pose(self, message: PoseStamped) -> None:
        self._poses.append(message)

    def _wanted(self) -> frozenset[str]:
        return frozenset(name for name, publisher in self._outputs.items() if publisher.get_subscription_count() > 0)

    def _publish(self, frame: SegmentedFrame) -> None:
        result, header, model = frame.segmentation, frame.header, frame.settings.model
        self._send("mask", result.mask, "mono8", header)
        wanted = self._wanted()
        if result.confidence is not None and "confidence" in wanted:
            self._send("confidence", result.confidence, "mono8", header)
        if result.unknown is not None:
            self._send("unknown", result.unknown, "mono8", header)
        if "traversability" in wanted:
            self._send("traversability", model.costs.costs(result.mask), "mono8", header)
        if "mask_color" in wanted:
            self._send("mask_color", model.painter.color(result.mask), "rgb8", header)
        if "overlay" in wanted:
            alpha = frame.settings.parameters.overlay_alpha
            self._send("overlay", model.painter.overlay(frame.rgb, result.mask, alpha), "rgb8", header)
        if result.probabilities is not None:
            self._send("probabilities", result.probabilities, f"32FC{result.probabilities.shape[2]}", header)
        if self._info is not None:
            self._publish_info(self._info, (result.mask.shape[0], result.mask.shape[1]), header)
        self._groundless = self._publish_clouds(frame, wanted.intersection(CLOUDS))

    def _publish_clouds(self, frame: SegmentedFrame, wanted: frozenset[str]) -> str:
        """Publish what is wanted of the points on the ground; returns a sentence on why not, if not."""
        if not wanted:
            return ""
        parameters, costs = frame.settings.parameters, frame.settings.model.costs.costs(frame.segmentation.mask)
        viewpoint = self._viewpoint(_seconds(frame.header.stamp), parameters.camera_height_m)
        sight = Sight(self.input_topic, self._info, viewpoint, bool(self._poses))
        try:
            clouds = ground_points(costs, sight, parameters, wanted)
        except GroundError as error:
            return f"~/obstacles and ~/free_space are not published: {error}"
        for output, points in clouds.items():
            self._outputs[output].publish(cloud_message(points, frame.header))
        return ""

    def _publish_info(self, calibration: CameraInfo, size: tuple[int, int], header: Any) -> None:
        info = camera_info_message(calibration, size, header)
        if info is not None:
            self._outputs["camera_info"].publish(info)
        self._misfit = (
            ""
            if info is not None
            else f"camera_info is for {calibration.width}x{calibration.height} pixels and images have "
            f"{size[1]}x{size[0]}, another shape, so none is published beside the masks"
        )

    def _send(self, output: str, image: Any, encoding: str, header: Any) -> None:
        self._outputs[output].publish(image_message(image, encoding, header))

    def _publish_timing(self, header: Any, timing: Timing) -> None:
        if self._outputs["timing"].get_subscription_count() > 0:
            self._outputs["timing"].publish(timing_message(timing, self._node.get_fully_qualified_name(), header))

    def _viewpoint(self, stamp_s: float, height_m: float) -> Viewpoint | None:
        """From where a frame was taken: the pose nearest in time, and the calibration."""
        info, poses = self._info, list(self._poses)
        if info is None or not info.width or not poses:
            return None
        intrinsics = np.array(info.k, float).reshape(3, 3)
        if not is_camera_matrix(intrinsics):
            self._unplaced = (
                "camera_pose is not used, for camera_info has no camera matrix in K: run camera_calibration, and have "
                "the driver publish what it finds"
            )
            return None
        self._unplaced = ""
        nearest = min(poses, key=lambda pose: abs(_seconds(pose.header.stamp) - stamp_s))
        if abs(_seconds(nearest.header.stamp) - stamp_s) > POSE_TOLERANCE_S:
            return None
        matrix = _matrix(nearest.pose)
        return Viewpoint(matrix, intrinsics, (info.height, info.width), height_m)


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)


def _matrix(pose: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """4x4 of a geometry_msgs/Pose."""
    q, p = pose.orientation, pose.position
    x, y, z, w = np.array([q.x, q.y, q.z, q.w]) / (np.linalg.norm([q.x, q.y, q.z, q.w]) or 1.0)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), p.x],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), p.y],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), p.z],
            [0, 0, 0, 1],
        ],
        float,
    )
