"""docs/architecture.md shows the code as it is."""

import re
import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import architecture

PAGE = architecture.PAGE.read_text()


def test_the_drawing_is_the_one_that_the_code_gives():
    drawn = PAGE.split(architecture.BEGIN)[1].split(architecture.END)[0]
    assert drawn == architecture.drawing(), "run `python scripts/architecture.py`"


def test_every_file_the_page_names_exists():
    rows = re.findall(r"^\| [^|]+ \| (`.+) \|$", PAGE.split("## Rooms")[0], re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        folder = None
        for name in re.findall(r"`([\w./]+)`", row):
            path = ROOT / name if "/" in name or (ROOT / name).exists() else folder / name
            assert path.exists(), name
            folder = path.parent


def test_every_module_of_the_core_and_of_the_robot_has_a_first_line_that_says_what_it_is():
    for package in architecture.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text().startswith('"""'), path
