"""The tutorial works: every command in it is run, in order, and prints what the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("torch")

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps():
    """Pairs of a command and the lines shown below it."""
    page = (ROOT / "docs" / "tutorial.md").read_text()
    for block in BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = re.sub(r" \\\n +", " ", part).splitlines()
            yield command, [line for line in shown if line.strip()]


def shape(line):
    """A line without what changes from run to run: numbers, the steps that fit, digests, frames of tables, spaces."""
    words = re.sub(r"[│┃┏┓┗┛┡┩╇┳┻━─└┘┴├┤┼╭╮╰╯]+", " ", line)
    words = re.sub(r"mojave_\d+\.jpg", "FRAME", words)
    words = re.sub(r"\b[0-9a-f]{12,64}\b|[-+]?\d+(\.\d+)?(e[-+]?\d+)?|nan", "#", words.replace(" steps", " step"))
    return " ".join(words.split())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_tutorial_runs_and_prints_what_the_page_shows(tmp_path):
    pytest.importorskip("moderngl")
    for name in ("config", "models", "sample_drive"):
        (tmp_path / name).symlink_to(ROOT / name)
    # The commands of this checkout, whatever is installed.
    (tmp_path / "bin").mkdir()
    for name, module in (("desert-seg", "desert_seg_train.cli"), ("desert-seg-demo", "desert_seg_ros.demo")):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        script.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "110"}
    commands = 0
    for command, shown in steps():
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed = {shape(line) for line in done.stdout.splitlines()}
        for line in shown:
            assert shape(line) in printed, f"{command}\nthe page shows: {line}\nit printed:\n{done.stdout}"
        commands += 1
    assert commands >= 9
    assert (tmp_path / "out" / "tutorial" / "report" / "report.html").is_file()
    assert (tmp_path / "out" / "tutorial" / "model" / "model.onnx").is_file()


def test_the_figures_shown_are_of_one_run():
    page = (ROOT / "docs" / "tutorial.md").read_text()
    best = max(re.findall(r"validation mIoU (\S+)", page))
    assert re.findall(r"mIoU (\S+)  over classes present|measured val_miou: (\S+)", page) == [(best, ""), ("", best)]
    (exported,) = re.findall(r"wrote out/tutorial/model \((\w+)\)", page)
    (described,) = re.findall(r"^run (\w+)$", page, re.MULTILINE)
    assert exported == described


def test_the_launch_command_names_arguments_the_launch_file_has():
    page = (ROOT / "docs" / "tutorial.md").read_text()
    (line,) = re.findall(r"ros2 launch desert_seg_ros segment\.launch\.py ((?:.*\\\n)*.*)", page)
    launch = Path(ROOT / "launch" / "segment.launch.py").read_text()
    for argument in re.findall(r"(\w+):=", line):
        assert f'"{argument}"' in launch
