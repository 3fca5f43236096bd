"""The page of a benchmark: one self-contained HTML file.

The template is `page.html.j2`; this module prepares charts and pictures for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.html_page import data_uri, fill_template
from desert_seg_train.benchmark.chart import DARK, LIGHT, Chart
from desert_seg_train.benchmark.pictures import KINDS, Panel
from desert_seg_train.benchmark.score_charts import confusions_in_words
from desert_seg_train.benchmark.training_log import TrainingLog
from desert_seg_train.evaluate.boundary import DILATION_RATIO
from desert_seg_train.evaluate.comparison import NUM_DRAWS
from desert_seg_train.evaluate.measurement import PERCENTILES, STAGES
from desert_seg_train.evaluate.reliability import NUM_BINS
from desert_seg_train.evaluate.results import Results
from desert_seg_train.evaluate.wording import between, between_signed, counted, listed, score, signed
from desert_seg_train.inspect.page import percent


@dataclass(frozen=True)
class Figure:
    """A chart on the page; `light` and `dark` are data URIs."""

    title: str
    alt: str
    light: str
    dark: str


@dataclass(frozen=True)
class FrameView:
    """A frame on the page; `pictures` are data URIs, one for each of `KINDS`."""

    name: str
    miou: float
    pictures: tuple[str, ...]


def draw_figures(charts: Iterable[Chart]) -> dict[str, Figure]:
    """The charts as the page shows them, by name."""
    return {
        chart.name: Figure(chart.title, chart.alt, *(data_uri("svg+xml", chart.svg(theme)) for theme in (LIGHT, DARK)))
        for chart in charts
    }


def render_page(
    results: Results,
    figures: dict[str, Figure],
    examples: Sequence[Panel],
    worst: Sequence[Panel],
    log: TrainingLog | None,
) -> str:
    """The whole page.

    Args:
        results: Every number.
        figures: Those of `draw_figures`.
        examples: Frames spread over the folder.
        worst: The worst frames, worst first.
        log: The training's log, if it was found.
    """
    filters: dict[str, Callable[..., str]] = {
        "between": between,
        "between_signed": between_signed,
        "color": lambda color: f"rgb({color[0]} {color[1]} {color[2]})",
        "counted": counted,
        "listed": listed,
        "percent": percent,
        "score": score,
        "signed": signed,
    }
    return fill_template(
        Path(__file__).with_name("page.html.j2"),
        filters,
        results=results,
        headline=results.headline,
        scores=results.scores,
        labels=list(zip(results.labels.names, results.labels.colors, strict=True)),
        figures=figures,
        examples=[_frame_view(panel) for panel in examples],
        worst=[_frame_view(panel) for panel in worst],
        kinds=KINDS,
        log=log,
        confusions=confusions_in_words(results),
        stages=STAGES,
        percentiles=PERCENTILES,
        dilation_ratio=DILATION_RATIO,
        num_draws=NUM_DRAWS,
        num_bins=NUM_BINS,
    )


def _frame_view(panel: Panel) -> FrameView:
    uris = [
        _picture_uri(picture, as_photograph=kind in (KINDS[0], KINDS[-1]))
        for picture, kind in zip(panel.pictures, KINDS, strict=True)
    ]
    return FrameView(panel.name, panel.miou, tuple(uris))


def _picture_uri(picture: npt.NDArray[np.uint8], as_photograph: bool) -> str:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    if as_photograph:
        return data_uri("jpeg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
    return data_uri("png", cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
