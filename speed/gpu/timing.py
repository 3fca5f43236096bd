"""Times a task. Knows nothing of what it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

GROUPS = 5

FEW_GROUPS = 3
"""When there is no time."""


def milliseconds(task: Callable[[], object], seconds: float) -> tuple[float, ...]:
    """Run a task for about so long, after once more, which is often slow.

    Args:
        task: Whatever it does is done when it returns.
        seconds: 0 = three times.

    Returns:
        The medians of groups of runs, one after another.
    """
    task()
    groups = GROUPS if seconds else FEW_GROUPS
    return tuple(_median_of_a_group(task, seconds / groups) for _ in range(groups))


def _median_of_a_group(task: Callable[[], object], seconds: float) -> float:
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        task()
        taken.append((time.perf_counter() - began) * 1e3)
    return median(taken)
