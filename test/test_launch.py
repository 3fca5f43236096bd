"""segment.launch.py, evaluated to its exact command lines, and one of them run for real."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import launch_stand_in
import pytest
import yaml
from conftest import ROOT, Workspace
from launch_stand_in import Process

from desert_seg_ros.parameters import NodeParameters

LAUNCH_FILE = ROOT / "launch" / "segment.launch.py"
PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"
OLD_PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"


def evaluate_genuinely(path: Path, arguments: Mapping[str, str], environment: Mapping[str, str]) -> list[Process]:
    """`launch_stand_in.evaluate` with the genuine `launch`, which stops short of starting the processes."""
    from launch import LaunchContext
    from launch.actions import ExecuteLocal
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    started: list[Process] = []

    def record(self: Any, context: Any) -> None:
        self.prepare(context)
        started.append(Process(tuple(self.process_details["cmd"]), self.process_details["env"]))

    def visit(entity: Any) -> None:
        for child in entity.visit(context) or []:
            visit(child)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExecuteLocal, "execute", record)
        patch.setattr(os, "environ", dict(environment))
        context = LaunchContext()
        context.launch_configurations.update(arguments)
        visit(get_launch_description_from_python_launch_file(str(path)))
    return started


GENUINE = importlib.util.find_spec("launch_ros") is not None
evaluate = evaluate_genuinely if GENUINE else launch_stand_in.evaluate


@pytest.fixture(autouse=True)
def parameter_files_go_with_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch leaves the parameter files it writes; here they are left in the test's own folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An installation with our share folder and two programs that do nothing."""
    for package, program in (("desert_seg_ros", "segment_node"), ("rviz2", "rviz2")):
        executable = tmp_path / "lib" / package / program
        executable.parent.mkdir(parents=True)
        executable.write_text("#!/bin/sh\n")
        executable.chmod(0o755)
        marker = tmp_path / "share/ament_index/resource_index/packages" / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    (tmp_path / "share" / "desert_seg_ros").mkdir()
    (tmp_path / "share" / "desert_seg_ros" / "config").symlink_to(ROOT / "config")
    return tmp_path


@pytest.fixture
def processes(prefix: Path) -> Callable[..., list[Process]]:
    """Evaluates the launch file with arguments."""

    def run(environment: Mapping[str, str] | None = None, **arguments: str) -> list[Process]:
        unset = (PROFILE, OLD_PROFILE, "ROS_DISTRO")
        clean = {name: value for name, value in os.environ.items() if name not in unset}
        return evaluate(LAUNCH_FILE, arguments, clean | {"AMENT_PREFIX_PATH": str(prefix)} | (environment or {}))

    return run


def arguments() -> dict[str, launch_stand_in.DeclareLaunchArgument]:
    return {
        item.name: item
        for item in launch_stand_in.load(LAUNCH_FILE).entities
        if isinstance(item, launch_stand_in.DeclareLaunchArgument)
    }


def test_without_arguments_the_command_line_is_exactly_this(
    processes: Callable[..., list[Process]], prefix: Path
) -> None:
    (node,) = processes()
    share = prefix / "share" / "desert_seg_ros"
    assert node.command == (
        f"{prefix}/lib/desert_seg_ros/segment_node",
        *("--ros-args", "--log-level", "info"),
        "--ros-args",
        *("-r", "__node:=segment"),
        *("-r", "__ns:=/"),
        *("--params-file", f"{share}/config/segment.yaml"),
        *("-r", "image:=/camera/image_raw"),
        *("-r", "image/compressed:=/camera/image_raw/compressed"),
        *("-r", "image/ffmpeg:=/camera/image_raw/ffmpeg"),
        *("-r", "image/foxglove:=/camera/image_raw/foxglove"),
        *("-r", "camera_info:=/camera/camera_info"),
    )
    assert node.environment[PROFILE] == f"{share}/config/fastdds_shm.xml"
    assert OLD_PROFILE not in node.environment


def test_every_argument_reaches_the_command_line(
    processes: Callable[..., list[Process]], prefix: Path, tmp_path: Path
) -> None:
    params_file = tmp_path / "mine.yaml"
    params_file.write_text("/**:\n  ros__parameters:\n    tta: flip\n")
    given = {
        "namespace": "front",
        "name": "eyes",
        "image": "cam/image",
        "camera_info": "cam/info",
        "artifact": "/models/mine",
        "engine": "torch",
        "device": "cpu",
        "tta": "full",
        "image_transport": "compressed",
        "use_sim_time": "true",
        "params_file": str(params_file),
        "log_level": "debug",
        "rviz": "true",
    }
    assert given.keys() | {"dds_profile"} == arguments().keys()
    node, rviz = processes(**given)
    overrides = node.command[node.command.index(str(params_file)) + 2]
    assert node.command == (
        f"{prefix}/lib/desert_seg_ros/segment_node",
        *("--ros-args", "--log-level", "debug"),
        "--ros-args",
        *("-r", "__node:=eyes"),
        *("-r", "__ns:=/front"),
        *("--params-file", str(params_file)),
        *("--params-file", overrides),
        *("-r", "image:=cam/image"),
        *("-r", "image/compressed:=cam/image/compressed"),
        *("-r", "image/ffmpeg:=cam/image/ffmpeg"),
        *("-r", "image/foxglove:=cam/image/foxglove"),
        *("-r", "camera_info:=cam/info"),
    )
    assert yaml.safe_load(Path(overrides).read_text()) == {
        "/front/eyes": {
            "ros__parameters": {
                "artifact": "/models/mine",
                "engine": "torch",
                "device": "cpu",
                "tta": "full",
                "image_transport": "compressed",
                "use_sim_time": True,
            }
        }
    }
    assert rviz.command == (
        f"{prefix}/lib/rviz2/rviz2",
        *("-d", f"{prefix}/share/desert_seg_ros/config/desert_seg.rviz"),
        "--ros-args",
        *("-r", "__node:=desert_seg_rviz"),
        *("-r", "__ns:=/front"),
        *("-r", "/camera/image_raw:=cam/image"),
        *("-r", "/segment/mask_color:=eyes/mask_color"),
        *("-r", "/segment/overlay:=eyes/overlay"),
    )


