"""How fast and for how long the frames of a drive are published. Knows nothing of ROS, of frames or of clocks.

An open-loop pace keeps to a timetable whatever comes back, as a camera does. A closed-loop pace waits for masks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from desert_seg.errors import DesertSegError

_MULTIPLE = re.compile(r"(\d+(?:\.\d+)?)x-sustainable")
_STILL_PERIOD_S = 0.1
"""Time between two passes over a drive of one frame, which has no rate of its own."""


@dataclass(frozen=True)
class Recorded:
    """As recorded; `factor` 2 is twice as fast."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.factor < math.inf:
            raise DesertSegError(f"found a rate of {self.factor}, expected a positive factor; 1 is the recorded pace")

    @property
    def name(self) -> str:
        """For tables and file names."""
        return "recorded"


@dataclass(frozen=True)
class Fixed:
    """`hz` frames per second; `title` replaces its usual name."""

    hz: float
    title: str = ""

    @property
    def name(self) -> str:
        """For tables and file names."""
        return self.title or f"{self.hz:g}fps"


@dataclass(frozen=True)
class Lockstep:
    """The next frame is published when at most `window` - 1 have no mask yet.

    With 1, a frame is published when the mask of the one before has arrived. With 2, one frame waits in the node while
    another is processed, so that the node is always busy and drops none: this is the highest rate it can sustain.
    """

    window: int = 1

    @property
    def name(self) -> str:
        """For tables and file names."""
        return "lockstep" if self.window == 1 else "sustainable"


@dataclass(frozen=True)
class Multiple:
    """A multiple of the rate the node can sustain, which has to be measured first."""

    factor: float

    def of(self, sustainable_hz: float) -> Fixed:
        """The pace, once that rate is known."""
        return Fixed(self.factor * sustainable_hz, f"{self.factor:g}x-sustainable")


Pace = Recorded | Fixed | Lockstep


@dataclass(frozen=True)
class Length:
    """How long a run is: `loops` passes over the drive, or `seconds` if given, with as many passes as they take."""

    loops: int = 1
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.loops < 1:
            raise DesertSegError(f"found {self.loops} loops, expected 1 or more")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise DesertSegError(f"found a run of {self.seconds} seconds, expected a positive number")

    def num_frames(self, pace: Pace, frames_per_pass: int) -> int | None:
        """How many frames a run will publish; None if that depends on time."""
        if self.seconds is None:
            return self.loops * frames_per_pass
        return math.ceil(self.seconds * pace.hz) if isinstance(pace, Fixed) else None


def parse_pace(word: str) -> Pace | Multiple:
    """Parse a pace: `recorded`, `lockstep`, frames per second, or a multiple such as `2x-sustainable`.

    Raises:
        DesertSegError: It is none of these.
    """
    if word in ("recorded", "lockstep"):
        return Recorded() if word == "recorded" else Lockstep()
    if match := _MULTIPLE.fullmatch(word):
        factor = float(match[1])
        if factor > 0:
            return Multiple(factor)
    try:
        hz = float(word)
    except ValueError:
        hz = math.nan
    if not 0 < hz < math.inf:
        raise DesertSegError(
            f"found rate {word!r}, expected recorded, lockstep, frames per second, or a multiple such as 2x-sustainable"
        )
    return Fixed(hz)


class Timed(Protocol):
    """Anything that was recorded at a time, in nanoseconds."""

    @property
    def recorded_ns(self) -> int:
        """When it was recorded."""


TimedT = TypeVar("TimedT", bound=Timed)


def schedule(read: Callable[[], Iterable[TimedT]], pace: Pace, length: Length) -> Iterator[tuple[float | None, TimedT]]:
    """Frames and when they are due.

    Args:
        read: Yields the frames of one pass, at least one.
        pace: How fast.
        length: When to stop. `seconds` does not end the schedule of a closed-loop pace, whose time only the caller
            knows.

    Yields:
        Seconds after the first frame, or None if the frame is due when the pace's window allows it; and the frame.
    """
    pass_begin, num_passes, index = 0.0, 0, 0
    while length.seconds is not None or num_passes < length.loops:
        first_ns, due, count = 0, pass_begin, 0
        for frame in read():
            first_ns = first_ns if count else frame.recorded_ns
            if isinstance(pace, Fixed):
                due = index / pace.hz
            elif isinstance(pace, Recorded):
                due = pass_begin + (frame.recorded_ns - first_ns) / 1e9 / pace.factor
            if length.seconds is not None and not isinstance(pace, Lockstep) and due >= length.seconds:
                return
            yield None if isinstance(pace, Lockstep) else due, frame
            count, index = count + 1, index + 1
        pass_begin = due + ((due - pass_begin) / (count - 1) if count > 1 else _STILL_PERIOD_S)
        num_passes += 1
