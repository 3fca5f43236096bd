"""The package in a clean colcon workspace, as on a robot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Workspace

pytestmark = pytest.mark.slow


def test_programs_are_where_ros2_run_looks(workspace: Workspace) -> None:
    for name in ("segment_node", "desert-seg-replay", "desert-seg-demo"):
        assert os.access(workspace.prefix / "lib" / "desert_seg_ros" / name, os.X_OK)


def test_share_holds_the_same_files_as_the_source(workspace: Workspace) -> None:
    source = workspace.root / "src" / "desert_seg"
    share = workspace.prefix / "share" / "desert_seg_ros"
    for folder in ("launch", "config", "models", "sample_drive"):
        files = [path for path in (source / folder).rglob("*") if path.is_file()]
        assert files, folder
        for path in files:
            assert (share / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_the_installed_core_brings_its_label_maps(workspace: Workspace, tmp_path: Path) -> None:
    code = "import desert_seg.labels as m; print(m.__file__, *m.shipped_label_maps())"
    command = [sys.executable, "-c", code]
    output = subprocess.run(
        command, cwd=tmp_path, env=dict(workspace.environment), capture_output=True, text=True, check=True
    ).stdout
    path, *names = output.split()
    assert Path(path).is_relative_to(workspace.prefix)
    assert "falcon7" in names


def test_colcon_test_passes(workspace: Workspace) -> None:
    quick = ["test/test_packaging.py", "-m", " not slow"]
    show = ["--event-handlers", "console_cohesion+"]
    workspace.colcon("test", *show, "--return-code-on-test-failure", "--pytest-args", *quick)
    summary = workspace.colcon("test-result")
    assert " 0 errors, 0 failures" in summary
    assert not summary.startswith("Summary: 0 tests")
