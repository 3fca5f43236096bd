"""The README and the documentation say what the code does."""

import re
from dataclasses import fields

import pytest
from conftest import ROOT

from desert_seg_ros.parameters import NodeParameters
from desert_seg_ros.worker import CLOUDS, IMAGES

README = (ROOT / "README.md").read_text()
NODE = ("node.py", "class_list.py", "diagnostics.py", "reload.py")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def rows(first_heading):
    """Cells of the rows of the table whose header starts with a heading."""
    table = re.search(rf"^\| {re.escape(first_heading)} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert table is not None, f"the README has no table of {first_heading}"
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.group(1).splitlines()]


def test_the_parameter_table_is_the_declaration():
    found = {row[0].strip("`"): row[1:] for row in rows("parameter")}
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
    documented = set(re.findall(r"`(~/\w+|/diagnostics)`", README))
    assert published == documented


def test_every_fault_in_the_table_of_reliability_names_a_test_there_is():
    text = (ROOT / "docs" / "reliability.md").read_text()
    faults = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|-", "| fault"))]
    assert all(re.search(r"`[\w/]*test_\w+(::test_\w+)?`", line) for line in faults)
    for file, name in re.findall(r"`([\w/]*test_\w+)::(test_\w+)`", text):
        assert f"def {name}(" in (ROOT / "test" / f"{file}.py").read_text(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
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
