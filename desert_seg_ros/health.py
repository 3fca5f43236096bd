"""What the node counts, and the verdict on it in words. Thread-safe; imports no ROS."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OK, WARN, ERROR, STALE = range(4)
"""Levels of diagnostic_msgs/DiagnosticStatus."""

SILENCE_S = 2.0
"""No input for this long is reported as STALE."""

DROP_CAUSES = ("overload", "stale", "rate_limit", "disabled", "bad_frame")
"""Why a received frame may have no mask: a newer one came before it was its turn; it was older than max_age_s;
max_rate_hz; the node is disabled; it could not be decoded."""


@dataclass(frozen=True)
class Report:
    """A moment's health: `level` and `message` for people, `values` for machines."""

    level: int
    message: str
    values: dict[str, str]


class Health:
    """Counters and recent latencies of one camera."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at zero; `clock` gives seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._drops = Counter(dict.fromkeys(DROP_CAUSES, 0))
        self._frames_in = self._frames_out = 0
        self._last_in: float | None = None
        self._last_error = ""
        self._latencies_ms: deque[float] = deque(maxlen=200)
        self._inference_ms: deque[float] = deque(maxlen=200)
        self._previous = (clock(), 0, 0, Counter[str]())

    def frame_in(self) -> None:
        """Count a received frame."""
        with self._lock:
            self._frames_in += 1
            self._last_in = self._clock()

    def frame_out(self, latency_ms: float, inference_ms: float) -> None:
        """Count a published mask, with its time from reception to publication and in the engine."""
        with self._lock:
            self._frames_out += 1
            self._latencies_ms.append(latency_ms)
            self._inference_ms.append(inference_ms)

    def drop(self, cause: str, reason: str = "") -> None:
        """Count a frame that gets no mask; `cause` is one of `DROP_CAUSES`, `reason` the sentence of an error."""
        assert cause in DROP_CAUSES
        with self._lock:
            self._drops[cause] += 1
            if reason:
                self._last_error = reason

    def report(self, num_publishers: int = 1) -> Report:
        """Health since the last report; rates are over that interval, totals since the start.

        Args:
            num_publishers: How many publishers the input topic has.
        """
        with self._lock:
            now = self._clock()
            then, frames_in, frames_out, drops = self._previous
            self._previous = (now, self._frames_in, self._frames_out, self._drops.copy())
            seconds = max(now - then, 1e-6)
            values = {
                "frames_in": str(self._frames_in),
                "frames_out": str(self._frames_out),
                **{f"dropped_{cause}": str(count) for cause, count in self._drops.items()},
                "fps_in": f"{(self._frames_in - frames_in) / seconds:.1f}",
                "fps_out": f"{(self._frames_out - frames_out) / seconds:.1f}",
                **_percentiles("latency", self._latencies_ms),
                **_percentiles("inference", self._inference_ms),
                "publishers": str(num_publishers),
                "last_error": self._last_error,
            }
            new_drops = self._drops - drops
            silence = None if self._last_in is None else now - self._last_in
        level, message = self._verdict(silence, num_publishers, new_drops)
        return Report(level, message, values)

    def _verdict(self, silence: float | None, num_publishers: int, new_drops: Counter[str]) -> tuple[int, str]:
        if silence is None or silence > SILENCE_S:
            since = "no image yet" if silence is None else f"no image for {silence:.0f} s"
            return STALE, since if num_publishers else f"{since}, and nobody publishes on the input topic"
        if new_drops["bad_frame"]:
            return ERROR, f"{new_drops['bad_frame']} frames could not be decoded: {self._last_error}"
        if new_drops["stale"]:
            return WARN, f"{new_drops['stale']} frames dropped because they were older than max_age_s"
        if new_drops["overload"]:
            return (
                WARN,
                f"{new_drops['overload']} frames dropped because newer ones came before they could be processed",
            )
        if new_drops["disabled"]:
            return OK, "disabled"
        return OK, "segmenting"


def _percentiles(name: str, values: deque[float]) -> dict[str, str]:
    if not values:
        return {}
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {f"{name}_ms_p50": f"{p50:.1f}", f"{name}_ms_p95": f"{p95:.1f}", f"{name}_ms_p99": f"{p99:.1f}"}
