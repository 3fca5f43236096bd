"""Charts of one pass: class scores, confusions, scores by image region, and calibration.

Shape letters: K classes, B bands.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from desert_seg.scoring import FREQUENT_SHARE
from desert_seg_train.benchmark.chart import Chart, Theme, bare, rgb
from desert_seg_train.evaluate.measurement import NUM_BANDS
from desert_seg_train.evaluate.reliability import NUM_BINS
from desert_seg_train.evaluate.results import Results
from desert_seg_train.evaluate.wording import EN_DASH, score


def class_iou_chart(results: Results) -> Chart:
    """IoU of every class with its interval, and boundary IoU."""
    labels, scores = results.labels, results.scores
    absent = results.headline.absent

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        for index, color in enumerate(labels.colors):
            if index in absent:
                axes.text(0.01, index, "not in the truth", va="center", color=theme.soft, fontsize=9)
                continue
            interval = results.intervals.classes[index]
            axes.barh(index, interval.value, 0.62, color=rgb(color), edgecolor=theme.soft, linewidth=0.5)
            axes.plot([interval.low, interval.high], [index, index], color=theme.ink, linewidth=1.2)
            boundary = float(results.headline.boundary.iou[index])
            axes.plot(boundary, index, "D", color=theme.card, markeredgecolor=theme.ink, markersize=4.5, zorder=3)
            axes.text(max(interval.high, boundary) + 0.015, index, score(interval.value), va="center")
        axes.axvline(scores.miou_present, color=theme.first, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.text(
            scores.miou_present,
            -0.75,
            f"mean {score(scores.miou_present)}",
            color=theme.first,
            ha="center",
            va="bottom",
        )
        axes.set_yticks(range(len(labels)), labels.names, color=theme.ink, fontsize=9)
        axes.set_ylim(len(labels) - 0.4, -0.8)
        axes.set_xlim(0, 1.13)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.set_xlabel("IoU (line: 95 % interval, diamond: boundary IoU)")
        bare(axes, theme, "x")

    words = ", ".join(
        f"{name} {score(iou)}"
        for index, (name, iou) in enumerate(zip(labels.names, scores.iou, strict=True))
        if index not in absent
    )
    return Chart(
        "class_iou", "IoU of each class", f"Bar chart of the IoU of each class: {words}", 2.0 + 0.33 * len(labels), draw
    )


def confusion_chart(results: Results) -> Chart:
    """Confusion matrix, normalised by true class."""
    counts, names = results.headline.total, results.labels.names
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(1, keepdims=True)
    columns = [*names, "unknown"] if counts[:, -1].any() else list(names)

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        _heat(axes, shares[:, : len(columns)], theme, lambda share: "" if share < 0.005 else f"{100 * share:.0f}")
        axes.set_xticks(range(len(columns)), columns, rotation=40, ha="left", rotation_mode="anchor", color=theme.ink)
        axes.set_yticks(range(len(names)), names, color=theme.ink)
        axes.xaxis.tick_top()
        axes.set_ylabel("truth")
        axes.set_xlabel("predicted, % of the true class")
        bare(axes, theme)

    alt = f"Matrix of true and predicted classes. {' '.join(confusions_in_words(results))}"
    return Chart("confusion_matrix", "What each class is taken for", alt, 2.0 + 0.33 * len(names), draw)


def confusions_in_words(results: Results, number: int = 3) -> list[str]:
    """The largest confusions of one class with another, as sentences."""
    counts, names = results.headline.total, results.labels.names
    found = []
    for truth, row in enumerate(counts[:, : len(names)]):
        for guess, pixels in enumerate(row):
            if guess != truth and pixels and row.sum() >= FREQUENT_SHARE * counts.sum():
                found.append((pixels / row.sum(), names[truth], names[guess]))
    return [
        f"{100 * share:.0f} % of {truth} is taken for {guess}."
        for share, truth, guess in sorted(found)[: -number - 1 : -1]
    ]


def band_chart(results: Results) -> Chart:
    """IoU in horizontal bands of the image."""
    scores = results.headline.band_scores
    iou, share = np.array([each.iou for each in scores]), np.array([each.share for each in scores])
    iou[~(share >= FREQUENT_SHARE)] = np.nan
    mean = np.array([each.miou_frequent for each in scores])
    columns = ["mean", *results.labels.names]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        values = np.column_stack([mean, iou])
        _heat(axes, values, theme, lambda value: "1" if value > 0.995 else f"{value:.2f}".lstrip("0"))
        axes.axvline(0.5, color=theme.card, linewidth=7)
        axes.set_xticks(range(len(columns)), columns, rotation=40, ha="left", rotation_mode="anchor", color=theme.ink)
        edges = [
            f"{100 * band / NUM_BANDS:.0f}{EN_DASH}{100 * (band + 1) / NUM_BANDS:.0f} %" for band in range(NUM_BANDS)
        ]
        axes.set_yticks(range(NUM_BANDS), edges)
        axes.xaxis.tick_top()
        axes.set_ylabel("from the top of the image to its bottom")
        axes.set_xlabel("IoU; empty where a class has less than 0.1 % of the band")
        bare(axes, theme)

    words = ", ".join(score(value) for value in mean)
    alt = f"Table of IoU by horizontal band of the image. Mean from the topmost to the lowest band: {words}"
    return Chart("iou_by_band", "IoU by height in the image", alt, 4.3, draw)


def reliability_chart(results: Results) -> Chart:
    """Accuracy over confidence, and the number of pixels at each."""
    reliability = results.headline.reliability
    bins = reliability.bins()

    def draw(figure: Figure, theme: Theme) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        filled = bins.pixels > 0
        confidence, accuracy = bins.confidence[filled], bins.accuracy[filled]
        upper.plot([0, 1], [0, 1], color=theme.soft, linewidth=1, linestyle=(0, (4, 3)))
        on_diagonal = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
        upper.text(0.1, 0.12, "as sure as right", color=theme.soft, fontsize=9, **on_diagonal)
        upper.fill_between(confidence, confidence, accuracy, color=theme.first, alpha=0.18, linewidth=0)
        upper.plot(confidence, accuracy, "o-", color=theme.first, markersize=4, linewidth=1.6)
        upper.set_ylabel("share that is right")
        upper.set_ylim(0, 1.02)
        upper.set_xlim(0, 1.01)
        lower.bar(
            (np.arange(NUM_BINS) + 0.5) / NUM_BINS, bins.pixels / bins.pixels.sum(), 0.9 / NUM_BINS, color=theme.soft
        )
        lower.set_ylabel("pixels")
        lower.set_xlabel("confidence")
        lower.yaxis.set_major_formatter(PercentFormatter(1, 0))
        lower.set_ylim(0, None)
        lower.locator_params(axis="y", nbins=3)
        upper.text(0.99, 0.05, f"ECE {score(reliability.ece)}", ha="right", fontsize=10, fontweight="bold")
        for axes in (upper, lower):
            bare(axes, theme, "both")

    alt = (
        f"Reliability diagram: expected calibration error {score(reliability.ece)}, mean confidence "
        f"{score(reliability.mean_confidence)}, accuracy {score(results.scores.pixel_accuracy)}"
    )
    return Chart("reliability", "How sure, and how often right", alt, 4.0, draw)


def risk_chart(results: Results) -> Chart:
    """Error rate of the pixels that are kept when the least confident ones are dropped first."""
    reliability = results.headline.reliability
    coverage, risk = reliability.risk_coverage()

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        drawn = coverage > 0
        axes.plot(coverage[drawn], risk[drawn], color=theme.first, linewidth=1.6)
        axes.fill_between(coverage[drawn], risk[drawn], color=theme.first, alpha=0.18, linewidth=0)
        axes.axhline(risk[-1], color=theme.soft, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(0.01, risk[-1], "all pixels", color=theme.soft, fontsize=9, va="bottom")
        axes.set_xlabel("share of the pixels that is kept, the surest first")
        axes.set_ylabel("share of these that is wrong")
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.15 * risk[-1])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, 0))
        bare(axes, theme, "both")

    at_90 = float(np.interp(0.9, coverage, risk))
    alt = f"Risk over coverage: {100 * risk[-1]:.1f} % of all pixels are wrong, {100 * at_90:.1f} % of the surest 90 %"
    return Chart("risk", "What giving up the unsure pixels buys", alt, 3.4, draw)


def _heat(axes: Axes, values: npt.NDArray[np.float64], theme: Theme, text: Callable[[float], str]) -> None:
    """Draw a heat map of values in 0..1, darker = higher; NaN stays empty."""
    ramp = LinearSegmentedColormap.from_list("ramp", [to_rgba(theme.first, 0.03), to_rgba(theme.first, 0.62)])
    axes.imshow(values, cmap=ramp, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(column, row, text(value), ha="center", va="center", fontsize=9)
    axes.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(values.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.card, linewidth=1.5)
    axes.tick_params(which="minor", length=0)
