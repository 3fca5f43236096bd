"""Charts and their style, in a light and a dark theme. Knows nothing of their content.

A chart is drawn several times, as PNG for `figures/` and as SVG in a light and a dark theme for the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH_INCHES = 5.1
"""Width of every chart, so that text has the same size everywhere and is legible on a phone."""

PNG_DPI = 180


@dataclass(frozen=True)
class Theme:
    """Colours that are not those of classes.

    Attributes:
        paper: Background; `none` is transparent.
        card: The page's colour behind a transparent background.
        ink: Text.
        soft: Axes, secondary text.
        grid: Lines behind the data.
        first: The evaluated model, or its data.
        second: What it is compared with.
        good: Better.
        bad: Worse.
    """

    paper: str
    card: str
    ink: str
    soft: str
    grid: str
    first: str
    second: str
    good: str
    bad: str


_LIGHT = ("#ffffff", "#221f1b", "#6d665d", "#e4ded5", "#a8481f", "#2f6f8f", "#3f7d2a", "#a8481f")
PAPER = Theme("#ffffff", *_LIGHT)
LIGHT = Theme("none", *_LIGHT)
DARK = Theme("none", "#211e1b", "#ece6dd", "#a49b90", "#3d3832", "#e08a5b", "#6fb0d2", "#86c06c", "#e08a5b")


@dataclass(frozen=True)
class Chart:
    """A chart that can be drawn.

    Attributes:
        name: File name without suffix.
        title: Title on the page.
        alt: Its content in words, as alternative text.
        height: Inches.
        draw: Draws it.
    """

    name: str
    title: str
    alt: str
    height: float
    draw: Callable[[Figure, Theme], None]

    def png(self) -> bytes:
        """On white."""
        return self._render(PAPER, "png", title=self.title)

    def svg(self, theme: Theme) -> bytes:
        """With a transparent background, text as outlines, and without its title, which the page has."""
        return self._render(theme, "svg")

    def _render(self, theme: Theme, kind: str, title: str = "") -> bytes:
        with mpl.rc_context(_style(theme)):
            figure = Figure(figsize=(WIDTH_INCHES, self.height), layout="constrained", facecolor=theme.paper)
            if title:
                figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=theme.ink)
            self.draw(figure, theme)
            data = BytesIO()
            metadata = {"Date": None} if kind == "svg" else {}
            figure.savefig(data, format=kind, dpi=PNG_DPI, facecolor=theme.paper, metadata=metadata)
        return data.getvalue()


def bare(axes: Axes, theme: Theme, grid: str = "") -> None:
    """Remove the frame of a plot, and draw grid lines along `grid`: `x`, `y`, `both` or none."""
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    if grid:
        axes.grid(axis=grid, color=theme.grid, linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def rgb(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """A class's colour, 0..255, as charts take it, 0..1."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def _style(theme: Theme) -> dict[Any, Any]:
    return {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "text.color": theme.ink,
        "axes.labelcolor": theme.soft,
        "axes.labelsize": 9,
        "axes.facecolor": "none",
        "xtick.color": theme.soft,
        "ytick.color": theme.soft,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "legend.labelcolor": theme.ink,
        "svg.fonttype": "path",
        "svg.hashsalt": "desert-seg",
    }
