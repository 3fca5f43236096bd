"""The life of a frame between reception and publication, on a thread of its own. Imports no ROS.

The executor's thread only swaps a message into the mailbox; everything slow happens here. A frame that cannot be
used is counted and skipped. Any other failure ends the process: a live node with a dead thread is the worst of all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import FrameError
from desert_seg.segmenter import Segmentation, Segmenter, SegmentOptions
from desert_seg_ros.health import Health
from desert_seg_ros.mailbox import Mailbox
from desert_seg_ros.parameters import NodeParameters


@dataclass(frozen=True)
class SegmentedFrame:
    """What there is to publish: the input's `header`, `rgb` HxWx3 uint8, and the segmentation."""

    header: Any
    rgb: npt.NDArray[np.uint8]
    segmentation: Segmentation


@dataclass(frozen=True)
class Settings:
    """The parameters a frame is processed with, and what follows from them."""

    parameters: NodeParameters
    bias: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, parameters: NodeParameters, segmenter: Segmenter) -> Settings:
        """Resolve class names; raises DataError if a suppressed class is not one of the model's."""
        return cls(parameters, segmenter.suppress(parameters.suppressed()))


class FrameWorker:
    """Takes the newest message, turns it into masks, hands them to `publish`."""

    def __init__(
        self,
        segmenter: Segmenter,
        settings: Settings,
        health: Health,
        decode: Callable[[Any], npt.NDArray[np.uint8]],
        now_ns: Callable[[], int],
        wants_confidence: Callable[[], bool],
        publish: Callable[[SegmentedFrame], None],
        on_bad_frame: Callable[[str], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        """Prepare; `start` begins.

        Args:
            segmenter: The model, warmed up.
            settings: Replace the attribute `settings` at any time to change them.
            health: Where frames are counted.
            decode: Message to HxWx3 uint8 RGB; raises FrameError.
            now_ns: The node's clock.
            wants_confidence: Whether anybody listens to the confidence.
            publish: Called on the worker's thread.
            on_bad_frame: Called with a sentence when a frame could not be used.
            on_crash: Called when the worker dies of anything else.
        """
        self.settings = settings
        self._segmenter, self._health = segmenter, health
        self._decode, self._now_ns, self._wants_confidence = decode, now_ns, wants_confidence
        self._publish, self._on_bad_frame, self._on_crash = publish, on_bad_frame, on_crash
        self._mailbox: Mailbox[tuple[Any, float]] = Mailbox()
        self._last_stamp_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name="segment-worker", daemon=True)

    def start(self) -> None:
        """Begin to process frames."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the frame in hand, drop what waits, and return when the thread has ended."""
        self._mailbox.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def put(self, message: Any) -> None:
        """Hand over a received message; never waits."""
        self._health.frame_in()
        if self._mailbox.put((message, time.perf_counter())):
            self._health.drop("overload")

    def _run(self) -> None:
        try:
            while (item := self._mailbox.get()) is not None:
                self._process(*item)
        except Exception as error:
            self._on_crash(error)

    def _process(self, message: Any, received: float) -> None:
        settings = self.settings
        cause = self._reason_to_drop(message.header.stamp, settings.parameters)
        if cause:
            self._health.drop(cause)
            return
        try:
            rgb = self._decode(message)
        except FrameError as error:
            self._health.drop("bad_frame", str(error))
            self._on_bad_frame(str(error))
            return
        options = SegmentOptions(
            views=settings.parameters.tta,
            bias=settings.bias,
            confidence_threshold=settings.parameters.confidence_threshold,
            want_confidence=self._wants_confidence(),
        )
        segmentation = self._segmenter.segment(rgb, options)
        self._publish(SegmentedFrame(message.header, rgb, segmentation))
        self._health.frame_out((time.perf_counter() - received) * 1e3, segmentation.inference_ms)

    def _reason_to_drop(self, stamp: Any, parameters: NodeParameters) -> str | None:
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        if not parameters.enabled:
            return "disabled"
        if parameters.max_age_s and self._now_ns() - stamp_ns > parameters.max_age_s * 1e9:
            return "stale"
        last = self._last_stamp_ns
        # A stamp that goes back means that a bag was started again: such a frame is never too early.
        if parameters.max_rate_hz and last is not None and 0 <= stamp_ns - last < 0.98e9 / parameters.max_rate_hz:
            return "rate_limit"
        self._last_stamp_ns = stamp_ns
        return None
