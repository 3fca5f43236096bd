"""What became of a line: it ran and gave figures, it failed, or it was not run, because."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from desert_seg.errors import DesertSegError
from speed.figures import Bar, Figure

RAN, FAILED, NOT_RUN = "ran", "failed", "not run"


class NotRunError(DesertSegError):
    """A line cannot be run here; the message is the reason."""


@dataclass(frozen=True)
class Outcome:
    """One line of the report.

    Attributes:
        part: The part it belongs to.
        line: Its name.
        status: `RAN`, `FAILED` or `NOT_RUN`.
        because: Why it failed or was not run.
        figures: What it measured; their section is the line.
        seconds: How long it took.
    """

    part: str
    line: str
    status: str
    because: str = ""
    figures: tuple[Figure, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> str:
        """One line of JSON; `outcome_from_json` is its inverse."""
        figures = [{**asdict(each), "median": each.quartiles[1], "verdict": each.verdict} for each in self.figures]
        return json.dumps({**asdict(self), "figures": figures})

    def sentence(self) -> str:
        """What to print of it."""
        said = [
            f"{name} {value}{f' ({bar} {verdict})' if bar else ''}"
            for name, value, _, bar, verdict in (each.cells() for each in self.figures)
        ]
        return (
            f"{self.part}, {self.line}: {self.status}"
            + (f", because {self.because}" if self.because else "")
            + (f": {', '.join(said)}" if said else "")
        )


def outcome_from_json(text: str) -> Outcome:
    """Read what `Outcome.to_json` made."""
    content: dict[str, Any] = json.loads(text)
    return Outcome(**{**content, "figures": tuple(map(_figure, content["figures"]))})


def _figure(content: Mapping[str, Any]) -> Figure:
    bar = Bar(**content["bar"]) if content["bar"] else None
    names = ("section", "name", "unit", "once")
    return Figure(**{name: content[name] for name in names}, values=tuple(content["values"]), bar=bar)
