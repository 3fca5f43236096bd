"""scripts/bootstrap.py: what it decides and how it says no. test_bootstrap_pythons.py installs."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT


@pytest.fixture
def bootstrap() -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def no_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DISTRO", raising=False)


def test_a_sourced_ros_is_used(bootstrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/jazzy")
    assert bootstrap.sourced_ros() == "jazzy"


def test_a_sourced_ros_of_another_python_is_an_error(bootstrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/jazzy")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"ROS 2 jazzy is sourced but .* cannot import rclpy; run this with"):
        bootstrap.sourced_ros()


def test_a_container_that_names_a_distribution_but_sources_none_gets_wheels(
    bootstrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert bootstrap.sourced_ros() is None


def test_without_ros_and_without_wheels_there_is_one_sentence(bootstrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(SystemExit, match=r"no ROS 2 wheels for linux on aarch64.*; install ROS 2"):
        bootstrap.sourced_ros()


def test_a_python_without_ensurepip_is_told_what_to_install(
    bootstrap: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"sudo apt install python3\.\d+-venv"):
        bootstrap.create(None)


def test_a_half_written_stamp_counts_as_nothing_installed(
    bootstrap: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stamp = tmp_path / "bootstrap.json"
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    stamp.write_text('{"base": "3.10"}')
    assert bootstrap.installed() == {"base": "3.10"}
    stamp.write_text('{"base": "3.')
    assert bootstrap.installed() == {}


def test_a_path_that_no_environment_can_have_is_one_sentence(bootstrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "VENV", Path("/of:two/.venv"))
    with pytest.raises(SystemExit, match=r"found ':' in the path .*, expected none; move the checkout"):
        bootstrap.create(None)


def test_a_pip_that_installed_elsewhere_is_one_sentence(
    bootstrap: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    with pytest.raises(SystemExit, match=r"found 0 files .*entry_points\.txt .*, expected one; look for"):
        bootstrap.link_executables()


def test_an_edited_or_added_file_is_noticed(bootstrap: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    module = tmp_path / "desert_seg" / "module.py"
    module.parent.mkdir()
    module.write_text("before")
    hashes = [bootstrap.digest(*bootstrap.source_files())]
    module.write_text("after!")
    hashes.append(bootstrap.digest(*bootstrap.source_files()))
    module.with_name("other.py").touch()
    hashes.append(bootstrap.digest(*bootstrap.source_files()))
    assert len(set(hashes)) == 3


def test_what_is_installed_is_what_setup_py_installs(bootstrap: Any) -> None:
    listed = {path.name for path in bootstrap.source_files()}
    assert {"package.xml", "setup.py", "setup.cfg", "desert_seg_ros", "segment.launch.py", "node.py"} <= listed
