"""The README and the documentation say what the code does."""

import re
import sys
from dataclasses import fields

import pytest
from conftest import ROOT
from PIL import Image

from desert_seg.labels import shipped_label_maps
from desert_seg_ros.parameters import NodeParameters
from desert_seg_ros.topics import CLOUDS, IMAGES
from desert_seg_train.cli import COMMANDS, config_of

sys.path.insert(0, str(ROOT / "scripts"))

import reference

README = (ROOT / "README.md").read_text()
REFERENCE = ROOT / "docs" / "reference"
NODE = ("node.py", "class_list.py", "diagnostics.py", "reload.py")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def rows(page, first_heading):
    """Cells of the rows of the table whose header starts with a heading."""
    text = (REFERENCE / page).read_text()
    table = re.search(rf"^\| {re.escape(first_heading)} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, f"{page} has no table of {first_heading}"
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.group(1).splitlines()]


@pytest.mark.parametrize("page", sorted(reference.PAGES))
def test_a_reference_page_is_the_one_that_the_code_gives(page):
    assert (REFERENCE / page).read_text() == reference.NOTE + reference.PAGES[page](), "run `make docs`"


def test_every_command_and_each_of_its_options_is_on_the_reference_page():
    text = (REFERENCE / "commands.md").read_text()
    for name in COMMANDS:
        section = text.split(f"## desert-seg {name}\n")[1].split("\n## ")[0]
        for item in fields(config_of(name)):
            option = item.name.replace("_", "-")
            assert f"--{option}" in section or f"`{item.name.upper()}`" in section, (name, option)


def test_the_picture_of_the_readme_is_small_enough_for_a_first_look():
    (picture,) = re.findall(r"!\[.*\]\((.*)\)", README)
    with Image.open(ROOT / picture) as image:
        assert image.n_frames > 1
    assert (ROOT / picture).stat().st_size < 2e6


def test_the_parameter_table_is_the_declaration():
    found = {row[0].strip("`"): row[1:] for row in rows("parameters.md", "parameter")}
    assert list(found) == [item.name for item in fields(NodeParameters)]
    for item in fields(NodeParameters):
        default, allowed, live, description = found[item.name]
        shown = list(item.default) if isinstance(item.default, tuple) else item.default
        assert default == (str(shown).lower() if isinstance(shown, bool) else str(shown) or "''")
        if item.metadata["choices"]:
            assert allowed == ", ".join(item.metadata["choices"])
        elif item.metadata["range"]:
            assert allowed == f"{item.metadata['range'][0]} to {item.metadata['range'][1]}"
        assert (live == "yes") is item.metadata["live"]
        assert description == item.metadata["description"]


def test_every_topic_the_node_names_is_in_the_topic_table():
    code = "".join((ROOT / "desert_seg_ros" / name).read_text() for name in NODE)
    published = set(re.findall(r'"(~/\w+|/diagnostics)"', code))
    published |= {f"~/{name}" for name in (*IMAGES, *CLOUDS, "camera_info", "timing")}
    documented = set(re.findall(r"^\| `(~/\w+|/diagnostics)` \|", (REFERENCE / "topics.md").read_text(), re.MULTILINE))
    assert published == documented


def test_every_fault_in_the_table_of_reliability_names_a_test_there_is():
    text = (ROOT / "docs" / "reliability.md").read_text()
    faults = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|-", "| fault"))]
    assert all(re.search(r"`[\w/]*test_\w+(::test_\w+)?`", line) for line in faults)
    for file, name in re.findall(r"`([\w/]*test_\w+)::(test_\w+)`", text):
        assert f"def {name}(" in (ROOT / "test" / f"{file}.py").read_text(), name


def test_every_label_map_that_ships_is_in_the_table_of_inputs():
    rows_of_maps = re.findall(r"^\| (`\w+`.*?) \|", (ROOT / "docs" / "inputs.md").read_text(), re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(rows_of_maps)))
    assert set(shipped_label_maps()) <= named


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_module_option_and_file_that_is_named_exists(document):
    text = document.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^ +|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file() or module in ("pytest", "pip", "venv"), module
    for argument in re.findall(r"\b(\w+):=", " ".join(re.findall(r"segment\.launch\.py.*", text))):
        assert f'"{argument}"' in (ROOT / "launch" / "segment.launch.py").read_text(), argument
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / target).exists(), target
    for option in re.findall(r"desert-seg-replay .*?(--[a-z-]+)", text):
        assert f'"{option}"' in (ROOT / "desert_seg_ros" / "replay.py").read_text(), option
