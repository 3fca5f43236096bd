"""The command line of the small programs beside `desert-seg synth`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

from desert_seg.errors import DesertSegError

Config = TypeVar("Config")


def run_program(program: Callable[[Config], None], config: type[Config]) -> None:
    """Parse the settings and run; an expected failure ends with one line and exit code 1."""
    try:
        program(tyro.cli(config))
    except DesertSegError as error:
        sys.exit(f"error: {error}")
