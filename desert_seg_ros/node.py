"""The segmentation node: wiring between ROS and the worker that turns frames into masks.

Images come in on `image` (or `image/compressed` and so on, by `image_transport`), masks go out on `~/mask` with the
input's header; with several cameras on `NAME/image` and `~/NAME/mask`. A lifecycle node: configuring loads the model
and warms it up, activating subscribes, deactivating stops, cleaning up frees the memory. With `autostart` (the
default) the first two happen at start.
"""

from __future__ import annotations

import collections
import difflib
import functools
import threading
import time
import traceback
import types
from collections.abc import Callable, Generator
from dataclasses import fields
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold  # type: ignore[attr-defined]
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import SetBool, Trigger

from desert_seg.errors import DesertSegError
from desert_seg_ros.camera import Camera
from desert_seg_ros.health import OK, News, Report, Surroundings
from desert_seg_ros.messages import LABEL_INFO_TOPIC, diagnostic_status, label_info_message
from desert_seg_ros.model import Model, Settings
from desert_seg_ros.parameters import NodeParameters, ParameterError, expectation
from desert_seg_ros.qos_watch import QosWatch
from desert_seg_ros.transport import Transport, load_transport
from desert_seg_ros.worker import FrameWorker

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

STOP_S = 1.2
"""How long a model being loaded, or a frame in hand, may delay the end of the process."""

STOP_TURN_S = 0.1
"""How often it is looked whether the process is to end while a frame in hand is waited for."""

RELOAD_TURN_S = 0.01
"""How long other callbacks wait for their turn, at most, while a model is being reloaded."""

Transition = Callable[["SegmentationNode", LifecycleState], TransitionCallbackReturn]


