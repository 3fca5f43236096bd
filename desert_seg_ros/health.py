"""What the node counts of one camera, and the verdict on it in words. Thread-safe; imports no ROS."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

OK, WARN, ERROR, STALE = range(4)
"""Levels of diagnostic_msgs/DiagnosticStatus."""

SILENCE_S = 2.0
"""No input for this long is reported as STALE."""

STUCK_S = 5.0
"""A frame in hand for longer than this is an ERROR."""

OLD_S = 1.0
"""Stamps farther than this from the node's clock, in either direction, cause a warning."""

UNSTAMPED = 3
"""This many images in a row with stamp 0, or the stamp of the image before, mean that the driver sets none."""

UNLIKE = 2.0
"""Domain shift above which frames are reported as unlike those the model knows; 1 is usual."""

CALM = 3
"""Number of good reports in a row before recovery is logged, so that an intermittent fault is logged once."""

DROP_CAUSES = ("overload", "stale", "rate_limit", "disabled", "bad_frame")
"""Why a received frame may have no mask: a newer one replaced it; it was older than max_age_s; max_rate_hz; the node is
disabled; it could not be decoded."""

STAGES = ("wait", "decode", "resize", "inference", "mask", "publish")
"""Where the time of a frame goes: in the mailbox, message to pixels, pixels to network size, the engine (all views and
cameras of a batch), scores to masks, and masks to messages that are sent."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one frame: one for each of `STAGES`, and `latency` from reception to publication."""

    stages: tuple[float, ...]
    latency: float


@dataclass(frozen=True)
class Surroundings:
    """What the node knows about a camera's surroundings when a report is due.

    Attributes:
        num_publishers: How many publishers the input topic has.
        min_rate_hz: Input below this rate is a warning; 0 = off.
        busy_s: How long the worker has been processing its present frames; None = it waits.
        effort: The effort per frame, if the latency budget reduces it; else empty.
        is_active: Whether the node listens at all.
        mismatches: Sentences about peers whose quality of service, message type or calibration does not match.
        failure: What made the worker stop; empty while it runs.
    """

    num_publishers: int = 1
    min_rate_hz: float = 0.0
    busy_s: float | None = None
    effort: str = ""
    is_active: bool = True
    mismatches: Sequence[str] = ()
    failure: str = ""


@dataclass(frozen=True)
class Report:
    """A moment's health: `level` and `message` for people, `values` for machines."""

    level: int
    message: str
    values: dict[str, str]


@dataclass
class _Totals:
    frames_in: int = 0
    frames_out: int = 0
    frames_lost: int = 0
    frames_not_finite: int = 0
    stamps_back: int = 0
    unstamped: int = 0
    clock_jumps: int = 0
    drops: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(DROP_CAUSES, 0)))

    def copy(self) -> _Totals:
        return replace(self, drops=self.drops.copy())

    def since(self, other: _Totals) -> _Totals:
        return _Totals(
            self.frames_in - other.frames_in,
            self.frames_out - other.frames_out,
            self.frames_lost - other.frames_lost,
            self.frames_not_finite - other.frames_not_finite,
            self.stamps_back - other.stamps_back,
            self.unstamped - other.unstamped,
            self.clock_jumps - other.clock_jumps,
            self.drops - other.drops,
        )


