"""Sentences on a person's terminal: broken between words, never inside a path or a `quoted command`.

Whatever is wider than a line is left to the terminal, which shows it folded and gives it back whole when it is copied.
"""

from __future__ import annotations

import re
from itertools import pairwise

_WORD = re.compile(r"(?:`[^`\n]*`|[^\s`]|`)+")
"""What is not broken; a pair of backquotes holds what a person types."""


def line_starts(line: str, width: int, hang: int) -> list[int]:
    """Where to break a line.

    Args:
        line: Text without a line break.
        width: Of the terminal, in characters.
        hang: How far all lines but the first are indented.

    Returns:
        The place of the first word of every further line.
    """
    starts: list[int] = []
    begin, margin = 0, 0
    for word in _WORD.finditer(line):
        is_first = not line[begin : word.start()].strip()
        if margin + word.end() - begin > width and not is_first:
            starts.append(word.start())
            begin, margin = word.start(), hang
    return starts


def wrapped(text: str, width: int) -> str:
    """The text in lines of at most that many characters; what a line is indented by, its further lines are, too."""
    return "\n".join(_wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    hang = indentation(line)
    places = [0, *line_starts(line, width, hang), len(line)]
    return ("\n" + " " * hang).join(line[begin:end].rstrip() for begin, end in pairwise(places))


def indentation(line: str) -> int:
    """How many blanks the line begins with."""
    return len(line) - len(line.lstrip(" "))
