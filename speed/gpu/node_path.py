"""Lines about the node's path where there is no ROS: message codec, worker, segmenter, and messages to a sink.

What is left out is DDS and the executor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2

from desert_seg.errors import EngineError
from desert_seg.recordings.image_codec import decode, fill_image
from desert_seg_ros.health import Health, Timing
from desert_seg_ros.model import Model, Settings
from desert_seg_ros.parameters import NodeParameters
from desert_seg_ros.worker import FrameWorker, Lane, SegmentedFrame
from desert_seg_train.profile.stages import ImageMessage, rgb_message
from speed.figures import Bar, Figure
from speed.gpu import materials
from speed.gpu.plan import Setting

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class JpegMessage:
    """Stands in for sensor_msgs/CompressedImage, with the same fields."""

    data: bytes
    format: str = "rgb8; jpeg compressed bgr8"
    header: Any = None


def lines(setting: Setting, subject: str) -> Mapping[str, Callable[[], Iterator[Figure]]]:
    """The functions behind the lines, by name; loads the model and starts the worker."""
    path = NodePath(setting, subject)
    frames = materials.frames(8)
    raw = [rgb_message(frame) for frame in frames]
    jpeg = [JpegMessage(cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes()) for frame in frames]
    return {
        "raw images, one by one": lambda: path.one_by_one("raw images, one by one", raw),
        "JPEG images, one by one": lambda: path.one_by_one("JPEG images, one by one", jpeg),
        "sent twice what it can do": lambda: path.overload("sent twice what it can do", raw),
    }


class NodePath:
    """The worker with the model, and the sink that it publishes to."""

    def __init__(self, setting: Setting, subject: str) -> None:
        """Load the model and start the worker; `subject` is as for `speed.gpu.materials.artifact`."""
        parameters = NodeParameters(artifact=str(materials.artifact(setting, subject)), engine="torch")
        parameters = replace(parameters, device=setting.device)
        model = Model.load(parameters)
        if setting.quick:
            size = model.segmenter.network_size(materials.options(setting))
            model.segmenter.card = replace(model.segmenter.card, input_size=size)
        model.warm_up(parameters)
        self._num = 8 if setting.quick else 300
        self._has_goals = setting.has_goals
        self._health, self._timings = Health(), list[Timing]()
        self._answered, self._crash = threading.Condition(), list[Exception]()
        lane = Lane(self._health, self._decode, frozenset, lambda *_: None, self._publish, self._receive)
        settings = Settings.of(parameters, model)
        self._worker = FrameWorker({"": lane}, settings, time.time_ns, print, self._crash.append)
        self._worker.start()

    def one_by_one(self, name: str, messages: Sequence[Any]) -> Iterator[Figure]:
        """Each message after the answer to the one before; raises EngineError if there is none."""
        taken = self._timings_of(messages)
        latencies = sorted(each.latency for each in taken)
        yield Figure(name, "latency p50", (latencies[len(latencies) // 2],), "ms", once=True)
        yield Figure(name, "latency p95", (latencies[len(latencies) * 95 // 100],), "ms", once=True)
        inference = sorted(each.stages[3] for each in taken)
        yield Figure(name, "of that the network, p50", (inference[len(inference) // 2],), "ms", once=True)

    def overload(self, name: str, messages: Sequence[Any]) -> Iterator[Figure]:
        """Messages at twice the rate of the path alone; raises EngineError if it stops answering."""
        alone_ms = sum(each.latency for each in self._timings_of(messages)) / self._num
        before, began = len(self._timings), time.perf_counter()
        for number in range(2 * self._num):
            time.sleep(max(0.0, began + number * alone_ms / 2e3 - time.perf_counter()))
            self._worker.put("", time.time_ns(), messages[number % len(messages)])
        self._wait(lambda: self._num_pending() == 0)  # raises if one is neither answered nor counted as dropped
        seconds = time.perf_counter() - began
        share = (len(self._timings) - before) / seconds * alone_ms / 1e3
        bar = Bar(0.9, at_most=False) if self._has_goals else None
        yield Figure(name, "masks per second / one by one", (share,), once=True, bar=bar)
        dropped = 2 * self._num - (len(self._timings) - before)
        yield Figure(name, "dropped, and counted so", (dropped,), "frames", once=True)

    def _num_pending(self) -> int:
        """Frames that were neither answered nor counted as dropped yet."""
        values = self._health.report().values
        dropped = sum(int(value) for key, value in values.items() if key.startswith("dropped_"))
        return int(values["frames_in"]) - int(values["frames_out"]) - dropped

    def _timings_of(self, messages: Sequence[Any]) -> list[Timing]:
        first = len(self._timings)
        for number in range(self._num):
            expected = len(self._timings) + 1
            self._worker.put("", time.time_ns(), messages[number % len(messages)])
            self._wait(lambda expected=expected: len(self._timings) >= expected)  # type: ignore[misc]
        return self._timings[first:]

    def _wait(self, is_done: Callable[[], bool]) -> None:
        with self._answered:
            is_in_time = self._answered.wait_for(lambda: is_done() or bool(self._crash), TIMEOUT_S)
        if self._crash:
            raise EngineError(f"the worker ended: {self._crash[0]}") from self._crash[0]
        if not is_in_time:
            raise EngineError(f"no mask came within {TIMEOUT_S:.0f} s, expected one for a frame; see the log")

    def _decode(self, message: Any) -> tuple[Any, Any]:
        return message.header, decode(message)

    def _publish(self, frame: SegmentedFrame) -> None:
        fill_image(ImageMessage(), frame.segmentation.mask, "mono8", frame.header)

    def _receive(self, header: Any, timing: Timing) -> None:
        with self._answered:
            self._timings.append(timing)
            self._answered.notify_all()
