"""Measured figures, their reliability, and whether they meet their bars. Knows nothing of how they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_SPREAD = 0.15
"""Interquartile range over median above which values are too scattered for one number."""

MIN_VALUES = 3
"""Fewer values do not support one number either."""

MET, MISSED, NOT_SHOWN = "met", "missed", "not shown"


@dataclass(frozen=True)
class Bar:
    """A limit: at most, or at least, this value."""

    value: float
    at_most: bool = True

    def holds(self, value: float) -> bool:
        """Whether a value is on the right side of the bar, or equal to it."""
        return value <= self.value if self.at_most else value >= self.value

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.value:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        section: Its heading in the table.
        name: Its name, unique within the section.
        values: One for each part of the run.
        unit: Empty for a ratio.
        once: A run has a single value, such as a count or a statistic of many frames, which is shown as it is.
        bar: Its bar, if any.
    """

    section: str
    name: str
    values: tuple[float, ...]
    unit: str = ""
    once: bool = False
    bar: Bar | None = None

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """First quartile, median, third quartile; linear between values."""
        low, middle, high = np.percentile(self.values, [25, 50, 75])
        return float(low), float(middle), float(high)

    @property
    def is_shown(self) -> bool:
        """Whether the values support one number."""
        low, middle, high = self.quartiles
        return self.once or (len(self.values) >= MIN_VALUES and high - low <= MAX_SPREAD * abs(middle))

    @property
    def verdict(self) -> str:
        """`MET`, `MISSED` or `NOT_SHOWN`; empty without a bar."""
        if self.bar is None:
            return ""
        if not self.is_shown:
            return NOT_SHOWN
        return MET if self.bar.holds(self.quartiles[1]) else MISSED

    @property
    def fails(self) -> bool:
        """Whether its bar is missed, or not shown to hold."""
        return self.verdict in (MISSED, NOT_SHOWN)

    def cells(self) -> tuple[str, str, str, str, str]:
        """Its row: name, value or the reason for its absence, quartiles, bar, verdict."""
        low, middle, high = (_number(value, self.unit) for value in self.quartiles)
        value = f"{middle} {self.unit}".rstrip()
        if not self.is_shown:
            value = "scatters" if len(self.values) >= MIN_VALUES else f"{len(self.values)} of {MIN_VALUES} values"
        return self.name, value, "" if self.once else f"{low}..{high}", str(self.bar or ""), self.verdict


def ratio(section: str, name: str, above: Sequence[float], below: Sequence[float]) -> Figure:
    """Ratios of paired values: whatever slows down a part of the run affects both."""
    return Figure(section, name, tuple(a / b for a, b in zip(above, below, strict=True)))


def _number(value: float, unit: str) -> str:
    if unit in ("bytes", "frames"):
        return f"{value:,.0f}"
    return f"{value:.3f}" if unit in ("", "%") else f"{value:.3g}" if value < 100 else f"{value:.0f}"
