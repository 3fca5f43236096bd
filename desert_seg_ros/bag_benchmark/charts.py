"""Charts as SVG text, small enough to embed: they take their colours from the page's style and need no library.

Every chart is `WIDTH` units wide and is scaled to the space it has. Knows nothing of results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 380, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 16, 22, 30
_MOST_DOTS = 600
_BINS_OVER_TIME = 120
_HISTOGRAM_BINS = 36
_ROW = 38
_LETTER = 5.6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high` with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, low: float, high: float, num_ticks: int = 5) -> Axis:
        """An axis from the round value below `low` to the one above `high`."""
        if not high > low:
            high = low + (abs(low) or 1.0)
        rough = (high - low) / num_ticks
        unit = 10.0 ** math.floor(math.log10(rough))
        step = unit * next(each for each in (1, 2, 5, 10) if each * unit >= rough * 0.999)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(round(index * step, 10) for index in range(first, last + 1))
        return cls(ticks[0], ticks[-1], ticks)


@dataclass
class _Plot:
    """A frame with two axes; what is drawn in it is collected as SVG elements."""

    x: Axis
    y: Axis
    title: str
    elements: list[str] = field(default_factory=list)

    def px(self, value: float) -> float:
        return _LEFT + (value - self.x.low) / (self.x.high - self.x.low) * (WIDTH - _LEFT - _RIGHT)

    def py(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.y.low) / (self.y.high - self.y.low) * (HEIGHT - _TOP - _BOTTOM)

    def path(self, points: Sequence[tuple[float, float]], kind: str, closed: bool = False) -> None:
        text = " L".join(f"{self.px(x):.1f} {self.py(y):.1f}" for x, y in points)
        self.elements.append(f'<path class="{kind}" d="M{text}{" Z" if closed else ""}"/>')

    def line_at(self, value: float, label: str) -> None:
        """A horizontal line through the plot with a label at its right end."""
        y = self.py(value)
        self.elements.append(f'<path class="mark" d="M{_LEFT} {y:.1f} H{WIDTH - _RIGHT}"/>')
        self.elements.append(_text(WIDTH - _RIGHT - 2, y - 3, label, "end", "marked"))

    def svg(self, x_label: str, y_label: str) -> str:
        bottom = HEIGHT - _BOTTOM
        frame = []
        for tick in self.y.ticks:
            frame.append(f'<path class="grid" d="M{_LEFT} {self.py(tick):.1f} H{WIDTH - _RIGHT}"/>')
            frame.append(_text(_LEFT - 5, self.py(tick) + 3.5, f"{tick:g}", "end"))
        for tick in self.x.ticks:
            frame.append(_text(self.px(tick), bottom + 13, f"{tick:g}", "middle"))
        frame.append(_text(WIDTH - _RIGHT, HEIGHT - 5, x_label, "end"))
        frame.append(_text(2, 9, y_label, "start"))
        return _svg(self.title, HEIGHT, [*frame, *self.elements])


def over_time(
    seconds: Floats, values: Floats, y_label: str, title: str, marks: Sequence[tuple[float, str]] = ()
) -> str:
    """Values over time as dots, or as their range and median if there are too many.

    Args:
        seconds: N moments.
        values: N values.
        y_label: Name of the values, with the unit.
        title: Accessible title of the chart.
        marks: Values to mark with a line, and their names.
    """
    ceiling = max([float(values.max()), *(value for value, _ in marks)])
    plot = _Plot(Axis.over(0, float(seconds.max()), 6), Axis.over(0, ceiling, 4), title)
    if len(values) <= _MOST_DOTS:
        dots = (
            f'<circle cx="{plot.px(x):.1f}" cy="{plot.py(y):.1f}" r="1.8"/>'
            for x, y in zip(seconds, values, strict=True)
        )
        plot.elements.append(f'<g class="dots">{"".join(dots)}</g>')
    else:
        _draw_range(plot, seconds, values)
    for value, label in marks:
        plot.line_at(value, label)
    return plot.svg("seconds", y_label)


def line(seconds: Floats, values: Floats, y_label: str, title: str) -> str:
    """One line over time, or the range and median of too many values; N moments and N values."""
    plot = _Plot(Axis.over(0, float(seconds.max()), 6), Axis.over(0, float(values.max()), 4), title)
    if len(values) <= _BINS_OVER_TIME:
        plot.path(list(zip(seconds.tolist(), values.tolist(), strict=True)), "line")
    else:
        _draw_range(plot, seconds, values)
    return plot.svg("seconds", y_label)


def histogram(values: Floats, x_label: str, title: str, marks: Sequence[tuple[float, str]] = ()) -> str:
    """Histogram with `_HISTOGRAM_BINS` equal bins from the smallest to the largest value."""
    axis = Axis.over(float(values.min()), float(values.max()), 6)
    counts, edges = np.histogram(values, _HISTOGRAM_BINS, (axis.low, axis.high))
    plot = _Plot(axis, Axis.over(0, float(counts.max()), 4), title)
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            x, y = plot.px(left), plot.py(count)
            plot.elements.append(
                f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{plot.px(right) - x - 0.8:.1f}" '
                f'height="{HEIGHT - _BOTTOM - y:.1f}"/>'
            )
    taken = -math.inf
    for value, label in marks:
        x = plot.px(value)
        plot.elements.append(f'<path class="mark" d="M{x:.1f} {_TOP} V{HEIGHT - _BOTTOM}"/>')
        if x - taken > _LETTER * (len(label) + 1):
            end = x + _LETTER * len(label) > WIDTH - _RIGHT
            plot.elements.append(_text(x + (-3 if end else 3), _TOP + 8, label, "end" if end else "start", "marked"))
            taken = x
    return plot.svg(x_label, "masks")


@dataclass(frozen=True)
class RangeRow:
    """One row of a chart of ranges: a thin line over `whole`, a thick one over `middle`, a mark at `point`."""

    label: str
    whole: tuple[float, float]
    middle: tuple[float, float]
    point: float


def ranges(rows: Sequence[RangeRow], x_label: str, title: str) -> str:
    """Ranges of several runs, one below the other, on one scale."""
    axis = Axis.over(0, max(row.whole[1] for row in rows), 6)
    place = _horizontal(axis)
    bottom = len(rows) * _ROW + 8
    elements = [f'<path class="grid" d="M{place(tick):.1f} 8 V{bottom}"/>' for tick in axis.ticks]
    for index, row in enumerate(rows):
        y = index * _ROW + 26
        elements += [
            _text(2, y - 9, row.label, "start", "label"),
            f'<path class="thin" d="M{place(row.whole[0]):.1f} {y} H{place(row.whole[1]):.1f}"/>',
            f'<path class="thick" d="M{place(row.middle[0]):.1f} {y} H{place(row.middle[1]):.1f}"/>',
            f'<circle class="point" cx="{place(row.point):.1f}" cy="{y}" r="4"/>',
            _text(WIDTH - 2, y - 9, f"{row.point:.0f} · {row.middle[1]:.0f} · {row.whole[1]:.0f}", "end"),
        ]
    elements += [_text(place(tick), bottom + 13, f"{tick:g}", "middle") for tick in axis.ticks]
    elements.append(_text(WIDTH - 2, bottom + 26, x_label, "end"))
    return _svg(title, bottom + 32, elements)


@dataclass(frozen=True)
class StackedRow:
    """One stacked bar: the sizes of its parts in the order of the chart's kinds, and a text at the end."""

    label: str
    sizes: Sequence[float]
    text: str