class Health:
    """Counters and recent latencies of one camera."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at zero; `clock` gives seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._totals, self._reported = _Totals(), _Totals()
        self._reported_at = clock()
        self._last_in: float | None = None
        self._last_stamp_ns: int | None = None
        self._unstamped_in_a_row = 0
        self._last_error = ""
        self._ages_s: deque[float] = deque(maxlen=20)
        self._timings: deque[Timing] = deque(maxlen=200)
        self._shifts: deque[float] = deque(maxlen=50)

    def frame_in(self, stamp_ns: int, age_s: float | None) -> None:
        """Count a received frame, with its stamp (ns) and its age on the node's clock, if that runs (s)."""
        with self._lock:
            self._totals.frames_in += 1
            self._last_in = self._clock()
            unstamped = is_unset(stamp_ns, self._last_stamp_ns)
            self._totals.unstamped += unstamped
            self._unstamped_in_a_row = self._unstamped_in_a_row + 1 if unstamped else 0
            if not unstamped:
                self._totals.stamps_back += self._last_stamp_ns is not None and stamp_ns < self._last_stamp_ns
                self._ages_s.extend([] if age_s is None else [age_s])
            elif self._unstamped_in_a_row >= UNSTAMPED:
                self._ages_s.clear()
            self._last_stamp_ns = stamp_ns

    def malformed_in(self, reason: str) -> None:
        """Count and drop received data that is not an image message; `reason` is the error's message."""
        with self._lock:
            self._totals.frames_in += 1
            self._last_in = self._clock()
        self.drop("bad_frame", reason)

    def frames_lost(self, count: int) -> None:
        """Count frames that were published but lost on the way, according to DDS."""
        with self._lock:
            self._totals.frames_lost += count

    def frame_out(self, timing: Timing, shift: float | None = None) -> None:
        """Count a published mask, with its timing and the frame's domain shift."""
        with self._lock:
            self._totals.frames_out += 1
            self._timings.append(timing)
            if shift is not None:
                self._shifts.append(shift)

    def frame_not_finite(self) -> None:
        """Count a published mask with pixels that are unknown because the network's scores there were not finite."""
        with self._lock:
            self._totals.frames_not_finite += 1

    def drop(self, cause: str, reason: str = "") -> None:
        """Count a frame that gets no mask; `cause` is one of `DROP_CAUSES`, `reason` the error's message."""
        assert cause in DROP_CAUSES
        with self._lock:
            self._totals.drops[cause] += 1
            if reason:
                self._last_error = reason

    def clock_jumped(self) -> None:
        """Count a jump of the node's clock."""
        with self._lock:
            self._totals.clock_jumps += 1
            self._ages_s.clear()

    def report(self, around: Surroundings = Surroundings()) -> Report:
        """Health since the last report; rates are over that interval, totals since the start."""
        with self._lock:
            now = self._clock()
            seconds = max(now - self._reported_at, 1e-6)
            new = self._totals.since(self._reported)
            self._reported, self._reported_at = self._totals.copy(), now
            silence = None if self._last_in is None else now - self._last_in
            age = float(np.median(self._ages_s)) if self._ages_s else None
            shift = float(np.median(self._shifts)) if self._shifts else None
            total, error = self._totals.copy(), self._last_error
            unstamped = self._unstamped_in_a_row
            timings = list(self._timings)
        rate_in = new.frames_in / seconds
        values = {
            "frames_in": str(total.frames_in),
            "frames_out": str(total.frames_out),
            "frames_lost": str(total.frames_lost),
            "frames_not_finite": str(total.frames_not_finite),
            **{f"dropped_{cause}": str(count) for cause, count in total.drops.items()},
            "fps_in": f"{rate_in:.1f}",
            "fps_out": f"{new.frames_out / seconds:.1f}",
            **_percentiles("latency", [timing.latency for timing in timings]),
            **{
                key: value
                for index, stage in enumerate(STAGES)
                for key, value in _percentiles(stage, [timing.stages[index] for timing in timings]).items()
            },
            "age_s": "" if age is None else f"{age:.3f}",
            "stamps_back": str(total.stamps_back),
            "unstamped": str(total.unstamped),
            "clock_jumps": str(total.clock_jumps),
            "domain_shift": "" if shift is None else f"{shift:.2f}",
            "publishers": str(around.num_publishers),
            "effort": around.effort,
            "last_error": error,
        }
        verdicts = _verdicts(silence, rate_in, age, shift, unstamped, new, error, around)
        if not verdicts:
            return Report(OK, "segmenting", values)
        return Report(verdicts[0][0], "; ".join(sentence for _, sentence in verdicts), values)


def is_unset(stamp_ns: int, before_ns: int | None) -> bool:
    """Whether a stamp is meaningless: it is 0, or repeats the one before."""
    return stamp_ns == 0 or stamp_ns == before_ns


