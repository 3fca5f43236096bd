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
        on_exit = self._ExecuteLocal__on_exit
        started.append(Process(tuple(self.process_details["cmd"]), self.process_details["env"], on_exit is not None))

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
    """An installation of ours alone, with a program that does nothing."""
    install(tmp_path, "desert_seg_ros", "segment_node")
    (tmp_path / "share" / "desert_seg_ros").mkdir()
    for folder in ("config", "launch"):
        (tmp_path / "share" / "desert_seg_ros" / folder).symlink_to(ROOT / folder)
    return tmp_path


def install(prefix: Path, package: str, program: str) -> None:
    """A package with a program that does nothing."""
    executable = prefix / "lib" / package / program
    executable.parent.mkdir(parents=True, exist_ok=True)
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    marker = prefix / "share/ament_index/resource_index/packages" / package
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


@pytest.fixture
def processes(prefix: Path) -> Callable[..., list[Process]]:
    """Evaluates the launch file, or another, with arguments."""

    def run(environment: Mapping[str, str] | None = None, path: Path = LAUNCH_FILE, **arguments: str) -> list[Process]:
        clean = {name: value for name, value in os.environ.items() if name not in (PROFILE, OLD_PROFILE)}
        return evaluate(path, arguments, clean | {"AMENT_PREFIX_PATH": str(prefix)} | (environment or {}))

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
    assert not node.ends_the_launch
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
    install(prefix, "rviz2", "rviz2")
    params_file = tmp_path / "mine.yaml"
    params_file.write_text("/**:\n  ros__parameters:\n    tta: flip\n")
    given = {
        "namespace": "front",
        "name": "eyes",
        "image": "cam/image",
        "camera_info": "cam/info",
        "cameras": "front",
        "artifact": "/models/mine",
        "engine": "torch",
        "device": "cpu",
        "speed": "fast",
        "tta": "full",
        "image_transport": "compressed",
        "use_sim_time": "true",
        "params_file": str(params_file),
        "log_level": "debug",
        "rviz": "true",
        "on_exit": "shutdown",
    }
    assert given.keys() | {"dds_profile"} == arguments().keys()
    node, rviz = processes(**given)
    assert node.ends_the_launch
    assert not rviz.ends_the_launch
    overrides = node.command[node.command.index(str(params_file)) + 2]
    assert node.command == (
        f"{prefix}/lib/desert_seg_ros/segment_node",
        *("--ros-args", "--log-level", "debug"),
        "--ros-args",
        *("-r", "__node:=eyes"),
        *("-r", "__ns:=/front"),
        *("--params-file", str(params_file)),
        *("--params-file", overrides),
        *("-r", "front/image:=cam/image"),
        *("-r", "front/image/compressed:=cam/image/compressed"),
        *("-r", "front/image/ffmpeg:=cam/image/ffmpeg"),
        *("-r", "front/image/foxglove:=cam/image/foxglove"),
        *("-r", "front/camera_info:=cam/info"),
    )
    assert yaml.safe_load(Path(overrides).read_text()) == {
        "/front/eyes": {
            "ros__parameters": {
                "artifact": "/models/mine",
                "engine": "torch",
                "device": "cpu",
                "speed": "fast",
                "tta": "full",
                "image_transport": "compressed",
                "use_sim_time": True,
                "cameras": ["front"],
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
        *("-r", "/segment/mask_color:=eyes/front/mask_color"),
        *("-r", "/segment/overlay:=eyes/front/overlay"),
    )


def remappings_of(process: Process) -> set[str]:
    """What its topics are remapped to."""
    return {word for word in process.command if ":=" in word and not word.startswith("__")}


def remapped(camera: str, image: str, camera_info: str) -> set[str]:
    """The same as it is to be for one camera."""
    kinds = {f"{camera}/image/{kind}:={image}/{kind}" for kind in ("compressed", "ffmpeg", "foxglove")}
    return {f"{camera}/image:={image}", f"{camera}/camera_info:={camera_info}"} | kinds


@pytest.mark.parametrize(
    ("cameras", "image"),
    [
        ("front,left", "/front/image_raw,left/image_raw"),
        ("[front, left]", "[/front/image_raw, left/image_raw]"),
        ("['front', \"left\"]", "['/front/image_raw', 'left/image_raw']"),
    ],
)
def test_every_camera_of_a_list_has_its_own_topics(
    cameras: str, image: str, processes: Callable[..., list[Process]]
) -> None:
    (node,) = processes(cameras=cameras, image=image)
    assert parameters_of(node) == {"cameras": ["front", "left"]}
    left = remapped("left", "left/image_raw", "left/camera_info")
    assert remappings_of(node) == remapped("front", "/front/image_raw", "/front/camera_info") | left
    (node,) = processes(cameras=cameras, image=image, camera_info="/one,/two")
    left = remapped("left", "left/image_raw", "/two")
    assert remappings_of(node) == remapped("front", "/front/image_raw", "/one") | left


@pytest.mark.parametrize(
    ("image", "camera_info"), [("/cam/image_raw", "/cam/camera_info"), ("/image", "/camera_info"), ("i", "camera_info")]
)
def test_a_calibration_that_is_not_named_is_the_one_beside_the_image(
    image: str, camera_info: str, processes: Callable[..., list[Process]]
) -> None:
    for given in (image, f"{image}/compressed", f"{image}/ffmpeg"):  # the base name, or the topic of one transport
        (node,) = processes(image=given)
        expected = {f"image:={image}", f"image/compressed:={image}/compressed", f"camera_info:={camera_info}"}
        assert expected <= remappings_of(node)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cameras": "front,left"}, "image: found 1 topics for 2 names in cameras; give one for each, like"),
        ({"image": "/front,/left"}, "image: found 2 topics for 0 names in cameras"),
        ({"image": ""}, "image: found no topic; give that of a camera"),
        ({"cameras": "a,b", "image": "c,d", "camera_info": "e"}, "camera_info: found 1 topics for 2 images"),
    ],
)
def test_lists_of_different_lengths_stop_the_launch(
    wrong: dict[str, str], message: str, processes: Callable[..., list[Process]]
) -> None:
    with pytest.raises(RuntimeError, match=message):
        processes(**wrong)