def test_an_argument_that_is_not_given_leaves_the_params_file_alone(processes: Callable[..., list[Process]]) -> None:
    (node,) = processes(tta="flip")
    files = [node.command[i + 1] for i, word in enumerate(node.command) if word == "--params-file"]
    assert yaml.safe_load(Path(files[-1]).read_text()) == {"/segment": {"ros__parameters": {"tta": "flip"}}}


@pytest.mark.parametrize("distribution", ["humble", "jazzy"])
def test_older_distributions_get_the_dds_profile_under_its_older_name(
    distribution: str, processes: Callable[..., list[Process]]
) -> None:
    (node,) = processes(environment={"ROS_DISTRO": distribution})
    assert node.environment[OLD_PROFILE].endswith("config/fastdds_shm.xml")
    assert PROFILE not in node.environment


def test_a_dds_profile_of_the_environment_is_kept_and_an_empty_one_sets_nothing(
    processes: Callable[..., list[Process]], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.xml"
    mine.touch()
    (node,) = processes(environment={PROFILE: str(mine)})
    assert node.environment[PROFILE] == str(mine)
    (node,) = processes(dds_profile="")
    assert not node.environment.keys() & {PROFILE, OLD_PROFILE}


@pytest.mark.parametrize("argument", ["params_file", "dds_profile"])
def test_a_file_that_is_not_there_stops_the_launch(argument: str, processes: Callable[..., list[Process]]) -> None:
    with pytest.raises(RuntimeError, match=f"{argument}: there is no file '/nowhere'"):
        processes(**{argument: "/nowhere"})


@pytest.mark.parametrize("wrong", [{"tta": "most"}, {"rviz": "perhaps"}, {"log_level": "loud"}])
def test_a_value_that_is_no_choice_stops_the_launch(
    wrong: dict[str, str], processes: Callable[..., list[Process]]
) -> None:
    with pytest.raises(RuntimeError, match=next(iter(wrong))):
        processes(**wrong)


def test_every_argument_is_described() -> None:
    for name, argument in arguments().items():
        assert len(argument.description) > 10, name


def test_choices_are_those_of_the_node() -> None:
    fields = {item.name: item for item in dataclasses.fields(NodeParameters)}
    declared = arguments()
    for name in ("artifact", "engine", "device", "tta", "image_transport"):
        assert tuple(declared[name].choices or ("",))[1:] == fields[name].metadata["choices"], name


def test_the_shipped_params_file_holds_every_parameter_at_its_default() -> None:
    values = yaml.safe_load((ROOT / "config" / "segment.yaml").read_text())["/**"]["ros__parameters"]
    defaults = dataclasses.asdict(NodeParameters())
    assert values == {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


@pytest.mark.slow
def test_the_evaluated_command_line_runs_and_ends_cleanly(workspace: Workspace, tmp_path: Path) -> None:
    import rclpy

    (process,) = evaluate(LAUNCH_FILE, {}, workspace.environment)
    log = tmp_path / "node.log"
    with log.open("w") as output:
        node = subprocess.Popen(
            process.command, env=dict(process.environment), cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        with rclpy.init():
            watcher = rclpy.create_node("watcher")
            deadline = time.monotonic() + 60
            while not watcher.get_publishers_info_by_topic("/segment/mask"):
                assert node.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"no /segment/mask after 60 s: {log.read_text()}"
                rclpy.spin_once(watcher, timeout_sec=0.1)
            watcher.destroy_node()
        node.send_signal(signal.SIGINT)
        assert node.wait(timeout=30) == 0, log.read_text()
        assert "Error" not in log.read_text(), "Fast DDS says so when it cannot read the profile"
    finally:
        node.kill()


def test_the_stand_in_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "other.launch.py"
    path.write_text("from launch.actions import TimerAction\n")
    with pytest.raises(ImportError, match="TimerAction"):
        launch_stand_in.load(path)
    with pytest.raises(TypeError, match="respawn"):
        launch_stand_in.Node(package="a", executable="b", respawn=True)  # type: ignore[call-arg]
    with pytest.raises(RuntimeError, match="there are no launch arguments"):
        launch_stand_in.evaluate(LAUNCH_FILE, {"colour": "red"}, dict(os.environ))
    assert "launch" not in sys.modules or GENUINE