class News:
    """Decides which reports are logged: a fault at once, recovery when it lasts."""

    def __init__(self) -> None:
        self._told: int | None = None
        self._calm = 0

    def is_news(self, report: Report) -> bool:
        """Whether this report, one of a sequence, differs in level from the one logged last."""
        self._calm = self._calm + 1 if report.level == OK else 0
        if report.level == self._told or (report.level == OK and self._calm < CALM):
            return False
        self._told = report.level
        return True


def _verdicts(
    silence: float | None,
    rate_in: float,
    age: float | None,
    shift: float | None,
    unstamped: int,
    new: _Totals,
    error: str,
    around: Surroundings,
) -> list[tuple[int, str]]:
    """Everything that is wrong, the worst first."""
    found: list[tuple[int, str]] = []
    if around.failure:
        found.append((ERROR, f"the worker stopped: {around.failure}"))
    if around.busy_s is not None and around.busy_s > STUCK_S:
        found.append((ERROR, f"the worker has not finished a frame for {around.busy_s:.0f} s"))
    if new.drops["bad_frame"]:
        found.append((ERROR, f"{new.drops['bad_frame']} frames could not be decoded: {error}"))
    if new.frames_not_finite:
        found.append(
            (
                ERROR,
                f"{new.frames_not_finite} masks are unknown where the network's scores were not finite: choose another "
                "engine or precision, or another model",
            )
        )
    if not around.is_active:
        return [*found, (WARN, "not active: it does not listen until it is activated")]
    lost = [(WARN, f"{new.frames_lost} images were lost on the way here: {_LOST}")] if new.frames_lost else []
    if silence is None or silence > SILENCE_S:
        since = "no image yet" if silence is None else f"no image for {silence:.0f} s"
        cause = "" if around.num_publishers else ", and nobody publishes on the input topic"
        found.append((STALE, since + cause))
        return [*found, *lost, *((WARN, sentence) for sentence in around.mismatches)]
    found += lost
    if unstamped >= UNSTAMPED:
        found.append((WARN, _UNSTAMPED))
    if new.drops["stale"]:
        found.append((WARN, f"{new.drops['stale']} frames dropped because they were older than max_age_s"))
    elif age is not None and abs(age) > OLD_S:
        side = "behind" if age > 0 else "ahead of"
        found.append(
            (
                WARN,
                f"stamps are {_duration(abs(age))} {side} the node's clock: synchronise the clocks, or play the bag "
                "with --clock and set use_sim_time",
            )
        )
    if new.clock_jumps:
        found.append((WARN, "the clock jumped"))
    if new.stamps_back:
        found.append((WARN, "stamps went back, as when a bag begins again"))
    if new.drops["overload"]:
        found.append(
            (WARN, f"{new.drops['overload']} frames dropped because newer ones came before they could be processed")
        )
    if around.min_rate_hz and rate_in < around.min_rate_hz:
        found.append((WARN, f"images come at {rate_in:.1f} Hz, expected at least {around.min_rate_hz:g} Hz"))
    if around.effort:
        found.append((WARN, f"the latency budget allows only {around.effort}"))
    if shift is not None and shift > UNLIKE:
        found.append((WARN, f"frames look unlike those the model knows (domain shift {shift:.1f})"))
    found += [(WARN, sentence) for sentence in around.mismatches]
    return [*found, (OK, "disabled")] if new.drops["disabled"] else found


_UNSTAMPED = (
    "the driver does not set stamps, every image has 0 or that of the image before: have it set header.stamp; until "
    "then rates and gaps go by the time of arrival"
)

_LOST = (
    "start the camera driver with the Fast DDS profile fastdds_shm.xml, whose shared memory is large enough for images"
)


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"


def _percentiles(name: str, values: Sequence[float]) -> dict[str, str]:
    if not values:
        return {}
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {f"{name}_ms_p50": f"{p50:.1f}", f"{name}_ms_p95": f"{p95:.1f}", f"{name}_ms_p99": f"{p99:.1f}"}
