"""The results in words, for terminal and page: the rows of the table of runs, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from desert_seg_ros.bag_benchmark.measures import BOUNDED_GROWTH, FLAT_PERCENT
from desert_seg_ros.bag_benchmark.results import Endurance, Results, Run

KEPT_PACE = 0.97
"""A replayer that reaches less than this share of the requested rate has not kept up."""

BUSY_SHARE = 0.3
"""Load per core before the first run above which the machine was not idle."""

UNKNOWN = "-"

DROP = "no mask: "
"""Prefix of the cause of drops in the name of a row."""


@dataclass(frozen=True)
class Verdict:
    """A finding in a few words; `kind` is good, mild or bad."""

    kind: str
    text: str


@dataclass(frozen=True)
class Row:
    """A row of the table of runs: its measure, and a cell for every run."""

    name: str
    cells: tuple[str, ...]


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """The table of runs: measures down, runs across; a measure or a cause of drops that no run has is left out."""
    causes = dict.fromkeys(cause for run in runs for cause in _drops(run))
    drops = [Row(f"{DROP}{cause}", tuple(str(_drops(run).get(cause, 0)) for run in runs)) for cause in causes]
    sent, masks, *others = (Row(name, tuple(show(run) or UNKNOWN for run in runs)) for name, show in _MEASURES)
    return [sent, masks, *drops, *(row for row in others if any(cell != UNKNOWN for cell in row.cells))]


def verdicts(results: Results) -> list[Verdict]:
    """The most important findings."""
    said: list[Verdict] = []
    if results.determinism is not None:
        same = results.determinism
        said.append(
            Verdict("good", f"deterministic: {same.num_frames} masks identical in two runs")
            if same.identical
            else Verdict("bad", f"not deterministic: the masks of frame {same.first_difference} differ")
        )
    machine = results.machine
    if machine.load_average > BUSY_SHARE * machine.num_cores:
        load = f"load {machine.load_average:.1f} on {machine.num_cores} cores"
        said.append(Verdict("mild", f"the machine was busy before the first run: {load}"))
    for run in results.runs:
        if run.endurance is not None:
            said += _endurance(run.name, run.endurance)
        asked, reached = run.rates.asked_hz, run.rates.sent_hz
        if asked and reached and reached < KEPT_PACE * asked:
            said.append(Verdict("bad", f"{run.name}: the replayer reached only {reached:.1f} of {asked:.1f} Hz"))
        missing = run.frames.sent - run.frames.masks
        if missing:
            said.append(Verdict("mild", f"{run.name}: {missing} of {run.frames.sent} images without a mask"))
    return said


def in_one_line(run: Run) -> str:
    """A summary of a finished run."""
    latency = (
        "" if run.latency_ms is None else f", latency p50 {run.latency_ms.p50:.0f}, p95 {run.latency_ms.p95:.0f} ms"
    )
    return f"{run.name}: {run.frames.sent} images in {run.seconds:.1f} s, {run.frames.masks} masks{latency}"


def _endurance(name: str, endurance: Endurance) -> list[Verdict]:
    growth = f"latency grew by a factor of {endurance.latency_growth:.2f} in {endurance.seconds:.0f} s"
    said = [
        Verdict("good", f"{name}: latency bounded, last third {endurance.latency_growth:.2f} of the first")
        if endurance.latency_is_bounded
        else Verdict("bad", f"{name}: {growth}, allowed is {BOUNDED_GROWTH}")
    ]
    if endurance.rss_drift_percent is not None:
        drift = f"{endurance.rss_drift_percent:+.2f} % in {endurance.seconds:.0f} s"
        said.append(
            Verdict("good", f"{name}: memory flat, {drift}")
            if endurance.memory_is_flat
            else Verdict("bad", f"{name}: memory grew, {drift}, allowed is {FLAT_PERCENT:g} %")
        )
    return said


def _drops(run: Run) -> dict[str, int]:
    """Images without a mask by cause in words, where there are any."""
    drops = {**run.frames.dropped, "pending": run.frames.pending}
    return {cause.replace("_", " "): count for cause, count in drops.items() if count}


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def _latency(name: str) -> Callable[[Run], str | None]:
    return lambda run: None if run.latency_ms is None else f"{getattr(run.latency_ms, name):.1f}"


def _of_node(name: str, form: str) -> Callable[[Run], str | None]:
    return lambda run: None if run.node_use is None else _number(getattr(run.node_use, name), form)


_MEASURES: tuple[tuple[str, Callable[[Run], str | None]], ...] = (
    ("images sent", lambda run: str(run.frames.sent)),
    ("masks back", lambda run: str(run.frames.masks)),
    ("images, Hz", lambda run: _number(run.rates.sent_hz, ".1f")),
    ("masks, Hz", lambda run: _number(run.rates.masks_hz, ".1f")),
    ("latency p50, ms", _latency("p50")),
    ("latency p95, ms", _latency("p95")),
    ("latency p99, ms", _latency("p99")),
    ("latency max, ms", _latency("max")),
    ("jitter mean, ms", lambda run: None if run.jitter_ms is None else f"{run.jitter_ms.mean:.1f}"),
    ("to first mask, s", lambda run: None if run.start is None else f"{run.start.first_mask_s:.1f}"),
    ("node CPU, %", _of_node("cpu_percent", ".0f")),
    ("CPU per mask, ms", _of_node("cpu_ms_per_mask", ".0f")),
    ("node memory, MB", _of_node("rss_mb_max", ".0f")),
    ("replayer CPU, %", lambda run: f"{run.replayer_use.cpu_percent:.0f}"),
    ("replayer late, ms", lambda run: f"{run.replayer_use.late_ms.p99:.1f}" if run.rates.asked_hz else None),
    ("flips, %", lambda run: _number(_percent(run.consistency.flip_rate), ".2f")),
    ("flips of truth, %", lambda run: _number(_percent(run.consistency.truth_flip_rate), ".2f")),
    ("flicker, %", lambda run: _number(_percent(run.consistency.flicker_rate), ".2f")),
    ("warped agreement, %", lambda run: _warped(run)),
    ("mIoU", lambda run: None if run.accuracy is None else _number(run.accuracy.scores["miou_present"], ".3f")),
)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _warped(run: Run) -> str | None:
    warped = run.consistency.warped
    return None if warped is None else f"{100 * warped.agreement:.2f}"
