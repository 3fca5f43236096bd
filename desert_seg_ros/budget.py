"""Keeps a latency budget: less effort per frame while the 95th percentile exceeds it, more again when there is room.

Views go first, then input resolution. Effort is raised only if the predicted latency stays well inside the budget, and
not soon after a change, so that it does not oscillate. Knows nothing of ROS.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from desert_seg.views import view_set

WINDOW = 20
"""Number of latencies that a decision is based on."""

ENOUGH = 8
"""Number of latencies that suffices to see that the budget is exceeded."""

ROOM = 0.8
"""Share of the budget that the predicted latency of more effort must stay below."""

CALM_S = 3.0
"""Time after a change in which effort is not raised."""

_FEWER_VIEWS = {"full": ("flip", "none"), "scales": ("none",), "flip": ("none",), "none": ()}
_SCALES = (0.75, 0.5)


@dataclass(frozen=True)
class Effort:
    """The work done for a frame: a view set, and the network's input size relative to that of the parameter `speed`."""

    views: str
    scale: float = 1.0

    @property
    def cost(self) -> float:
        """Pixels that go through the network, relative to one plain view at full size."""
        return self.scale**2 * sum(view.scale**2 for view in view_set(self.views))

    def __str__(self) -> str:
        return f"tta {self.views} at {self.scale:g} of the input size"


def efforts(views: str) -> tuple[Effort, ...]:
    """Efforts from the full one to the least."""
    fewer = (Effort(each) for each in (views, *_FEWER_VIEWS[views]))
    return (*fewer, *(Effort("none", scale) for scale in _SCALES))


class LatencyBudget:
    """Chooses the effort of the next frame by the latencies of those before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full effort; `clock` gives seconds."""
        self._clock = clock
        self._latencies_ms: deque[float] = deque(maxlen=WINDOW)
        self._level = 0
        self._changed = clock()

    def effort(self, views: str, budget_ms: float) -> Effort:
        """The effort for the next frame.

        Args:
            views: The requested view set.
            budget_ms: Latency that 95 % of the frames are to stay below; 0 = no budget, full effort.
        """
        ladder = efforts(views)
        if not budget_ms:
            self._move(0)
            return ladder[0]
        level = min(self._level, len(ladder) - 1)
        if len(self._latencies_ms) >= ENOUGH:
            p95 = float(np.percentile(self._latencies_ms, 95))
            if p95 > budget_ms:
                level = min(level + 1, len(ladder) - 1)
            elif level and len(self._latencies_ms) == WINDOW and self._clock() - self._changed > CALM_S:
                predicted = p95 * ladder[level - 1].cost / ladder[level].cost
                level -= predicted < ROOM * budget_ms
        self._move(level)
        return ladder[level]

    def observe(self, latency_ms: float) -> None:
        """Report the latency of a frame done with the effort chosen last."""
        self._latencies_ms.append(latency_ms)

    def _move(self, level: int) -> None:
        if level != self._level:
            self._level, self._changed = level, self._clock()
            self._latencies_ms.clear()
