"""Charts of more than one pass: the training, other settings, and another model."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from desert_seg_train.benchmark.chart import Chart, Theme, bare
from desert_seg_train.benchmark.training_log import TrainingLog
from desert_seg_train.evaluate.comparison import Interval
from desert_seg_train.evaluate.results import Results
from desert_seg_train.evaluate.wording import between_signed, score, signed

_PANELS = (
    ("loss", (("loss", "training"), ("val_loss", "validation"))),
    ("validation mIoU", (("val_miou", "validation"),)),
    ("learning\nrate", (("learning_rate", "learning rate"),)),
)

_SMALL_DIFFERENCE = 0.005


def training_chart(log: TrainingLog) -> Chart:
    """The curves of a training, those that its log has."""
    panels = [(label, [(column, name) for column, name in curves if log.has(column)]) for label, curves in _PANELS]
    panels = [(label, curves) for label, curves in panels if curves]
    epochs = log.columns["epoch"]

    def draw(figure: Figure, theme: Theme) -> None:
        colors = {"training": theme.first, "validation": theme.second, "learning rate": theme.soft}
        ratios = [1 if "rate" in label else 2.4 for label, _ in panels]
        plots = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
        for axes, (label, curves) in zip(plots, panels, strict=True):
            for column, name in curves:
                axes.plot(epochs, log.columns[column], color=colors[name], label=name, linewidth=1.6)
            axes.set_ylabel(label)
            if len(curves) > 1:
                axes.legend()
            if label == "validation mIoU":
                _mark_best(axes, log, theme)
            axes.locator_params(axis="y", nbins=3 if "rate" in label else 6)
            axes.set_ylim(0, None)
            bare(axes, theme, "both")
        plots[-1].set_xlabel("epoch")
        plots[-1].xaxis.get_major_locator().set_params(integer=True)

    loss = log.columns["loss"]
    alt = f"Training curves over {len(epochs)} epochs: the loss goes from {loss[0]:.2f} to {loss[-1]:.2f}"
    if log.has("val_miou"):
        alt += f", the best validation mIoU is {score(float(np.nanmax(log.columns['val_miou'])))}"
    return Chart("training_curves", "Training", alt, 1.0 + 1.5 * len(panels), draw)


def _mark_best(axes: Axes, log: TrainingLog, theme: Theme) -> None:
    values = log.columns["val_miou"]
    best = int(np.nanargmax(values))
    epoch, value = log.columns["epoch"][best], float(values[best])
    axes.plot(epoch, value, "o", color=theme.second, markersize=5)
    axes.annotate(score(value), (epoch, value), (0, -14), textcoords="offset points", ha="center", color=theme.second)


def settings_chart(results: Results) -> Chart:
    """What each setting gains over the first, and what it costs."""
    passes = results.passes
    costs = [f"{each.cost(passes[0]):.1f} times the time" for each in passes[1:]]
    rows = [(each.setting.name, gain.miou) for each, gain in zip(passes[1:], results.gains, strict=True)]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _differences(axes, rows, theme, costs)
        axes.set_xlabel(f"mIoU above that of {passes[0].setting.name} (line: 95 % interval)")

    words = "; ".join(f"{name} {signed(gain.value)} for {cost}" for (name, gain), cost in zip(rows, costs, strict=True))
    return Chart(
        "settings", "Gain and cost of the settings", f"Chart of settings: {words}", 1.2 + 0.55 * len(rows), draw
    )


def comparison_chart(results: Results) -> Chart:
    """Differences to the earlier run, class by class."""
    assert results.comparison is not None
    comparison, names = results.comparison, results.labels.names
    rows = [("mIoU", comparison.miou), *zip(names, comparison.classes, strict=True)]
    rows = [(name, interval) for name, interval in rows if not np.isnan(interval.value)]
    other = results.earlier_name

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _differences(axes, rows, theme, [""] * len(rows))
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_xlabel(f"IoU above that of {other} (line: 95 % interval)")

    alt = f"Differences to {other}: mIoU {signed(comparison.miou.value)}, 95 % {between_signed(comparison.miou)}"
    return Chart("comparison", f"Against {other}", alt, 1.1 + 0.33 * len(rows), draw)


def _differences(axes: Axes, rows: Sequence[tuple[str, Interval]], theme: Theme, remarks: Sequence[str]) -> None:
    """A row for each difference: name, value, interval and a remark, in the colour of its verdict."""
    colors = {"better": theme.good, "worse": theme.bad, "no difference shown": theme.soft}
    axes.axvline(0, color=theme.soft, linewidth=1, linestyle=(0, (4, 3)))
    for place, ((_, interval), remark) in enumerate(zip(rows, remarks, strict=True)):
        color = colors[interval.verdict]
        axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=2.2)
        axes.plot(interval.value, place, "o", color=color, markersize=6)
        text = "\n".join(filter(None, [signed(interval.value), remark]))
        axes.annotate(
            text,
            (interval.high, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=9,
            bbox={"facecolor": theme.card, "edgecolor": "none", "pad": 1, "alpha": 0.85},
        )
    low, high = min(each.low for _, each in rows), max(each.high for _, each in rows)
    # Wide enough that a negligible difference looks small, with room for the text on the right.
    low, high = min(low, -_SMALL_DIFFERENCE), max(high, _SMALL_DIFFERENCE)
    axes.set_xlim(low - 0.06 * (high - low), high + 0.35 * (high - low))
    axes.set_yticks(range(len(rows)), [fill(name, 18) for name, _ in rows], color=theme.ink)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=5)
    bare(axes, theme, "x")