def test_the_documentation_s_launch_file_for_several_cameras_starts_one_node_for_them(
    processes: Callable[..., list[Process]], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "cameras.md").read_text()
    path = tmp_path / "robot.launch.py"
    path.write_text(page.split("```python\n")[1].split("```")[0])
    (node,) = processes(path=path)
    assert parameters_of(node) == {"cameras": ["front", "left"]}
    left = remapped("left", "/left/image_raw", "/left/camera_info")
    assert remappings_of(node) == remapped("front", "/front/image_raw", "/front/camera_info") | left


def test_an_argument_that_is_not_given_leaves_the_params_file_alone(processes: Callable[..., list[Process]]) -> None:
    (node,) = processes(tta="flip")
    files = [node.command[i + 1] for i, word in enumerate(node.command) if word == "--params-file"]
    assert yaml.safe_load(Path(files[-1]).read_text()) == {"/segment": {"ros__parameters": {"tta": "flip"}}}


def parameters_of(process: Process) -> dict[str, Any]:
    """What its last parameter file sets, whatever the node's name."""
    file = process.command[len(process.command) - process.command[::-1].index("--params-file")]
    (node,) = yaml.safe_load(Path(file).read_text()).values()
    return dict(node["ros__parameters"])


@pytest.mark.parametrize("word", ["true", "True", "1", "false", "False", "0"])
def test_truth_is_understood_as_people_other_launch_files_and_scripts_write_it(
    word: str, processes: Callable[..., list[Process]], prefix: Path
) -> None:
    install(prefix, "rviz2", "rviz2")
    node, *rviz = processes(use_sim_time=word, rviz=word)
    is_true = word in ("true", "True", "1")
    assert parameters_of(node)["use_sim_time"] is is_true
    assert len(rviz) == is_true


