"""`python -m bench`: see docs/performance.md."""

from __future__ import annotations

import sys

import tyro

from bench.options import BenchOptions


def main() -> None:
    """Entry point; an expected failure is one sentence on stderr."""
    options = tyro.cli(BenchOptions, prog="python -m bench", config=(tyro.conf.FlagCreatePairsOff,)).effective()
    from bench.command import run
    from desert_seg.errors import DesertSegError

    try:
        figures = run(options)
    except DesertSegError as error:
        sys.exit(f"error: {error}")
    failed = [figure for figure in figures if figure.fails]
    if options.check and failed:
        sys.exit(f"error: {'; '.join(f'{each.section}, {each.name}: {each.verdict}' for each in failed)}")


if __name__ == "__main__":
    main()
