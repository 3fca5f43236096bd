"""What the doctor finds: one fact about the machine, how good that is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from desert_seg.errors import DesertSegError

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One fact.

    Attributes:
        subject: What it is about, in a word or two.
        level: `fault`: what we offer does not work; `warning`: some of it does not, or not well.
        found: The fact.
        cure: What to do about it; empty if nothing needs to be done.
    """

    subject: str
    level: Level
    found: str
    cure: str = ""


def ok(subject: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, "ok", found)


def warning(subject: str, found: str, cure: str) -> Finding:
    """Some of what we offer does not work, or not well."""
    return Finding(subject, "warning", found, cure)


def fault(subject: str, found: str, cure: str) -> Finding:
    """What we offer does not work."""
    return Finding(subject, "fault", found, cure)


def fault_of(subject: str, error: DesertSegError) -> Finding:
    """A fault whose sentence says what was found and, after the last semicolon, what to do."""
    found, _, cure = str(error).rpartition("; ")
    return fault(subject, found, cure)
