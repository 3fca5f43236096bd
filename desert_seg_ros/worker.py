"""The life of a frame between reception and publication, on a thread of its own. Imports no ROS.

The executor only swaps what it receives into the mailbox, images still as bytes; everything slow happens here, for all
cameras, and only for frames that no newer one has replaced. A frame that cannot be used is counted and skipped. Any
other failure ends the process: a live node with a dead thread is the worst of all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from desert_seg.errors import FrameError
from desert_seg.segmenter import ScoredFrame, Segmentation, SegmentOptions
from desert_seg.smoothing import Smoother, Viewpoint
from desert_seg_ros.budget import Effort, LatencyBudget
from desert_seg_ros.health import Health, Timing, is_unset
from desert_seg_ros.mailbox import Mailbox
from desert_seg_ros.model import Settings
from desert_seg_ros.parameters import NodeParameters


@dataclass(frozen=True)
class SegmentedFrame:
    """What there is to publish: the input's `header`, `rgb` HxWx3 uint8, the segmentation and what it was made with."""

    header: Any
    rgb: npt.NDArray[np.uint8]
    segmentation: Segmentation
    settings: Settings


@dataclass(frozen=True)
class Lane:
    """A camera as the worker sees it.

    Attributes:
        health: Where its frames are counted.
        decode: What was received to its header and HxWx3 uint8 RGB; raises FrameError.
        wanted: Names of the outputs that somebody listens to.
        view: From where the frame with a header was taken by a camera so many metres up, if that is known.
        publish: Called with each result.
        publish_timing: Called with each result's header and timing, after it.
    """

    health: Health
    decode: Callable[[Any], tuple[Any, npt.NDArray[np.uint8]]]
    wanted: Callable[[], frozenset[str]]
    view: Callable[[Any, float], Viewpoint | None]
    publish: Callable[[SegmentedFrame], None]
    publish_timing: Callable[[Any, Timing], None]


@dataclass
class _Taken:
    """A frame in hand; `time_s` is its stamp, or when it was received if it has none."""

    lane: Lane
    smoother: Smoother
    header: Any
    time_s: float
    rgb: npt.NDArray[np.uint8]
    received: float
    wait_ms: float
    decode_ms: float


@dataclass
class _Past:
    """What is kept of a camera from frame to frame."""

    last_stamp_ns: int | None = None
    last_received: float = 0.0
    smoother: Smoother = field(default_factory=Smoother)


class _Received(NamedTuple):
    """What waits in the mailbox: the stamp, what there is to decode, and when it came."""

    stamp_ns: int
    item: Any
    at_s: float


