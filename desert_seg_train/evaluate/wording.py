"""Numbers as people read them, in the terminal, the summary and the page alike."""

from __future__ import annotations

import math

from desert_seg_train.evaluate.comparison import Interval

EN_DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def score(value: float) -> str:
    """A number from 0 to 1, or a dash where there is none."""
    return EN_DASH if math.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """A difference, with its sign."""
    if math.isnan(value):
        return EN_DASH
    return f"{value:+.3f}".replace("-", MINUS) if abs(value) >= 0.0005 else "0.000"


def between(interval: Interval) -> str:
    """The 95 % interval of a number."""
    return f"{score(interval.low)}{EN_DASH}{score(interval.high)}"


def between_signed(interval: Interval) -> str:
    """The 95 % interval of a difference."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def counted(number: int, thing: str) -> str:
    """A count with its noun, in the singular or plural."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def size_of_file(num_bytes: int) -> str:
    """A file's size, in the unit that leaves digits to read."""
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.1f} kB"


def listed(names: tuple[str, ...] | list[str]) -> str:
    """Names as a list in prose, the last after "and"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
