"""The segmentation node: wiring between ROS and the worker that turns frames into masks.

Images come in on `image` (or `image/compressed` and so on, by `image_transport`), masks go out on `~/mask` with the
input's header; with several cameras on `NAME/image` and `~/NAME/mask`. A lifecycle node: configuring loads the model
and warms it up, activating subscribes, deactivating stops, cleaning up frees the memory. With `autostart` (the
default) the first two happen at start.
"""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold  # type: ignore[attr-defined]
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from desert_seg.errors import DesertSegError
from desert_seg.share import find_artifact
from desert_seg_ros.camera import Camera
from desert_seg_ros.class_list import ClassList
from desert_seg_ros.declared_parameters import DeclaredParameters
from desert_seg_ros.diagnostics import Diagnostics
from desert_seg_ros.model import Model, Settings
from desert_seg_ros.parameters import NodeParameters
from desert_seg_ros.qos_watch import QosWatch
from desert_seg_ros.reload import ReloadService
from desert_seg_ros.transform_listener import TransformListener
from desert_seg_ros.transport import Transport, load_transport
from desert_seg_ros.worker import FrameWorker

STOP_S = 1.2
"""How long a model being loaded, or a frame in hand, may delay the end of the process."""

STOP_TURN_S = 0.1
"""How often it is looked whether the process is to end while a frame in hand is waited for."""

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
        super().__init__("segment", start_parameter_services=False, **node_arguments)
        self.failure: Exception | None = None
        self._model: Model | None = None
        self._worker: FrameWorker | None = None
        self._transport: Transport | None = None
        self._transforms: TransformListener | None = None
        self._cameras: list[Camera] = []
        self._lock = threading.RLock()  # between a reload, in its own thread, and everything else
        self._to_close: list[Callable[[], object]] = []
        self._qos_watch = QosWatch(self)
        self._declared = DeclaredParameters(self, self._check, self._on_parameters)

    @property
    def parameters(self) -> NodeParameters:
        """As they are now."""
        return self._declared.values

    def _check(self, parameters: NodeParameters) -> None:
        if parameters.artifact != self.parameters.artifact:
            find_artifact(parameters.artifact)
        if self._model is not None:
            Settings.of(parameters, self._model)

    def _on_parameters(self, parameters: NodeParameters) -> None:
        with self._lock:
            if self._model is not None:
                self._apply(parameters, self._model)

    # ------------------------------------------------------------------------------------------------ lifecycle
    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, warm it up, create the publishers."""
        try:
            self._transport = load_transport(self.parameters.image_transport, self.parameters.max_pixels)
            world_frame = self.parameters.world_frame
            self._transforms = TransformListener(self, world_frame, self._qos_watch) if world_frame else None
            model = self._load()
        except DesertSegError as error:
            self.get_logger().fatal(str(error))
            return TransitionCallbackReturn.FAILURE
        if not self.context.ok():
            return TransitionCallbackReturn.FAILURE
        self._cameras = [Camera(self, name, self._qos_watch, self._transforms) for name in self.parameters.cameras]
        self._class_list = ClassList(self)
        self._diagnostics = Diagnostics(self, self._qos_watch)
        reloading = ReloadService(self, self._load, self._swap)
        enabling = self.create_service(SetBool, "~/enable", self._on_enable)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a paused or rewound simulation must not silence the node
        timer = self.create_timer(1.0, self._on_timer, clock=steady)
        self._to_close = [
            *(camera.close for camera in self._cameras),
            self._class_list.close,
            self._diagnostics.close,
            reloading.close,
            lambda: self.destroy_service(enabling),
            lambda: self.destroy_timer(timer),
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
        if self._transforms is not None:
            self._transforms.subscribe()
        for camera in self._cameras:
            camera.subscribe(self._transport, worker.put, worker.refuse, self._on_crash)
            self.get_logger().info(f"waiting for images on {camera.input_topic}")
        self._declared.warn_of_unused_overrides()
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
        if self._transforms is not None:
            self._transforms.unsubscribe()
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
            for close in self._to_close:
                close()
            self._to_close, self._cameras, self._model = [], [], None

    def end(self) -> None:
        """Stop the worker before the handles it publishes through go away, then destroy the node."""
        if worker := self._stop():
            worker.stop(STOP_S)
        self.destroy_node()

    # ------------------------------------------------------------------------------------------------ the model
    def _load(self) -> Model:
        model = Model.load(self.parameters)
        if self.context.ok():  # else told to stop while the model was loading
            model.warm_up(self.parameters)
        return model

    def _swap(self, model: Model) -> None:
        """Put a new model in the place of the one in use, between two frames."""
        with self._lock:
            if self._model is None:
                raise DesertSegError("the node was cleaned up while the model was loading; configure it again")
            self._use(model)

    def _use(self, model: Model) -> None:
        """Make a model that is warm the one in use."""
        self._apply(self.parameters, model)
        self._model = model
        self.get_logger().info(
            f"model {model.segmenter.card.name} ({model.segmenter.digest[:12]}) from {model.path} runs on "
            f"{model.segmenter.engine.description}"
        )

    def _apply(self, parameters: NodeParameters, model: Model) -> None:
        settings = Settings.of(parameters, model)
        if self._worker is not None:
            self._worker.settings = settings
        self._class_list.publish(model.segmenter.labels, parameters.confidence_threshold)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        (result,) = self.set_parameters([Parameter("enabled", value=request.data)])
        response.success, response.message = result.successful, result.reason or f"enabled: {request.data}".lower()
        return response

    # ------------------------------------------------------------------------------------------------ health
    def _on_clock_jump(self, jump: Any) -> None:
        if self._transforms is not None:
            self._transforms.forget()
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
        self._report()
        self.context.try_shutdown()

    def _on_timer(self) -> None:
        busy_s = self._worker.busy_s() if self._worker is not None else None
        if self.failure is None and busy_s is not None and 0 < self.parameters.watchdog_s < busy_s:
            self._fail_stuck()
        else:
            self._report()

    def _report(self) -> None:
        model = self._model
        if model is not None:
            self._diagnostics.publish(self._cameras, model, self._worker, self.parameters, self.failure)
