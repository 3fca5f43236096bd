"""The console of every command: rich's, except that text is text.

Paths, class names and errors are printed as they are, whatever brackets or colons they hold. On a terminal text is
broken between words, and in a pipe not at all. What is to be coloured is a `Text`, or is printed with a `style`. Only
commands import this.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import rich.console
import rich.progress
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskProgressColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeRemainingColumn
from rich.status import Status
from rich.text import Text

from desert_seg.wrapping import indentation, line_starts

__all__ = [
    "BarColumn",
    "Console",
    "MofNCompleteColumn",
    "Progress",
    "TextColumn",
    "TimeElapsedColumn",
    "TimeRemainingColumn",
]

Item = TypeVar("Item")


class Console(rich.console.Console):
    """Prints text as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """See rich; text is broken between words on a terminal, and nowhere else."""
        if all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
            if self.is_terminal:
                objects = tuple(self._wrapped(each) for each in objects)
        super().print(*objects, **options)

    def print_hanging(self, start: str | Text, rest: str | Text) -> None:
        """Print a text beside what it is about: its further lines begin below its first."""
        hang = len(start)
        text = Text.assemble(start, rest)
        super().print(self._line(text, hang) if self.is_terminal else text, soft_wrap=True)

    def print_command(self, about: str, *words: str | Path) -> None:
        """Print what a command does, and the command as a shell takes it, which is never broken: it is to be copied."""
        command = shlex.join(map(str, words))
        if self.is_terminal:
            self.print(f"{about}:")
            super().print(f"  {command}", soft_wrap=True)
        else:
            self.print(f"{about}: {command}")

    def _wrapped(self, text: str | Text) -> Text:
        lines = (Text(text) if isinstance(text, str) else text).split("\n", allow_blank=True)
        return Text("\n").join(self._line(line, indentation(line.plain)) for line in lines)

    def _line(self, line: Text, hang: int) -> Text:
        pieces = line.divide(line_starts(line.plain, self.width, hang))
        for piece in pieces:
            piece.rstrip()
        return Text("\n" + " " * hang).join(pieces)

    def track(
        self, items: Iterable[Item], name: str, total: int | None = None, transient: bool = False
    ) -> Iterator[Item]:
        """The items, with a progress bar of that name while they are taken; no trace of a transient one in a pipe."""
        with Progress(console=self, transient=transient, disable=transient and not self.is_terminal) as progress:
            yield from progress.track(items, total, description=name)

    def status(self, status: Any, **options: Any) -> Status:
        """See rich; in characters that every terminal has."""
        return super().status(Text(status), spinner="line", **options)


class TextColumn(rich.progress.TextColumn):
    """A column of text as it is."""

    def __init__(self, text_format: str) -> None:
        super().__init__(text_format, markup=False)


class Progress(rich.progress.Progress):
    """Progress bars whose descriptions are text."""

    @classmethod
    def get_default_columns(cls) -> tuple[ProgressColumn, ...]:
        """Name, bar, share, time left."""
        return TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
