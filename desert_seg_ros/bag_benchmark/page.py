"""The page of a benchmark: one self-contained HTML file.

The template is `page.html.j2`; this module prepares charts and texts for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from desert_seg.html_page import fill_template
from desert_seg_ros.bag_benchmark import charts
from desert_seg_ros.bag_benchmark.results import Results, Run, meanings
from desert_seg_ros.bag_benchmark.wording import rows_of, verdicts

CAUSES = ("masks", "overload", "other causes", "lost on the way", "pending")
"""The parts of a bar that shows what happened to the images."""


@dataclass(frozen=True)
class RunCharts:
    """The charts of a run, as SVG; empty where there is nothing to draw."""

    latency: str = ""
    histogram: str = ""
    processor: str = ""
    memory: str = ""


def render_page(results: Results) -> str:
    """The whole page."""
    return fill_template(
        Path(__file__).with_name("page.html.j2"),
        {"percent": lambda share: f"{100 * share:.2f} %", "milliseconds": _milliseconds},
        results=results,
        runs=[(run, _charts(run)) for run in results.runs],
        rows=rows_of(results.runs),
        verdicts=verdicts(results),
        latencies=_latencies(results.runs),
        fates=charts.stacked([_fates(run) for run in results.runs], "what became of the images of every run"),
        causes=CAUSES,
        meanings=list(meanings()),
        judged=next((run for run in results.runs if run.accuracy), None),
    )


def _charts(run: Run) -> RunCharts:
    if run.latency_ms is None:
        return RunCharts(**_use_charts(run))
    seconds, latency = np.array(run.latency_over_time, np.float64).T
    marks = [(run.latency_ms.p50, "p50"), (run.latency_ms.p95, "p95")]
    return RunCharts(
        latency=charts.over_time(seconds, latency, "ms", f"latency over time, {run.name}", marks),
        histogram=charts.histogram(
            latency, "latency, ms", f"histogram of latency, {run.name}", [*marks, (run.latency_ms.p99, "p99")]
        ),
        **_use_charts(run),
    )


def _use_charts(run: Run) -> dict[str, str]:
    known = [each for each in run.use_over_time if each[1] is not None]
    if len(known) < 2:
        return {}
    seconds, percent, rss_mb = np.array(known, np.float64).T
    return {
        "processor": charts.line(seconds, percent, "% of a core", f"use of processors over time, {run.name}"),
        "memory": charts.line(seconds, rss_mb, "MB", f"memory over time, {run.name}"),
    }


def _latencies(runs: Sequence[Run]) -> str:
    """Median, p95 and largest latency of the runs beside each other; empty if there is only one to show."""
    rows = [
        charts.RangeRow(run.name, (each.min, each.max), (each.p50, each.p95), each.p50)
        for run in runs
        if (each := run.latency_ms) is not None
    ]
    return charts.ranges(rows, "ms", "latencies of all runs") if len(rows) > 1 else ""


def _fates(run: Run) -> charts.StackedRow:
    dropped = dict(run.frames.dropped)
    overload = dropped.pop("overload", 0)
    lost = sum(dropped.pop(cause) for cause in ("lost", "not_received", "mask_lost"))
    sizes = (run.frames.masks, overload, sum(dropped.values()), max(lost, 0), run.frames.pending)
    return charts.StackedRow(run.name, sizes, f"{run.frames.masks} of {run.frames.sent}")


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
