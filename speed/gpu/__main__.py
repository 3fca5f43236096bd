"""`python -m speed.gpu`: see docs/gpu.md."""

from __future__ import annotations

import sys

import tyro

from speed.gpu.options import GpuOptions


def main() -> None:
    """Entry point; an expected failure is one sentence on stderr."""
    options = tyro.cli(GpuOptions, prog="python -m speed.gpu", config=(tyro.conf.FlagCreatePairsOff,))
    from desert_seg.errors import DesertSegError
    from speed.gpu.command import run

    try:
        outcomes = run(options)
    except DesertSegError as error:
        sys.exit(f"error: {error}")
    failed = [each for each in outcomes if each.status == "failed"]
    if failed:
        sys.exit(f"error: {'; '.join(f'{each.part}, {each.line}: {each.because}' for each in failed)}")


if __name__ == "__main__":
    main()