def stacked(rows: Sequence[StackedRow], title: str) -> str:
    """Stacked bars one below the other, each as wide as the chart; kinds are styled `part0`, `part1`, ..."""
    elements = []
    for index, row in enumerate(rows):
        y, left, total = index * _ROW + 20, 2.0, sum(row.sizes) or 1.0
        elements += [_text(2, y - 5, row.label, "start", "label"), _text(WIDTH - 2, y - 5, row.text, "end")]
        for kind, size in enumerate(row.sizes):
            width = size / total * (WIDTH - 4)
            if size:
                elements.append(f'<rect class="part{kind}" x="{left:.1f}" y="{y}" width="{width:.1f}" height="11"/>')
            left += width
    return _svg(title, len(rows) * _ROW + 4, elements)


def _draw_range(plot: _Plot, seconds: Floats, values: Floats) -> None:
    """The smallest, the median and the largest value of every stretch of time."""
    bins = np.minimum((seconds / (seconds.max() or 1.0) * _BINS_OVER_TIME).astype(int), _BINS_OVER_TIME - 1)
    used = np.unique(bins)
    groups = [values[bins == each] for each in used]
    middles = ((used + 0.5) / _BINS_OVER_TIME * seconds.max()).tolist()
    low, high = [float(group.min()) for group in groups], [float(group.max()) for group in groups]
    outline = [*zip(middles, high, strict=True), *zip(reversed(middles), reversed(low), strict=True)]
    plot.path(outline, "band", closed=True)
    plot.path(list(zip(middles, [float(np.median(group)) for group in groups], strict=True)), "line")


def _horizontal(axis: Axis) -> Callable[[float], float]:
    """Maps values to positions on a scale as wide as the chart."""
    return lambda value: 8 + (value - axis.low) / (axis.high - axis.low) * (WIDTH - 22)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, elements: Sequence[str]) -> str:
    name = escape(title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">{"".join(elements)}</svg>'
