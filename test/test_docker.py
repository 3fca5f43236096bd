"""What can be said of the Dockerfile without Docker."""

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

# One line for each instruction.
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE))


def instructions(name):
    """Arguments of every instruction of a name."""
    return re.findall(rf"^{name} +(.+)$", INSTRUCTIONS, re.MULTILINE)


def sources():
    """What is copied from the checkout."""
    return [source.rstrip("/") for line in instructions("COPY") for source in line.split()[:-1]]


def is_ignored(path):
    """Whether .dockerignore keeps a name at the top of the checkout out; the last rule that matches wins."""
    ignored = False
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        if rule and not rule.startswith("#") and fnmatch.fnmatch(path, rule.removeprefix("!").removeprefix("**/")):
            ignored = not rule.startswith("!")
    return ignored


def tracked():
    """Names at the top of the checkout that hold something git knows."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this copy of the project is no git checkout")
    return {name.split("/")[0] for name in done.stdout.rstrip("\0").split("\0")}


def test_the_image_stands_on_ros_jazzy_perception():
    assert instructions("FROM") == ["ros:jazzy-perception"]


def test_everything_that_is_copied_is_in_git_and_reaches_docker():
    assert sources()
    assert set(sources()) <= tracked()
    assert not [source for source in sources() if is_ignored(source)]


def test_everything_that_setup_py_installs_from_is_copied():
    listing = "import json; from setuptools import find_packages as f; print(json.dumps(f(include=['desert_seg*'])))"
    done = subprocess.run([sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name for name in json.loads(done.stdout) if "." not in name}
    folders = set(re.findall(r'"(\w+)"', re.search(r"for folder in \((.+?)\)", (ROOT / "setup.py").read_text())[1]))
    assert folders
    assert packages | folders | {"package.xml", "resource", "setup.cfg", "setup.py"} <= set(sources())


@pytest.mark.parametrize("name", [".git", ".venv", ".venv-jazzy", "out", "runs", "build", "install", "log", "test"])
def test_docker_is_not_sent_what_no_image_needs(name):
    assert is_ignored(name)


def test_compiled_python_stays_out():
    assert is_ignored("__pycache__")


def test_only_the_runtime_is_installed_and_that_extra_exists():
    extras = {extra for group in re.findall(r'"\.\[([\w,-]+)\]"', INSTRUCTIONS) for extra in group.split(",")}
    assert extras == {"runtime"}
    assert '"runtime": [' in (ROOT / "setup.py").read_text()


def test_the_linked_executables_are_entry_points():
    (names,) = re.findall(r"ln -s \S+/\{(.+?)\}", INSTRUCTIONS)
    for name in names.split(","):
        assert f'"{name} = ' in (ROOT / "setup.py").read_text(), name
    launched = re.findall(r'executable="([\w-]+)"', "".join(path.read_text() for path in (ROOT / "launch").iterdir()))
    assert set(launched) - {"rviz2"} <= set(names.split(","))


def test_the_entrypoint_sources_ros_and_hands_its_arguments_to_the_launch_file(tmp_path):
    (tmp_path / "setup.bash").write_text("export SOURCED=yes\n")
    stand_in = tmp_path / "ros2"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$SOURCED" "$@"\n')
    stand_in.chmod(0o755)
    (entrypoint,) = instructions("ENTRYPOINT")
    command = json.loads(entrypoint.replace("/opt/ros/jazzy", str(tmp_path)))
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    arguments = ["image:=/my_camera/image_raw", "name:=a b"]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["yes", "launch", "desert_seg_ros", "segment.launch.py", *arguments]


def test_all_that_is_written_is_below_tmp_so_that_the_root_can_be_read_only():
    settings = dict(pair.split("=", 1) for line in instructions("ENV") for pair in line.split())
    assert settings["ROS_LOG_DIR"].startswith("/tmp/")
    assert settings["XDG_CACHE_HOME"].startswith("/tmp/")
    assert instructions("WORKDIR")[-1] == "/tmp"
    assert "--read-only --tmpfs /tmp --cap-drop=ALL" in (ROOT / "docs" / "reliability.md").read_text()


def test_the_run_command_in_the_dockerfile_uses_a_launch_argument_there_is():
    (command,) = re.findall(r"^# +(docker run .+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    (argument,) = [word.split(":=")[0] for word in shlex.split(command) if ":=" in word]
    assert f'"{argument}"' in (ROOT / "launch" / "segment.launch.py").read_text()
