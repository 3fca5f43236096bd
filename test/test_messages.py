"""Results as ROS messages, where that is not seen over DDS: the class list with vision_msgs, and calibrations."""

import importlib.util
import json
import sys
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402
from std_msgs.msg import Header, String  # noqa: E402

import desert_seg_ros.messages as installed  # noqa: E402
from desert_seg.labels import IGNORE, load_label_map  # noqa: E402
from desert_seg_ros import class_list  # noqa: E402

LABELS = load_label_map("falcon7").labels


class VisionClass:
    """As vision_msgs defines it: uint16 class_id, string class_name."""

    __slots__ = ("class_id", "class_name")

    def __init__(self, class_id=0, class_name=""):
        self.class_id, self.class_name = class_id, class_name


class LabelInfo:
    """As vision_msgs defines it: std_msgs/Header header, VisionClass[] class_map, float32 threshold."""

    __slots__ = ("class_map", "header", "threshold")

    def __init__(self, header=None, class_map=(), threshold=0.0):
        self.header, self.class_map, self.threshold = header or Header(), class_map, threshold


@pytest.fixture
def messages(monkeypatch):
    """The module as it is where vision_msgs, which has no wheel, is installed."""
    package = ModuleType("vision_msgs.msg")
    package.LabelInfo, package.VisionClass = LabelInfo, VisionClass
    monkeypatch.setitem(sys.modules, "vision_msgs", ModuleType("vision_msgs"))
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", package)
    spec = importlib.util.spec_from_file_location("messages_with_vision_msgs", installed.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_where_vision_msgs_is_installed_the_class_list_is_a_label_info_with_a_stamp(messages):
    info = messages.label_info_message(LABELS, 0.25, Time(sec=7))
    assert isinstance(info, LabelInfo)
    assert (info.header.stamp.sec, info.threshold) == (7, 0.25)
    assert {each.class_id: each.class_name for each in info.class_map} == {
        **dict(enumerate(LABELS.names)),
        IGNORE: "unknown",
    }


@pytest.fixture
def node(ros):
    """A node whose LabelInfo, a class of this file that DDS cannot carry, goes into the list `told` instead."""
    node = rclpy.create_node("class_list")
    node.told, create = [], node.create_publisher
    collecting = SimpleNamespace(publish=node.told.append)
    node.create_publisher = lambda kind, *rest: collecting if kind is LabelInfo else create(kind, *rest)
    yield node
    node.destroy_node()


def test_with_vision_msgs_the_json_is_published_too_and_both_only_when_they_change(messages, node, monkeypatch):
    for name in ("LabelInfo", "label_info_message"):
        monkeypatch.setattr(class_list, name, getattr(messages, name))
    published = []
    node.create_subscription(String, "/class_list/label_info_json", published.append, class_list.LATCHED_QOS)
    classes = class_list.ClassList(node)
    for count, threshold in enumerate((0.0, 0.5), start=1):
        for _ in range(2):
            classes.publish(LABELS, threshold)
        deadline = time.monotonic() + 60
        while len(published) < count:
            assert time.monotonic() < deadline
            rclpy.spin_once(node, timeout_sec=0.05)
    assert [json.loads(message.data)["threshold"] for message in published] == [0.0, 0.5]
    assert [info.threshold for info in node.told] == [0.0, 0.5]
    assert all(info.header.stamp.sec > 0 for info in node.told)


@pytest.mark.parametrize("size", [(270, 480), (540, 960), (1080, 1920)])
def test_a_scaled_calibration_projects_a_point_to_the_same_place_of_the_picture(size):
    k, p = [500.0, 0, 470, 0, 510, 260, 0, 0, 1], [500.0, 0, 470, 12, 0, 510, 260, 0, 0, 0, 1, 0]
    info = CameraInfo(height=540, width=960, k=k, p=p)
    header = Header(frame_id="ignored")
    header.stamp.sec = 7
    scaled = installed.camera_info_message(info, size, header)
    point = np.array([0.3, -0.2, 2.0, 1.0])

    def place(calibration):
        x, y, z = np.array(calibration.p).reshape(3, 4) @ point
        return x / z / calibration.width, y / z / calibration.height

    assert place(scaled) == pytest.approx(place(info))
    assert (scaled.height, scaled.width, scaled.header.stamp.sec) == (*size, 7)
    assert list(info.k) == k


@pytest.mark.parametrize(("own", "expected"), [("calibrated", "calibrated"), ("", "image")])
def test_a_calibration_that_names_no_frame_is_of_that_of_the_images(own, expected):
    info = CameraInfo(height=540, width=960, header=Header(frame_id=own))
    assert installed.camera_info_message(info, (540, 960), Header(frame_id="image")).header.frame_id == expected


@pytest.mark.parametrize(("height", "width"), [(0, 0), (540, 540), (960, 540)])
def test_a_calibration_of_no_size_or_another_shape_is_not_scaled(height, width):
    assert installed.camera_info_message(CameraInfo(height=height, width=width), (540, 960), Header()) is None


@pytest.mark.parametrize(
    ("binning", "region", "size"),
    [
        ((0, 0), (0, 0, 0, 0), (270, 480)),
        ((2, 2), (0, 0, 0, 0), (270, 480)),
        ((2, 1), (0, 0, 0, 0), (540, 480)),
        ((1, 1), (100, 60, 640, 360), (360, 640)),
        ((2, 2), (100, 60, 640, 360), (180, 320)),
        ((4, 4), (0, 0, 0, 0), (540, 960)),  # a driver that calibrates at the size it publishes
    ],
)
def test_a_calibration_is_for_the_pixels_of_the_image_whatever_is_binned_or_cropped(binning, region, size):
    k, p = [500.0, 0, 470, 0, 510, 260, 0, 0, 1], [500.0, 0, 470, 12, 0, 510, 260, 0, 0, 0, 1, 0]
    left, top, width, height = region
    info = CameraInfo(height=540, width=960, k=k, p=p, binning_x=binning[0], binning_y=binning[1])
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = left, top, width, height
    seen = installed.camera_info_message(info, size, Header())
    across, down = (width or 960) / size[1], (height or 540) / size[0]
    assert (seen.height, seen.width, seen.binning_x, seen.roi.width) == (*size, 0, 0)
    assert list(seen.k) == pytest.approx(
        [500 / across, 0, (470 - left) / across, 0, 510 / down, (260 - top) / down, 0, 0, 1]
    )
    assert list(seen.p)[:8] == pytest.approx(
        [500 / across, 0, (470 - left) / across, 12 / across, 0, 510 / down, (260 - top) / down, 0]
    )