@pytest.mark.parametrize(("word", "is_true"), [("True", True), ("0", False)])
def test_the_benchmark_s_launch_file_understands_truth_likewise(
    word: str, is_true: bool, processes: Callable[..., list[Process]], prefix: Path
) -> None:
    install(prefix, "desert_seg_ros", "desert-seg-benchmark")
    (benchmark,) = processes(path=ROOT / "launch" / "benchmark.launch.py", deterministic=word)
    assert ("--deterministic" in benchmark.command) is is_true


def test_a_launch_file_that_declares_use_sim_time_as_nav2_s_do_includes_ours(
    processes: Callable[..., list[Process]], tmp_path: Path
) -> None:
    path = tmp_path / "robot.launch.py"
    path.write_text(
        "from launch import LaunchDescription\n"
        "from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription\n"
        "from launch.substitutions import PathJoinSubstitution\n"
        "from launch_ros.substitutions import FindPackageShare\n"
        "ours = PathJoinSubstitution([FindPackageShare('desert_seg_ros'), 'launch', 'segment.launch.py'])\n"
        "def generate_launch_description():\n"
        "    declared = DeclareLaunchArgument('use_sim_time', default_value='True', description='Simulated time')\n"
        "    return LaunchDescription([declared, IncludeLaunchDescription(ours)])\n"
    )
    (node,) = processes(path=path)
    assert parameters_of(node) == {"use_sim_time": True}


def test_of_the_two_instances_in_the_documentation_neither_has_the_other_s_arguments(
    processes: Callable[..., list[Process]], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "cameras.md").read_text()
    path = tmp_path / "two.launch.py"
    path.write_text(page.split("```python\n")[2].split("```")[0])
    front, rear = processes(path=path)
    assert {"__ns:=/front", "image:=/front/image_raw"} <= set(front.command)
    assert {"__ns:=/rear", "image:=/rear/image_raw", "camera_info:=/rear/camera_info"} <= set(rear.command)
    assert parameters_of(front) == {"image_transport": "compressed"}
    assert not any("launch_params" in word for word in rear.command)


def test_without_rviz_installed_that_is_said_in_a_line_and_the_node_starts_alone(
    processes: Callable[..., list[Process]], capsys: pytest.CaptureFixture[str]
) -> None:
    (node,) = processes(rviz="true")
    assert node.command[0].endswith("segment_node")
    if not GENUINE:  # whose log goes where it was set up to go
        assert capsys.readouterr().out == (
            "rviz:=true, but rviz2 is not installed: it is left out (apt install ros-$ROS_DISTRO-rviz2)\n"
        )


def test_where_fast_dds_is_of_version_2_the_profile_has_its_older_name(
    processes: Callable[..., list[Process]], prefix: Path
) -> None:
    (prefix / "lib" / "libfastrtps.so.2.14").touch()
    (node,) = processes()
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


def test_files_may_be_in_the_home_folder_and_without_one_of_parameters_they_are_at_their_defaults(
    processes: Callable[..., list[Process]], tmp_path: Path
) -> None:
    for name in ("mine.yaml", "mine.xml"):
        (tmp_path / name).touch()
    home = {"HOME": str(tmp_path)}
    (node,) = processes(environment=home, params_file="~/mine.yaml", dds_profile="~/mine.xml")
    assert node.command[node.command.index("--params-file") + 1] == f"{tmp_path}/mine.yaml"
    assert node.environment[PROFILE] == f"{tmp_path}/mine.xml"
    (node,) = processes(params_file="")
    assert "--params-file" not in node.command


@pytest.mark.parametrize("argument", ["params_file", "dds_profile"])
def test_a_file_that_is_not_there_stops_the_launch(argument: str, processes: Callable[..., list[Process]]) -> None:
    with pytest.raises(RuntimeError, match=f"{argument}: there is no file '/nowhere'"):
        processes(**{argument: "/nowhere"})


@pytest.mark.parametrize("wrong", [{"tta": "most"}, {"rviz": "perhaps"}, {"on_exit": "respawn"}, {"log_level": "loud"}])
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
    for name in ("artifact", "engine", "device", "speed", "tta", "image_transport"):
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
