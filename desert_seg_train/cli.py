"""How every offline command starts and fails: arguments from a dataclass, one clear line instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import tyro

from desert_seg.errors import DesertSegError


def run(command: Callable[[Any], object], config: type) -> None:
    """Parse `config` from the command line and call `command` with it; an expected failure ends with exit code 1."""
    try:
        command(tyro.cli(config))
    except DesertSegError as error:
        sys.exit(f"error: {error}")
