"""JSON from outside: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 100
"""Nested deeper, a text is an attack, or a mistake; whoever walks through it could run out of stack."""


def parse_json(text: str | bytes) -> Any:
    """What the text says.

    Raises:
        ValueError: It is no JSON, or nested deeper than `MAX_DEPTH`.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    level = [content]
    for _ in range(MAX_DEPTH):
        level = [each for value in level for each in _children(value)]
    if level:
        raise ValueError("it is nested too deep")
    return content


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
