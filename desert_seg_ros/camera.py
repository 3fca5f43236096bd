"""One camera of the node: what it subscribes to, and what it publishes, each output only for those who listen."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from desert_seg.errors import FrameError
from desert_seg.ground import GroundError
from desert_seg.recordings.image_topic import sibling_topic
from desert_seg.recordings.picture_fault import darkness, lost_colours
from desert_seg.recordings.video_stream import VideoStream
from desert_seg.smoothing import Viewpoint
from desert_seg_ros.camera_poses import CameraPoses
from desert_seg_ros.ground_points import Sight, ground_points
from desert_seg_ros.health import Health, Timing
from desert_seg_ros.input_kind import TYPES, input_mistakes
from desert_seg_ros.input_reader import InputReader
from desert_seg_ros.messages import (
    calibration_fault,
    camera_info_message,
    cloud_message,
    image_message,
    timing_message,
)
from desert_seg_ros.qos_watch import QosWatch, no_publisher_events, subscription_events
from desert_seg_ros.rivals import mixed_images, shared_output
from desert_seg_ros.topics import CLOUDS, IMAGES
from desert_seg_ros.transform_listener import TransformListener
from desert_seg_ros.transport import Transport
from desert_seg_ros.video import MAX_WAITING, VideoReceiver
from desert_seg_ros.worker import Lane, SegmentedFrame

# Profiles are made for every endpoint anew, because rclpy writes overrides from parameters into the one it is given.
camera_qos = functools.partial(QoSProfile, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""What cameras offer (REP-2003); a best-effort subscriber also matches reliable publishers."""