class FrameWorker:
    """Takes the newest frame of every camera, turns them into masks together, hands each to its lane."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        settings: Settings,
        now_ns: Callable[[], int],
        on_bad_frame: Callable[[str], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        """Prepare; `start` begins.

        Args:
            lanes: The cameras by name.
            settings: Replace the attribute `settings` at any time to change them.
            now_ns: The node's clock.
            on_bad_frame: Called with a sentence when a frame could not be used.
            on_crash: Called when the worker dies of anything else.
        """
        self.settings = settings
        self.effort = Effort(settings.parameters.tta)
        self._lanes, self._now_ns = lanes, now_ns
        self._on_bad_frame, self._on_crash = on_bad_frame, on_crash
        self._mailbox: Mailbox[_Received] = Mailbox()
        self._past = {name: _Past() for name in lanes}
        self._budget = LatencyBudget()
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="segment-worker", daemon=True)

    def start(self) -> None:
        """Begin to process frames."""
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Finish the frames in hand and drop what waits.

        Args:
            timeout_s: How long to wait for that; None = as long as it takes.

        Returns:
            Whether the thread has ended.
        """
        self._mailbox.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def busy_s(self) -> float | None:
        """How long the present frames have been in hand; None while the worker waits for one."""
        since = self._busy_since
        return None if since is None else time.monotonic() - since

    def put(self, camera: str, stamp_ns: int, item: Any) -> None:
        """Hand over what was received, for the camera's `Lane.decode`; never waits."""
        health = self._lanes[camera].health
        now_ns = self._now_ns()  # 0 where a simulation's clock has not come
        health.frame_in(stamp_ns, (now_ns - stamp_ns) * 1e-9 if now_ns else None)
        if self._mailbox.put(camera, _Received(stamp_ns, item, time.perf_counter())):
            health.drop("overload")

    def refuse(self, camera: str, error: FrameError) -> None:
        """Count and report a frame that cannot be used, whose fate is all there is to tell of it."""
        self._lanes[camera].health.malformed_in(str(error))
        self._report(camera, error)

    def _run(self) -> None:
        try:
            while (items := self._mailbox.get()) is not None:
                self._busy_since = time.monotonic()
                self._process(items)
                self._busy_since = None
        except Exception as error:
            self._on_crash(error)

    def _process(self, items: Mapping[str, _Received]) -> None:
        settings = self.settings
        parameters = settings.parameters
        frames = [frame for name, received in items.items() if (frame := self._take(name, received, parameters))]
        if not frames:
            return
        self.effort = self._budget.effort(parameters.tta, parameters.latency_budget_ms)
        options = settings.options(self.effort, frozenset().union(*(frame.lane.wanted() for frame in frames)))
        scored = settings.model.segmenter.score([frame.rgb for frame in frames], options)
        for frame, scores in zip(frames, scored, strict=True):
            self._finish(frame, scores, options, settings)

    def _take(self, camera: str, received: _Received, parameters: NodeParameters) -> _Taken | None:
        """Decode what was received, unless there is a reason to drop it."""
        lane, past, began = self._lanes[camera], self._past[camera], time.perf_counter()
        stamped = not is_unset(received.stamp_ns, past.last_stamp_ns)
        if cause := self._reason_to_drop(received, stamped, past, parameters):
            lane.health.drop(cause)
            return None
        try:
            header, rgb = lane.decode(received.item)
        except FrameError as error:
            lane.health.drop("bad_frame", str(error))
            self._report(camera, error)
            return None
        decode_ms = (time.perf_counter() - began) * 1e3
        at_s = received.at_s
        time_s = received.stamp_ns * 1e-9 if stamped else at_s
        return _Taken(lane, past.smoother, header, time_s, rgb, at_s, (began - at_s) * 1e3, decode_ms)

    def _report(self, camera: str, error: FrameError) -> None:
        self._on_bad_frame(f"{camera}: {error}" if camera else str(error))

    def _finish(self, frame: _Taken, scored: ScoredFrame, options: SegmentOptions, settings: Settings) -> None:
        """Scores to masks to messages."""
        shift = settings.model.segmenter.domain_shift(scored)
        parameters = settings.parameters
        if parameters.smoothing and scored.not_finite is None:
            viewpoint = frame.lane.view(frame.header, parameters.camera_height_m)
            scores = frame.smoother.update(scored.scores, frame.time_s, parameters.smoothing, viewpoint)
            scored = replace(scored, planes=scores)
        segmentation = settings.model.segmenter.decode(scored, options)
        began = time.perf_counter()
        frame.lane.publish(SegmentedFrame(frame.header, frame.rgb, segmentation, settings))
        ended = time.perf_counter()
        engine = segmentation.resize_ms, segmentation.inference_ms, segmentation.decode_ms
        timing = Timing(
            stages=(frame.wait_ms, frame.decode_ms, *engine, (ended - began) * 1e3),
            latency=(ended - frame.received) * 1e3,
        )
        self._budget.observe(timing.latency)
        frame.lane.health.frame_out(timing, shift)
        if segmentation.num_not_finite:
            frame.lane.health.frame_not_finite()
        frame.lane.publish_timing(frame.header, timing)

    def _reason_to_drop(
        self, received: _Received, stamped: bool, past: _Past, parameters: NodeParameters
    ) -> str | None:
        stamp_ns, at_s = received.stamp_ns, received.at_s
        if not parameters.enabled:
            return "disabled"
        # Of a frame with stamp 0 nobody knows how old it is; an old stamp that comes again and again is old.
        if parameters.max_age_s and stamp_ns and self._now_ns() - stamp_ns > parameters.max_age_s * 1e9:
            return "stale"
        if parameters.max_rate_hz and past.last_stamp_ns is not None:
            elapsed_s = (stamp_ns - past.last_stamp_ns) * 1e-9 if stamped else at_s - past.last_received
            # A stamp that goes back means that a bag was started again: such a frame is never too early.
            if 0 <= elapsed_s < 0.98 / parameters.max_rate_hz:
                return "rate_limit"
        past.last_stamp_ns, past.last_received = stamp_ns, at_s
        return None
