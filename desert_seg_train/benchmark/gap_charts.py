"""Charts of the gap between the data a model was trained on and the data it is evaluated on."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from desert_seg_train.benchmark.chart import Chart, Theme, bare, rgb
from desert_seg_train.inspect.image_check import CHANNELS
from desert_seg_train.inspect.page import CURVE_BINS, percent
from desert_seg_train.inspect.report import Report


def class_shares_chart(gap: Report) -> Chart:
    """The share of each class here and in the training data."""
    here, train = gap.folders
    labels, shares = gap.label_map.labels, np.stack([folder.total.shares for folder in gap.folders])

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        for index, color in enumerate(labels.colors):
            for offset, share, alpha in ((-0.2, shares[0, index], 1.0), (0.2, shares[1, index], 0.35)):
                axes.barh(index + offset, share, 0.36, color=(*rgb(color), alpha), edgecolor=theme.soft, linewidth=0.5)
                axes.annotate(
                    percent(float(share)),
                    (share, index + offset),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8.5,
                    color=theme.ink if alpha == 1 else theme.soft,
                )
        axes.set_yticks(range(len(labels)), labels.names, color=theme.ink)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.margins(x=0.13)
        axes.xaxis.set_visible(False)
        axes.set_title(f"full: {here.name}, pale: {train.name}", fontsize=9, color=theme.soft, loc="left")
        bare(axes, theme)

    words = ", ".join(
        f"{name} {percent(one)} and {percent(other)}"
        for name, one, other in zip(labels.names, *shares.tolist(), strict=True)
    )
    alt = f"Shares of the pixels in {here.name} and in {train.name}: {words}"
    return Chart("class_shares", "Shares of the classes", alt, 0.8 + 0.42 * len(labels), draw)


def colours_chart(gap: Report) -> Chart:
    """Histograms of red, green, blue and brightness here and in the training data."""
    here, train = gap.folders
    curves = np.stack([folder.total.distributions for folder in gap.folders])
    curves = curves.reshape(2, len(CHANNELS), CURVE_BINS, -1).sum(3)
    means = np.stack([folder.total.means for folder in gap.folders])

    def draw(figure: Figure, theme: Theme) -> None:
        plots = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
        levels = (np.arange(CURVE_BINS) + 0.5) * 256 / CURVE_BINS
        for number, (axes, channel) in enumerate(zip(plots, CHANNELS, strict=True)):
            for folder, color, curve, mean in zip(
                gap.folders, (theme.first, theme.second), curves[:, number], means[:, number], strict=True
            ):
                axes.fill_between(levels, curve, color=color, alpha=0.15, linewidth=0)
                axes.plot(levels, curve, color=color, linewidth=1.4, label=folder.name)
                axes.axvline(mean, color=color, linewidth=1, linestyle=(0, (2, 2)))
            both = " and ".join(f"{mean:.0f}" for mean in means[:, number])
            axes.set_title(f"{channel}, means {both}", fontsize=9, loc="left", color=theme.ink)
            axes.set_xticks([0, 128, 255])
            axes.set_yticks([])
            bare(axes, theme)
        # An overexposed sky is a spike at the end that would flatten everything else.
        plots[0].set_ylim(0, 1.08 * float(curves[..., 1:-1].max()))
        figure.legend(*plots[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)

    shifts = ", ".join(
        f"{channel} {one:.0f} and {other:.0f}" for channel, one, other in zip(CHANNELS, *means.tolist(), strict=True)
    )
    alt = f"Histograms of colours in {here.name} and {train.name}; means: {shifts}"
    return Chart("colours", "Colours (dashed: means)", alt, 3.7, draw)
