"""The JSON file and the page of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from desert_seg.files import write_text
from desert_seg.html_page import fill_template
from speed.figures import MISSED, Figure
from speed.gpu.outcome import FAILED, NOT_RUN, RAN, Outcome


@dataclass(frozen=True)
class Report:
    """A run, or the part of it that is over.

    Attributes:
        machine: What it ran on, by name.
        device: `cpu` or `cuda`.
        quick: Whether inputs and networks were small, so that no figure means anything.
        minutes: How long it was allowed to take.
        seconds: How long it took.
        outcomes: Of all lines so far.
    """

    machine: Mapping[str, str]
    device: str
    quick: bool
    minutes: float
    seconds: float
    outcomes: tuple[Outcome, ...]

    def summary(self) -> str:
        """How many lines ran, and which goals were missed, in a sentence."""
        counts = Counter(each.status for each in self.outcomes)
        text = f"{counts[RAN]} lines ran, {counts[NOT_RUN]} were not run, {counts[FAILED]} failed"
        missed = [f"{each.line}: {figure.name}" for each in self.outcomes for figure in _missed(each)]
        return text + (f"; missed: {', '.join(missed)}" if missed else "")

    def by_part(self) -> list[tuple[str, list[Outcome]]]:
        """The outcomes with the names of their parts."""
        return [(name, list(group)) for name, group in groupby(self.outcomes, lambda each: each.part)]


def write_report(out: Path, report: Report) -> None:
    """Write results.json and page.html; raises OutputError if they cannot be written."""
    lines = [json.loads(each.to_json()) for each in report.outcomes]
    content = {**asdict(report), "outcomes": lines, "summary": report.summary()}
    write_text(out / "results.json", json.dumps(content, indent=2) + "\n")
    page = fill_template(Path(__file__).with_name("page.html.j2"), {"sentence": _sentence}, report=report)
    write_text(out / "page.html", page)


def _missed(outcome: Outcome) -> Iterator[Figure]:
    return (each for each in outcome.figures if each.verdict == MISSED)


def _sentence(name: str) -> str:
    """The name of a test as a sentence; others as they are."""
    return name.removeprefix("test_").replace("_", " ") if name.startswith("test_") else name
