"""`desert-seg doctor`: what it finds on good and bad machines, and that it needs neither ROS nor torch for that."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from desert_seg.dds import PROFILES, TRANSPORTS
from desert_seg_train.doctor import hardware, network, software
from desert_seg_train.doctor.probe import Answer, Probe

WITHOUT_ROS_AND_TORCH = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name in ("rclpy", "torch") else find(name, *rest)
"""
FAST_DDS = Answer(True, "rmw_fastrtps_cpp")
SHIPPED = ROOT / "config" / "fastdds_shm.xml"


@pytest.fixture
def environ(monkeypatch):
    """No choices of the person who runs the tests."""
    for name in (*PROFILES, TRANSPORTS, "ROS_DISTRO", "ROS_LOCALHOST_ONLY", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def run(code, *arguments, **environment):
    command = [sys.executable, "-c", f"import sys\n{code}\nfrom desert_seg_train.cli import main; main()", "doctor"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_without_ros_and_torch_the_machine_is_examined_and_the_node_is_all_that_is_missing():
    done = run(WITHOUT_ROS_AND_TORCH, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["faults"] == 0
    (ros,) = (each for each in report["findings"] if each["subject"] == "ROS")
    assert ros["level"] == "warning"
    assert "`make setup`" in ros["cure"]
    assert all(each["cure"] for each in report["findings"] if each["level"] != "ok")
    assert report["warnings"] == sum(each["level"] == "warning" for each in report["findings"])


def test_a_fault_is_printed_with_its_cure_and_ends_with_1():
    done = run("", ROS_DOMAIN_ID="300")
    assert done.returncode == 1
    assert "fault   ROS domain          ROS_DOMAIN_ID is '300'\n" in done.stdout
    assert "cure: it must be a number from 0 to 232\n" in done.stdout
    assert "faults: 1, warnings: " in done.stdout


# ---------------------------------------------------------------------------------------------------- ROS and DDS
def test_a_middleware_that_is_not_there_is_a_fault_and_not_the_end_of_the_doctor(environ):
    pytest.importorskip("rclpy")
    environ.setenv("RMW_IMPLEMENTATION", "rmw_of_nobody")
    finding = network.ros(Probe("rclpy").answer())
    assert (finding.level, "RMW_IMPLEMENTATION" in finding.cure) == ("fault", True)


@pytest.mark.parametrize(
    ("name", "value", "level", "says"),
    [
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST", "ok", "this computer alone"),
        ("ROS_LOCALHOST_ONLY", "1", "ok", "this computer alone"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "localhost", "warning", "so the default counts"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF", "warning", "no node finds another"),
        ("ROS_DOMAIN_ID", "-1", "fault", "ROS_DOMAIN_ID is '-1'"),
    ],
)
def test_how_far_discovery_reaches_is_said(environ, name, value, level, says):
    environ.setenv(name, value)
    finding = network.domain()
    assert finding.level == level
    assert says in finding.found


def test_the_profile_that_the_node_takes_is_offered_to_the_camera_driver(environ):
    finding = network.profile(FAST_DDS)
    assert finding.level == "ok"
    assert "fastdds_shm.xml" in finding.found


@pytest.mark.parametrize(
    ("text", "level", "says"),
    [
        (SHIPPED.read_text(), "ok", "segments of 64 MiB"),
        (SHIPPED.read_text().replace("67108864", "524288"), "warning", "images may be lost"),
        ("<dds>", "fault", "is no XML"),
        (None, "fault", "cannot be read"),
    ],
    ids=["ours", "small", "cut", "absent"],
)
def test_a_profile_of_the_users_is_read(environ, tmp_path, text, level, says):
    path = tmp_path / "mine.xml"
    if text is not None:
        path.write_text(text)
    environ.setenv(network.dds.profile_variable(), str(path))
    finding = network.profile(FAST_DDS)
    assert finding.level == level
    assert says in finding.found


def test_a_profile_under_the_name_of_another_fast_dds_is_a_warning_that_gives_the_right_one(environ, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libfastrtps.so.2.14").touch()
    environ.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    environ.setenv(PROFILES[1], str(SHIPPED))
    finding = network.profile(FAST_DDS)
    assert (finding.level, finding.cure) == ("warning", f"export {PROFILES[0]}={SHIPPED}")


def test_transports_that_fast_dds_does_not_know_are_a_warning(environ):
    environ.setenv(TRANSPORTS, "udpv4")
    finding = network.profile(FAST_DDS)
    assert (finding.level, finding.cure.startswith("choose one of NONE, DEFAULT")) == ("warning", True)


def test_our_profile_is_not_offered_to_another_middleware_nor_to_who_chose_transports(environ):
    assert "rmw_cyclonedds_cpp" in network.profile(Answer(True, "rmw_cyclonedds_cpp")).found
    environ.setenv(TRANSPORTS, "UDPv4")
    assert "UDPv4" in network.profile(FAST_DDS).found


def test_shared_memory_without_room_or_with_another_users_segments_is_a_warning(environ, tmp_path):
    assert network.shared_memory(tmp_path / "nowhere").level == "warning"
    (tmp_path / "fastdds_1234").touch()
    assert network.shared_memory(tmp_path).level == "ok"
    if os.geteuid() == 0:
        os.chown(tmp_path / "fastdds_1234", 4321, 4321)
        assert "user 4321" in network.shared_memory(tmp_path).found
    environ.setattr("desert_seg.dds.ROOM_BYTES", 1 << 62)
    assert "images may be lost" in network.shared_memory(tmp_path).found


@pytest.mark.parametrize(("size", "level"), [("212992", "warning"), ("16777216", "ok"), ("?", "ok")])
def test_a_socket_that_holds_no_image_is_a_warning(tmp_path, size, level):
    (tmp_path / "rmem_max").write_text(size)
    assert network.socket_buffers(tmp_path).level == level


# ---------------------------------------------------------------------------------------------------- software
def test_a_package_that_is_not_installed_where_the_ament_index_says_is_a_fault_with_its_cure(environ, tmp_path):
    environ.setattr(sys, "prefix", str(tmp_path))
    environ.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    finding = software.installation()
    assert finding.level == "fault"
    assert "AMENT_PREFIX_PATH" in finding.cure
    assert software.model().level == "fault"


def test_an_engine_that_does_not_load_is_a_fault_and_the_others_still_count(environ, tmp_path):
    (tmp_path / "openvino.py").write_text("raise ImportError('libopenvino.so: no such file')")
    environ.setenv("PYTHONPATH", str(tmp_path))
    environ.syspath_prepend(str(tmp_path))
    found = {finding.subject: finding for finding in software.engines(software.start_engines())}
    assert found["engine openvino"].level == "fault"
    assert "libopenvino.so: no such file" in found["engine openvino"].found


def test_what_auto_takes_is_said():
    found = {finding.subject: finding for finding in software.engines(software.start_engines())}
    assert found["engine auto"].level == "ok"
    assert found["engine auto"].found.startswith("takes ")


# ---------------------------------------------------------------------------------------------------- hardware
def test_a_gpu_without_its_driver_or_without_torch_is_a_warning(environ, tmp_path):
    environ.setattr(hardware, "has_cuda_driver", lambda: False)
    assert hardware.gpu(None, tmp_path).level == "ok"
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "vendor").write_text("0x10de\n")
    (tmp_path / "0000:01:00.0" / "class").write_text("0x030200\n")
    assert "no driver" in hardware.gpu(None, tmp_path).found
    environ.setattr(hardware, "has_cuda_driver", lambda: True)
    assert "torch, which uses it, is not installed" in hardware.gpu(None, tmp_path).found
    assert hardware.gpu(Answer(False, "torch 2.14 finds no CUDA device"), tmp_path).level == "warning"
    assert hardware.gpu(Answer(True, "H100 with CUDA 13.0"), tmp_path).level == "ok"


def test_little_memory_and_a_cache_that_cannot_be_written_are_warnings(environ, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable: 500000 kB\n")
    assert hardware.memory(tmp_path / "meminfo").level == "warning"
    environ.setenv("XDG_CACHE_HOME", str(tmp_path / "meminfo"))
    assert hardware.cache().level == "warning"
    environ.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    assert hardware.cache().level == "ok"
    assert not (tmp_path / "new").exists()
