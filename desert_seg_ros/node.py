"""The segmentation node: wiring between ROS and the worker that turns frames into masks.

Images come in on `image` (or `image/compressed`), masks go out on `~/mask` with the input's header. A lifecycle
node: configuring loads the model and warms it up, activating subscribes, deactivating stops, cleaning up frees
the memory. With `autostart` (the default) the first two happen at start.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from desert_seg.errors import DesertSegError
from desert_seg.painter import Painter
from desert_seg.segmenter import Segmenter
from desert_seg_ros.environment import require_ros
from desert_seg_ros.health import Health
from desert_seg_ros.image_codec import decode_compressed, decode_image
from desert_seg_ros.messages import LABEL_INFO_TOPIC, diagnostic_status, image_message, label_info_message
from desert_seg_ros.parameters import NodeParameters
from desert_seg_ros.share import find_artifact
from desert_seg_ros.worker import FrameWorker, SegmentedFrame, Settings

CAMERA_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""What cameras offer (REP-2003); a best-effort subscriber also matches reliable publishers."""

OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""A reliable publisher matches reliable and best-effort subscribers."""

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class SegmentationNode(LifecycleNode):
    """See the module."""

    def __init__(self, **node_arguments: Any) -> None:
        """Declare the parameters.

        Raises:
            DesertSegError: A parameter given at start has a value it cannot have.
        """
        super().__init__("segment", **node_arguments)
        self.failure: Exception | None = None
        self._worker: FrameWorker | None = None
        self._camera_info: CameraInfo | None = None
        self._inputs: list[Any] = []
        self._input_topic = ""
        self._outputs: dict[str, Any] = {}
        self._health = Health()
        self.parameters = self._declare_parameters()
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    # ------------------------------------------------------------------------------------------------ parameters
    def _declare_parameters(self) -> NodeParameters:
        values = {}
        for item in fields(NodeParameters):
            descriptor = ParameterDescriptor(
                description=item.metadata["description"], read_only=not item.metadata["live"]
            )
            if item.metadata["choices"]:
                descriptor.additional_constraints = "one of: " + ", ".join(item.metadata["choices"])
            if item.metadata["range"]:
                low, high = item.metadata["range"]
                if isinstance(item.default, int):
                    descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
                else:
                    descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
            default = list(item.default) if isinstance(item.default, tuple) else item.default
            values[item.name] = self.declare_parameter(item.name, default, descriptor).value
        return NodeParameters().changed(values)

    def _check_parameters(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            changed = self.parameters.changed({parameter.name: parameter.value for parameter in parameters})
            if self._worker is not None:
                Settings.of(changed, self._segmenter)
        except DesertSegError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, parameters: list[Parameter[Any]]) -> None:
        self.parameters = self.parameters.changed({parameter.name: parameter.value for parameter in parameters})
        if self._worker is not None:
            self._worker.settings = Settings.of(self.parameters, self._segmenter)

    # ------------------------------------------------------------------------------------------------ lifecycle
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, warm it up, create the publishers."""
        wanted = self.parameters
        try:
            path = find_artifact(wanted.artifact)
            self._segmenter = Segmenter.load(path, wanted.engine, wanted.device, wanted.precision, wanted.threads)
            Settings.of(wanted, self._segmenter)
            self._segmenter.warm_up(wanted.tta)
        except DesertSegError as error:
            self.get_logger().fatal(str(error))
            return TransitionCallbackReturn.FAILURE
        if not self.context.ok():  # told to stop while the model was loading
            return TransitionCallbackReturn.FAILURE
        self._painter = Painter(self._segmenter.labels)
        for topic, kind in (
            ("~/mask", Image),
            ("~/mask_color", Image),
            ("~/overlay", Image),
            ("~/confidence", Image),
            ("~/camera_info", CameraInfo),
        ):
            self._outputs[topic] = self.create_publisher(
                kind, topic, OUTPUT_QOS, qos_overriding_options=QoSOverridingOptions.with_default_policies()
            )
        labels = label_info_message(self._segmenter.labels, wanted.confidence_threshold)
        self._outputs[LABEL_INFO_TOPIC] = self.create_publisher(type(labels), LABEL_INFO_TOPIC, LATCHED_QOS)
        self._outputs[LABEL_INFO_TOPIC].publish(labels)
        self._outputs["/diagnostics"] = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._diagnostics_timer = self.create_timer(1.0, self._publish_diagnostics)
        card, engine = self._segmenter.card, self._segmenter.engine
        self.get_logger().info(
            f"model {card.name} ({self._segmenter.digest[:12]}) from {path} runs on {engine.description}"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, then subscribe."""
        compressed = self.parameters.image_transport == "compressed"
        self._worker = FrameWorker(
            segmenter=self._segmenter,
            settings=Settings.of(self.parameters, self._segmenter),
            health=self._health,
            decode=decode_compressed if compressed else decode_image,
            now_ns=lambda: self.get_clock().now().nanoseconds,
            wants_confidence=lambda: self._is_wanted("~/confidence"),
            publish=self._publish,
            on_bad_frame=self._on_bad_frame,
            on_crash=self._on_crash,
        )
        self._worker.start()
        overrides = QoSOverridingOptions.with_default_policies()
        topic, kind = ("image/compressed", CompressedImage) if compressed else ("image", Image)
        self._inputs = [
            self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, CAMERA_QOS),
            self.create_subscription(kind, topic, self._worker.put, CAMERA_QOS, qos_overriding_options=overrides),
        ]
        self._input_topic = self.resolve_topic_name(topic)
        self.get_logger().info(f"waiting for images on {self._input_topic}")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, then let the worker finish its frame."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from whatever state."""
        self._stop()
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def _stop(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _free(self) -> None:
        if self._outputs:
            self.destroy_timer(self._diagnostics_timer)
            for publisher in self._outputs.values():
                self.destroy_publisher(publisher)
            self._outputs = {}
            del self._segmenter, self._painter

    def destroy_node(self) -> None:
        """Stop the worker before the handles it publishes through go away."""
        self._stop()
        super().destroy_node()

    # ------------------------------------------------------------------------------------------------ frames
    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _is_wanted(self, topic: str) -> bool:
        return bool(self._outputs[topic].get_subscription_count() > 0)

    def _publish(self, frame: SegmentedFrame) -> None:
        mask, header = frame.segmentation.mask, frame.header
        self._outputs["~/mask"].publish(image_message(mask, "mono8", header))
        if frame.segmentation.confidence is not None and self._is_wanted("~/confidence"):
            self._outputs["~/confidence"].publish(image_message(frame.segmentation.confidence, "mono8", header))
        if self._is_wanted("~/mask_color"):
            self._outputs["~/mask_color"].publish(image_message(self._painter.color(mask), "rgb8", header))
        if self._is_wanted("~/overlay"):
            overlay = self._painter.overlay(frame.rgb, mask, self.parameters.overlay_alpha)
            self._outputs["~/overlay"].publish(image_message(overlay, "rgb8", header))
        info = self._camera_info
        if info is not None and (info.height, info.width) == mask.shape:
            info.header.stamp = header.stamp
            self._outputs["~/camera_info"].publish(info)

    def _on_bad_frame(self, reason: str) -> None:
        self.get_logger().error(reason, throttle_duration_sec=5.0)

    def _on_crash(self, error: Exception) -> None:
        if not self.context.ok():  # the process was told to stop while a frame was in hand
            return
        self.failure = error
        self.get_logger().fatal("the worker stopped\n" + "".join(traceback.format_exception(error)))
        self.context.try_shutdown()

    def _publish_diagnostics(self) -> None:
        segmenter = self._segmenter
        facts = {
            "model": segmenter.card.name,
            "model_digest": segmenter.digest,
            "engine": segmenter.engine.description,
            "input": self._input_topic,
            "tta": self.parameters.tta,
        }
        name = f"{self.get_fully_qualified_name().lstrip('/')}: segmentation"
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        report = self._health.report(self.count_publishers(self._input_topic) if self._inputs else 0)
        message.status = [diagnostic_status(report, name, segmenter.engine.description, facts)]
        self._outputs["/diagnostics"].publish(message)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop; returns the process's exit code."""
    try:
        require_ros()
    except DesertSegError as error:
        return _refuse(str(error))
    # rclpy's own handler ends the spinning; Python's would raise KeyboardInterrupt wherever the clean-up has got to.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        rclpy.init(args=None if arguments is None else list(arguments))
    except (RCLError, ValueError) as error:
        return _refuse(f"ROS did not start ({_first_line(error)}); check what follows --ros-args")
    node = None
    try:
        node = SegmentationNode()
        if node.parameters.autostart:
            for transition in (node.trigger_configure, node.trigger_activate):
                if transition() != TransitionCallbackReturn.SUCCESS:
                    return 1 if rclpy.ok() else 0
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (DesertSegError, ParameterException) as error:
        return _refuse(_first_line(error))
    except ExternalShutdownException:
        pass
    except (RCLError, InvalidHandle) as error:
        if rclpy.ok():
            return _refuse(
                f"ROS did not start the node ({_first_line(error)}); check ROS_DOMAIN_ID and the network set-up"
            )
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 1 if node is not None and node.failure else 0


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refuse(reason: str) -> int:
    sys.stderr.write(f"error: {reason}\n")
    return 1


def main() -> None:
    """Entry point of the executable `segment_node`."""
    sys.exit(run())


if __name__ == "__main__":
    main()
