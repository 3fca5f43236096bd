"""Draw the rooms of the code and the imports between them into docs/architecture.md: `python scripts/architecture.py`.

A room is a package, described by the first line of its docstring. This script writes what is between the two markers of
the page; the rest is written by hand. A test compares the page with the code.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn by scripts/architecture.py -->\n", "<!-- end of the drawing -->\n"
PACKAGES = ("desert_seg", "desert_seg_ros", "desert_seg_train")

sys.path.insert(0, str(ROOT))  # this checkout, not what is installed


def rooms() -> dict[str, str]:
    """Every package with code in it -> the first line of its docstring."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("__init__.py")):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[".".join(path.parent.relative_to(ROOT).parts)] = docstring.split("\n")[0]
    return found


def arrows() -> list[tuple[str, str]]:
    """Pairs of rooms: the first imports from the second. Imports between a package and its own root are left out."""
    graph, names = grimp.build_graph(*PACKAGES), rooms()
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = _room_of(module, names), _room_of(imported, names)
            if not (pair[0].startswith(pair[1]) or pair[1].startswith(f"{pair[0]}.")):
                found.add(pair)
    # Imports from a part of the core count as imports from the core.
    return sorted(found - {(start, end) for start, end in found if end == "desert_seg"})


def _room_of(module: str, names: dict[str, str]) -> str:
    while module not in names:
        module = module.rpartition(".")[0]
    return module


def drawing() -> str:
    """The generated part of the page."""
    rows = "".join(f"| `{name.replace('.', '/')}` | {description} |\n" for name, description in rooms().items())
    lines = "".join(f"    {start} --> {end}\n" for start, end in arrows())
    return f"| room | what is in it |\n|---|---|\n{rows}\n```mermaid\ngraph LR\n{lines}```\n"


def main() -> None:
    """Rewrite the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + drawing() + END + rest.partition(END)[2], encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