output_qos = functools.partial(QoSProfile, depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""A reliable publisher matches reliable and best-effort subscribers."""


class Camera:
    """See the module."""

    def __init__(
        self, node: LifecycleNode, name: str, qos_watch: QosWatch, transforms: TransformListener | None
    ) -> None:
        """Create the publishers.

        Args:
            node: Whose publishers they are.
            name: Of the camera; empty for the only one.
            qos_watch: Finds peers that cannot be connected to.
            transforms: The robot's; None = they are not asked.
        """
        self.name = name
        self.health = Health()
        self.input_topic = ""
        self._transport: Transport | None = None
        self._node, self._qos_watch = node, qos_watch
        self._info: CameraInfo | None = None
        self._misfit, self._groundless, self._picture_fault = "", "", ""
        self._poses = CameraPoses(node, self._below("camera_pose"), transforms, qos_watch)
        self._inputs: list[Any] = []
        self._video: VideoReceiver | None = None
        self._outputs: dict[str, Any] = {}
        kinds = dict.fromkeys(IMAGES, Image) | dict.fromkeys(CLOUDS, PointCloud2)
        kinds |= {"camera_info": CameraInfo, "timing": DiagnosticArray}
        for output, kind in kinds.items():
            self._outputs[output] = qos_watch.watched(
                node.create_publisher(
                    kind,
                    f"~/{self._below(output)}",
                    output_qos(),
                    qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                    event_callbacks=no_publisher_events(),
                )
            )

    def lane(self, transport: Transport) -> Lane:
        """How the worker reaches this camera."""
        return Lane(
            health=self.health,
            decode=functools.partial(self._decode, transport, self._reader(transport)),
            wanted=self._wanted,
            view=self._viewpoint,
            publish=self._publish,
            publish_timing=self._publish_timing,
        )

    def subscribe(
        self,
        transport: Transport,
        on_image: Callable[[str, int, Any], None],
        on_bad_frame: Callable[[str, FrameError], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        """Begin to listen.

        Args:
            transport: What to listen to.
            on_image: Called with the camera's name, a stamp in nanoseconds, and the bytes of each image message or each
                frame of video; what the camera's lane decodes.
            on_bad_frame: Called with the camera's name where bytes came that are no message of the transport's type.
            on_crash: Called when the thread that decodes video dies of a bug.
        """
        self._transport = transport
        reader, qos = self._reader(transport), camera_qos()
        self.input_topic = reader.topic
        if transport.is_video:
            self._video = VideoReceiver(
                stream=VideoStream(transport.max_pixels),
                make_header=lambda stamp, frame_id: Header(stamp=stamp, frame_id=frame_id),
                on_frame=lambda frame: on_image(self.name, _nanoseconds(frame.header.stamp), frame),
                on_overload=functools.partial(self.health.drop, "overload"),
                on_crash=on_crash,
            )
            qos = camera_qos(depth=MAX_WAITING)  # all packets are needed, not the newest
        video = self._video

        def on_bytes(data: bytes) -> None:
            try:
                if video is not None:
                    video.put(reader.message(data))
                else:
                    on_image(self.name, reader.stamp_ns(data), data)
            except FrameError as error:
                on_bad_frame(self.name, error)

        image = self._node.create_subscription(
            transport.message_type,
            reader.topic,
            on_bytes,
            qos,
            raw=True,  # else rclpy reads all that is dropped anyway, and nobody hears of what it cannot read
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            event_callbacks=subscription_events(self.health.frames_lost),
        )
        info = self._node.create_subscription(
            CameraInfo,
            self._info_topic(),
            self._on_info,
            camera_qos(),
            event_callbacks=subscription_events(),
        )
        self._inputs = [self._qos_watch.watched(subscription) for subscription in (info, image)]
        self._poses.subscribe()

    def unsubscribe(self) -> None:
        """Stop listening."""
        for subscription in self._inputs:
            self._qos_watch.forget(subscription)
            self._node.destroy_subscription(subscription)
        self._poses.unsubscribe()
        if self._video is not None:
            self._video.stop()
        self._inputs, self.input_topic, self._video = [], "", None
        self._info, self._misfit, self._groundless, self._picture_fault = None, "", "", ""

    def close(self) -> None:
        """Free the publishers."""
        for publisher in self._outputs.values():
            self._qos_watch.forget(publisher)
            self._node.destroy_publisher(publisher)
        self._outputs = {}

    def mismatches(self, *, is_smoothing: bool) -> list[str]:
        """Sentences about inputs that do not fit, or are missing for an output that somebody listens to."""
        mistakes = []
        if self.input_topic and self._transport is not None:
            mistakes = [
                *input_mistakes(self._node, self.input_topic, self._transport.name),
                *mixed_images(self._node, self.input_topic, TYPES[self._transport.name]),
            ]
        mistakes += shared_output(self._node, self._outputs["mask"].topic_name)
        motionless = ""
        if is_smoothing and self._poses.problem:
            motionless = f"smoothing goes on without the camera's motion: {self._poses.problem}"
        return [*mistakes, *filter(None, (self._picture_fault, self._misfit, self._groundless, motionless))]

    def num_publishers(self) -> int:
        """How many publishers the input topic has."""
        return self._node.count_publishers(self.input_topic) if self.input_topic else 0

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def _below(self, topic: str) -> str:
        """The topic's name among those of this camera."""
        return f"{self.name}/{topic}" if self.name else topic

    def _reader(self, transport: Transport) -> InputReader:
        return InputReader(self._input_topic(transport), transport.message_type)

    def _input_topic(self, transport: Transport) -> str:
        """Where images come from, in full; a transport whose own topic is not remapped follows `image`."""
        name = self._below(transport.topic)
        topic = self._node.resolve_topic_name(name)
        if transport.topic == "image" or topic != self._node.resolve_topic_name(name, only_expand=True):
            return topic
        ending = transport.topic.removeprefix("image")
        return self._node.resolve_topic_name(self._below("image")).removesuffix(ending) + ending

    def _info_topic(self) -> str:
        """Where the calibration comes from, in full: beside the images, unless it is remapped itself."""
        name = self._below("camera_info")
        topic = self._node.resolve_topic_name(name)
        is_remapped = topic != self._node.resolve_topic_name(name, only_expand=True)
        return topic if is_remapped else sibling_topic(self.input_topic, "camera_info")

    def _decode(self, transport: Transport, reader: InputReader, item: Any) -> tuple[Any, npt.NDArray[np.uint8]]:
        """Header and HxWx3 uint8 RGB of what `subscribe` handed on; raises FrameError."""
        if transport.is_video:
            return item.header, transport.decode(item)
        try:
            message = reader.message(item)
            rgb = transport.decode(message)
        except FrameError:
            self._picture_fault = ""  # of images that came before
            raise
        self._picture_fault = lost_colours(message) or darkness(message, lambda: rgb)
        return message.header, rgb

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
        viewpoint = self._viewpoint(frame.header, parameters.camera_height_m)
        sight = Sight(self.input_topic, self._info, viewpoint, self._poses.problem)
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
        self._misfit = calibration_fault(calibration, size)

    def _send(self, output: str, image: Any, encoding: str, header: Any) -> None:
        self._outputs[output].publish(image_message(image, encoding, header))

    def _publish_timing(self, header: Any, timing: Timing) -> None:
        if self._outputs["timing"].get_subscription_count() > 0:
            self._outputs["timing"].publish(timing_message(timing, self._node.get_fully_qualified_name(), header))

    def _viewpoint(self, header: Any, height_m: float) -> Viewpoint | None:
        return self._poses.viewpoint(header, self._info, height_m)


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec * 10**9 + stamp.nanosec)
