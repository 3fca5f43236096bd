"""The package as colcon, pip and a reviewer of the ROS index see it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from catkin_pkg.package import parse_package
from conftest import ROOT, colcon
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

VERSION = ElementTree.parse(ROOT / "package.xml").getroot().findtext("version")


@pytest.fixture(scope="module")
def setup_data() -> dict[str, Any]:
    """What setup.py passes to setuptools."""
    code = (
        "import json, setuptools; from distutils.core import run_setup;"
        "data = run_setup('setup.py', stop_after='init');"
        "print(json.dumps({'version': data.get_version(), 'extras': data.extras_require,"
        "'data_files': data.data_files, 'packages': data.packages, 'package_data': data.package_data}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_the_manifest_is_valid_and_asks_for_ament_python() -> None:
    warnings: list[str] = []
    package = parse_package(str(ROOT / "package.xml"), warnings=warnings)
    assert not warnings
    assert package.get_build_type() == "ament_python"
    assert package.licenses == ["Apache-2.0"]


def test_colcon_sees_an_ament_python_package(tmp_path: Path) -> None:
    listed = colcon("list", "--base-paths", str(ROOT), folder=tmp_path)
    assert listed.split() == ["desert_seg_ros", str(ROOT), "(ros.ament_python)"]


def test_there_is_one_version(setup_data: dict[str, Any]) -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert setup_data["version"] == VERSION == newest.group(1)


def test_all_three_packages_are_installed(setup_data: dict[str, Any]) -> None:
    assert {"desert_seg", "desert_seg.engines", "desert_seg_ros", "desert_seg_train"} <= set(setup_data["packages"])


def test_extras_exist_and_the_robot_needs_no_torch(setup_data: dict[str, Any]) -> None:
    extras = setup_data["extras"]
    assert {"runtime", "train", "ros", "test", "dev"} <= extras.keys()
    assert not any("torch" in requirement for requirement in extras["runtime"])
    assert all("x86_64" in requirement for requirement in extras["ros"])


def test_everything_a_robot_needs_is_among_the_data_files(setup_data: dict[str, Any]) -> None:
    listed = {path for _, paths in setup_data["data_files"] for path in paths}
    folders = [ROOT / name for name in ("launch", "config", "models", "sample_drive")]
    on_disk = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert on_disk <= listed
    assert {"package.xml", "resource/desert_seg_ros"} <= listed


def test_the_templates_and_shaders_that_commands_read_are_package_data(setup_data: dict[str, Any]) -> None:
    patterns = [(package, pattern) for package, each in setup_data["package_data"].items() for pattern in each]
    carried = {path for package, pattern in patterns for path in (ROOT / package.replace(".", "/")).glob(pattern)}
    suffixes = (".yaml", ".j2", ".glsl", ".vert", ".frag")
    wanted = {
        path for package in ("desert_seg", "desert_seg_ros", "desert_seg_train") for path in (ROOT / package).rglob("*")
    }
    assert {path for path in wanted if path.suffix in suffixes} <= carried


@pytest.mark.parametrize("lock", ["robot", "ci"])
def test_every_requirement_has_a_locked_version_that_it_allows(setup_data: dict[str, Any], lock: str) -> None:
    pinned = re.findall(r"^([\w.-]+)==([\w.+!-]+)", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.MULTILINE)
    extras = {
        "robot": ["runtime", "video", "ros"],
        "ci": ["runtime", "train", "video", "cluster", "test", "interop", "dev"],
    }
    for requirement in (Requirement(text) for extra in extras[lock] for text in setup_data["extras"][extra]):
        versions = [version for name, version in pinned if name == canonicalize_name(requirement.name)]
        assert versions, f"{requirement} is not in requirements/{lock}.txt; run `make lock`"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement}: {versions}; run `make lock`"


def test_tools_are_configured_without_a_project_table() -> None:
    assert not re.search(r"^\[project", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_continuous_integration_runs_the_command_that_the_readme_gives() -> None:
    command = (ROOT / ".ci" / "run").read_text().splitlines()[-1].removeprefix("exec ")
    assert command in (ROOT / "README.md").read_text()