def _logged(transition: Transition) -> Transition:
    """A transition whose bugs are seen: rclpy drops exceptions and only reports an error."""

    @functools.wraps(transition)
    def run_logged(node: SegmentationNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            if node.context.ok():
                node.get_logger().fatal(traceback.format_exc())
            raise

    return run_logged


class SegmentationNode(LifecycleNode):
    """See the module."""

    def __init__(self, **node_arguments: Any) -> None:
        """Declare the parameters.

        Raises:
            DesertSegError: A parameter given at start has a value it cannot have.
        """
        super().__init__("segment", **node_arguments)
        self.failure: Exception | None = None
        self._model: Model | None = None
        self._worker: FrameWorker | None = None
        self._transport: Transport | None = None
        self._cameras: list[Camera] = []
        self._lock = threading.RLock()  # between a reload, in its own thread, and everything else
        self._entities: list[tuple[Any, Any]] = []
        self._qos_watch = QosWatch(self)
        self._news: dict[str, News] = collections.defaultdict(News)
        self.parameters = self._declare_parameters()
        self._warn_of_unknown_parameters()
        self.add_on_set_parameters_callback(self._check_parameters)
        if hasattr(self, "add_post_set_parameters_callback"):
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
            try:
                values[item.name] = self.declare_parameter(item.name, default, descriptor).value
            except ParameterException as error:
                found = self._parameter_overrides[item.name].value
                raise ParameterError(f"{item.name} is {found!r}; it must be {expectation(item.name)}") from error
        return NodeParameters().changed(values)

    def _warn_of_unknown_parameters(self) -> None:
        """ROS ignores a misspelt parameter in silence."""
        known = {item.name for item in fields(NodeParameters)}
        for name in self._parameter_overrides:
            if not self.has_parameter(name) and not name.startswith("qos_overrides."):
                likely = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {likely[0]}?" if likely else ""
                self.get_logger().warning(f"there is no parameter {name!r}, so it is ignored{hint}")

    def _check_parameters(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            changed = self.parameters.changed({parameter.name: parameter.value for parameter in parameters})
            if self._model is not None:
                Settings.of(changed, self._model)
        except DesertSegError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if not hasattr(self, "add_post_set_parameters_callback"):  # humble
            self._apply_parameters(parameters)
        return SetParametersResult(successful=True)

    def _apply_parameters(self, parameters: list[Parameter[Any]]) -> None:
        with self._lock:
            self.parameters = self.parameters.changed({parameter.name: parameter.value for parameter in parameters})
            if self._model is not None:
                self._publish_labels(self._model)
            if self._worker is not None and self._model is not None:
                self._worker.settings = Settings.of(self.parameters, self._model)

    # ------------------------------------------------------------------------------------------------ lifecycle
    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, warm it up, create the publishers."""
        try:
            self._transport = load_transport(self.parameters.image_transport)
            model = Model.load(self.parameters)
            if self.context.ok():  # else told to stop while the model was loading
                model.warm_up(self.parameters)
        except DesertSegError as error:
            self.get_logger().fatal(str(error))
            return TransitionCallbackReturn.FAILURE
        if not self.context.ok():
            return TransitionCallbackReturn.FAILURE
        self._cameras = [Camera(self, name, self._qos_watch) for name in self.parameters.cameras]
        self._published_labels = None
        self._labels = self.create_publisher(
            type(label_info_message(model.segmenter.labels, 0.0)), LABEL_INFO_TOPIC, LATCHED_QOS
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        reloading = MutuallyExclusiveCallbackGroup()  # a service that has not answered yet holds up its group
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a paused or rewound simulation must not silence the node
        self._entities = [
            (self.destroy_publisher, self._labels),
            (self.destroy_publisher, self._diagnostics),
            (self.destroy_timer, self.create_timer(1.0, self._publish_diagnostics, clock=steady)),
            (self.destroy_service, self.create_service(SetBool, "~/enable", self._on_enable)),
            (
                self.destroy_service,
                self.create_service(Trigger, "~/reload_model", self._on_reload, callback_group=reloading),
            ),
        ]
        self._use(model)
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, then subscribe."""
        assert self._model is not None
        assert self._transport is not None
        worker = FrameWorker(
            lanes={camera.name: camera.lane(self._transport) for camera in self._cameras},
            settings=Settings.of(self.parameters, self._model),
            now_ns=lambda: self.get_clock().now().nanoseconds,
            on_bad_frame=self._on_bad_frame,
            on_crash=self._on_crash,
        )
        worker.start()
        self._worker = worker
        self._clock_jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=Duration(seconds=5), min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._on_clock_jump,
        )
        for camera in self._cameras:
            camera.subscribe(self._transport, worker.put, self._on_crash)
            self.get_logger().info(f"waiting for images on {camera.input_topic}")
        return super().on_activate(state)

    @_logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, then let the worker finish its frame."""
        self._finish()
        return super().on_deactivate(state)

    @_logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    @_logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from whatever state."""
        self._finish()
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def _stop(self) -> FrameWorker | None:
        """Take no more images; returns the worker, which may still have a frame in hand."""
        for camera in self._cameras:
            camera.unsubscribe()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._clock_jumps.unregister()
        return worker

    def _finish(self) -> None:
        """Stop, and wait for the frame in hand, however slow the model: what it publishes with must not go away."""
        worker, begun = self._stop(), time.monotonic()
        while worker is not None and self.context.ok() and not worker.stop(STOP_TURN_S):
            if 0 < self.parameters.watchdog_s < time.monotonic() - begun:
                self._fail_stuck()

    def _free(self) -> None:
        with self._lock:
            for destroy, entity in self._entities:
                destroy(entity)
            for camera in self._cameras:
                camera.close()
            self._entities, self._cameras, self._model = [], [], None

    def end(self) -> None:
        """Stop the worker before the handles it publishes through go away, then destroy the node."""
        if worker := self._stop():
            worker.stop(STOP_S)
        self.destroy_node()

    # ------------------------------------------------------------------------------------------------ services
    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        (result,) = self.set_parameters([Parameter("enabled", value=request.data)])
        response.success, response.message = result.successful, result.reason or f"enabled: {request.data}".lower()
        return response

    async def _on_reload(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Load the artifact again beside the model in use, and swap the two between frames."""
        thread = threading.Thread(target=self._reload, args=(response,), name="reload", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(RELOAD_TURN_S)
            await _others()
        return response

    def _reload(self, response: Trigger.Response) -> None:
        try:
            self._transport = load_transport(self.parameters.image_transport)
            model = Model.load(self.parameters)
            model.warm_up(self.parameters)
            with self._lock:
                if self._model is None:
                    raise DesertSegError("the node was cleaned up while the model was loading; configure it again")
                self._use(model)
        except Exception as error:  # whatever is wrong with the new one, the old one works
            known = isinstance(error, DesertSegError)
            reason = str(error) if known else f"the new model failed with {type(error).__name__} ({error})"
            response.success, response.message = False, f"{reason}; the model in use stays"
            self.get_logger().error(response.message if known else f"{response.message}\n{traceback.format_exc()}")
            return
        response.success, response.message = True, f"runs {model.segmenter.card.name} {model.segmenter.digest[:12]}"

    def _use(self, model: Model) -> None:
        """Make a model that is warm the one in use."""
        settings = Settings.of(self.parameters, model)
        self._model = model
        if self._worker is not None:
            self._worker.settings = settings
        self._publish_labels(model)
        self.get_logger().info(
            f"model {model.segmenter.card.name} ({model.segmenter.digest[:12]}) from {model.path} runs on "
            f"{model.segmenter.engine.description}"
        )

    def _publish_labels(self, model: Model) -> None:
        """Once, and again only if they change."""
        message = label_info_message(model.segmenter.labels, self.parameters.confidence_threshold)
        if message != self._published_labels:
            self._labels.publish(message)
            self._published_labels = message

    # ------------------------------------------------------------------------------------------------ health
    def _on_clock_jump(self, jump: Any) -> None:
        if jump.clock_change == ClockChange.ROS_TIME_NO_CHANGE:
            for camera in self._cameras:
                camera.health.clock_jumped()

    def _on_bad_frame(self, reason: str) -> None:
        self.get_logger().error(reason, throttle_duration_sec=5.0)

    def _on_crash(self, error: Exception) -> None:
        if not self.context.ok():  # the process was told to stop while a frame was in hand
            return
        self.get_logger().fatal("the worker stopped\n" + "".join(traceback.format_exception(error)))
        self._fail(error)

    def _fail_stuck(self) -> None:
        error = DesertSegError(f"a frame took longer than watchdog_s = {self.parameters.watchdog_s:g} s")
        self.get_logger().fatal(str(error))
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Say it in a last report, and end the process."""
        self.failure = error
        self._publish_diagnostics()
        self.context.try_shutdown()

    def _publish_diagnostics(self) -> None:
        model, worker, parameters = self._model, self._worker, self.parameters
        if model is None:
            return
        busy_s = worker.busy_s() if worker is not None else None
        stuck = busy_s is not None and 0 < parameters.watchdog_s < busy_s
        if stuck and self.failure is None:
            self._fail_stuck()
            return
        facts = {
            "model": model.segmenter.card.name,
            "model_digest": model.segmenter.digest,
            "engine": model.segmenter.engine.description,
            "tta": parameters.tta,
        }
        less = worker is not None and worker.effort.views + str(worker.effort.scale) != parameters.tta + "1.0"
        mismatches = self._qos_watch.sentences()
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        node = self.get_fully_qualified_name().lstrip("/")
        for camera in self._cameras:
            around = Surroundings(
                num_publishers=camera.num_publishers(),
                min_rate_hz=parameters.min_rate_hz,
                busy_s=busy_s,
                effort=str(worker.effort) if worker is not None and less else "",
                is_active=worker is not None,
                mismatches=[*mismatches, *camera.mismatches()],
                failure="" if self.failure is None else str(self.failure) or type(self.failure).__name__,
            )
            name = f"{node}: segmentation" + (f" {camera.name}" if camera.name else "")
            report = camera.health.report(around)
            extra = facts | {"input": camera.input_topic}
            message.status.append(diagnostic_status(report, name, model.segmenter.engine.description, extra))
            if self._news[camera.name].is_news(report):
                self._log(report, camera.input_topic or camera.name)
        self._diagnostics.publish(message)

    def _log(self, report: Report, topic: str) -> None:
        text = f"{topic}: {report.message}" if topic else report.message
        # rclpy tells the severities of one call site apart, so each needs a line of its own.
        if report.level == OK:
            self.get_logger().info(text)
        else:
            self.get_logger().warning(text)


@types.coroutine
def _others() -> Generator[None, None, None]:
    """Awaited in a callback, lets the executor turn to others that are ready."""
    yield
