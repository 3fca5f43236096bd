"""What keeps ROS from starting is said with the cure for this very cause."""

from __future__ import annotations

import os

import pytest

from desert_seg.errors import DesertSegError

rclpy = pytest.importorskip("rclpy")

from desert_seg_ros.environment import node_cure, require_ros, start_ros, use_dds_profile  # noqa: E402
from desert_seg_ros.remappings import unused_remappings  # noqa: E402


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (("-r", "__ns:=front"), "begin a namespace with /"),
        (("-r", "__ns:=/front-left"), "begin a namespace with /"),
        (("-r", "image:=/camera/image-raw"), "use letters, digits, _ and / only"),
        (("-p", "image-transport:=raw"), "write -p NAME:=VALUE with a name of those in"),
        (("--params-file", "/none.yaml"), "give --params-file the path of a file that exists"),
        (("--params-file", "{flat}"), "write the file as config/segment.yaml is"),
        (("--params-file", "{empty}"), "write a value behind every name"),
        (("--params-file", "{mixed}"), "write the items of a list in the file alike"),
        (("-r", "image:=/camera/image_raw/"), "no / at the end"),
        (("--log-level", "loud"), "choose debug, info, warn, error or fatal"),
        (("--rate", "2"), "and the command's own options before --ros-args"),
        (("-p",), "write what follows --ros-args as"),
    ],
)
def test_arguments_that_ros_does_not_take_are_refused_with_how_to_write_them(tmp_path, arguments, cure):
    (tmp_path / "flat").write_text("image_transport: compressed\n")
    for name, value in (("empty", ""), ("mixed", "[front, 2]")):
        (tmp_path / name).write_text(f"/**:\n  ros__parameters:\n    cameras: {value}\n")
    paths = {name: tmp_path / name for name in ("flat", "empty", "mixed")}
    context = rclpy.context.Context()
    with pytest.raises(DesertSegError, match="ROS did not start") as caught:
        start_ros(["--ros-args", *(word.format(**paths) for word in arguments)], context=context)
    assert cure in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "cameras", "cure"),
    [
        (("image_raw:=/cam",), [""], "-r image:=/cam"),
        (("/camera/image_raw:=/cam",), [""], "-r image:=/cam"),
        (("other:image:=/cam",), [""], "-r image:=/cam"),
        (("image:=/cam",), ["front", "left"], "-r front/image:=/cam"),
        (("segment:image:=/cam", "/scan:=/lidar"), [""], None),
        (("image/compressed:=/cam", "/scan:=/lidar"), [""], None),
        (("left/image:=/cam", "image:=/cam"), ["front", "left"], None),
        (("~/mask:=/mask", "/tf:=tf", "__ns:=/robot", "rosservice://~/enable:=/on"), [""], None),
    ],
)
def test_a_remapping_that_was_meant_for_the_images_and_is_of_no_topic_is_named(rules, cameras, cure):
    arguments = ["--ros-args", *(word for rule in rules for word in ("-r", rule))]
    context = rclpy.context.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("segment", context=context, cli_args=arguments, use_global_arguments=False)
    sentences = unused_remappings(arguments, node, cameras)
    node.destroy_node()
    rclpy.shutdown(context=context)
    assert [sentence.partition(": ")[2] for sentence in sentences] == ([] if cure is None else [cure])


def test_a_namespace_that_no_node_can_have_is_answered_with_how_to_write_it():
    context = rclpy.context.Context()
    rclpy.init(context=context)
    with pytest.raises(Exception, match="must not end") as caught:
        rclpy.create_node("segment", namespace="/robot/", context=context)
    rclpy.shutdown(context=context)
    assert "end it with none" in node_cure(str(caught.value))


def test_a_middleware_that_is_not_installed_is_named_with_those_that_are(tmp_path, monkeypatch):
    index = tmp_path / "share" / "ament_index" / "resource_index" / "rmw_typesupport"
    index.mkdir(parents=True)
    for name in ("rmw_fastrtps_cpp", "rmw_implementation"):
        (index / name).touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join([str(tmp_path), os.environ.get("AMENT_PREFIX_PATH", "")]))
    for name in ("rmw_fastrtps_cpp", ""):
        monkeypatch.setenv("RMW_IMPLEMENTATION", name)
        require_ros()
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_none_cpp")
    with pytest.raises(DesertSegError, match=r"rmw_fastrtps_cpp; install ros-\$ROS_DISTRO-rmw-none-cpp, or unset it"):
        require_ros()


@pytest.mark.parametrize(
    ("value", "middleware", "is_told"),
    [
        ("large_data", "", True),
        ("UDP", "rmw_fastrtps_cpp", True),
        ("UDP", "rmw_cyclonedds_cpp", False),
        ("UDPv4", "", False),
        ("LARGE_DATA?max_msg_size=1MB", "", False),
    ],
)
def test_transports_that_fast_dds_does_not_know_are_named(tmp_path, monkeypatch, caplog, value, middleware, is_told):
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", value)
    if middleware:
        monkeypatch.setenv("RMW_IMPLEMENTATION", middleware)
    use_dds_profile(tmp_path / "ours.xml")
    assert (f"is '{value}', for which Fast DDS takes DEFAULT" in caplog.text) == is_told
    assert ("choose one of NONE, DEFAULT" in caplog.text) == is_told


@pytest.mark.parametrize("name", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"])
def test_a_profile_that_is_not_there_or_no_xml_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, str(tmp_path / "none.xml"))
    with pytest.raises(DesertSegError, match=f"{name} is .*none.xml', and there is no such file; correct or unset it"):
        use_dds_profile(tmp_path / "ours.xml")
    (tmp_path / "none.xml").write_text("<dds><profiles>")
    with pytest.raises(DesertSegError, match=f"{name} is .*none.xml', which is no profile in XML .*; correct or unset"):
        use_dds_profile(tmp_path / "ours.xml")
