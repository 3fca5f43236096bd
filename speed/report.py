"""The table, its JSON file, and a description of the machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from desert_seg.console import Console
from desert_seg.files import write_text
from desert_seg.machine import processor
from speed.figures import Figure

PACKAGES = ("numpy", "opencv-python-headless", "openvino", "onnxruntime", "torch")
MIN_WIDTH = 110


def machine() -> dict[str, str]:
    """This machine and its load; call it before the benchmark adds load."""
    installed = {name: version for name in PACKAGES if (version := _version(name))}
    return {
        "processor": processor(),
        "usable cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') * 1e-9:.0f} GB",
        "system": platform.platform(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **installed,
    }


def write_report(out: Path, figures: Sequence[Figure], facts: Mapping[str, Any], console: Console) -> None:
    """Print the table, and write it as table.txt and, with the values of all rounds and with `facts`, as bench.json.

    Args:
        out: Folder.
        figures: Figures by section.
        facts: `model`, and by name `machine`, `engines` and, with the reason, `not_run`.
        console: Records what it prints.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("figure", "value", "quartiles", "bar", ""):
        table.add_column(heading, justify="left" if heading in ("figure", "") else "right", no_wrap=True)
    for section, group in groupby(figures, lambda figure: figure.section):
        table.add_row(Text(section, style="bold"))
        for figure in group:
            name, *cells, verdict = figure.cells()
            table.add_row(f"  {name}", *cells, Text(verdict, style="bold red" if figure.fails else "green"))
    console.width = max(console.width, MIN_WIDTH)
    console.print(facts["model"])
    console.print(", ".join(f"{name} {value}" for name, value in facts["machine"].items()))
    console.print(table)
    for name, engine in facts["engines"].items():
        console.print(f"{name}: {engine}")
    for name, reason in facts["not_run"].items():
        console.print(f"not run: {name}: {reason}")
    write_text(out / "table.txt", console.export_text())
    rows = [
        {**asdict(each), "median": each.quartiles[1], "is_shown": each.is_shown, "verdict": each.verdict}
        for each in figures
    ]
    write_text(out / "bench.json", (json.dumps({**facts, "figures": rows}, indent=2) + "\n"))
    console.print(f"wrote {out / 'bench.json'}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
