"""`python -m speed`: see docs/performance.md."""

from __future__ import annotations

import sys

import tyro

from speed.options import BenchOptions


def main() -> None:
    """Entry point; an expected failure is one sentence on stderr."""
    options = tyro.cli(BenchOptions, prog="python -m speed", config=(tyro.conf.FlagCreatePairsOff,)).effective()
    from desert_seg.errors import DesertSegError
    from speed.command import run

    try:
        figures = run(options)
    except DesertSegError as error:
        sys.exit(f"error: {error}")
    failed = [figure for figure in figures if figure.fails]
    if options.check and failed:
        sys.exit(f"error: {'; '.join(f'{each.section}, {each.name}: {each.verdict}' for each in failed)}")


if __name__ == "__main__":
    main()
