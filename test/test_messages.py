"""Results as ROS messages, where that is not seen over DDS: calibrations."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from desert_seg_ros.messages import camera_info_message


@pytest.mark.parametrize("size", [(270, 480), (540, 960), (1080, 1920)])
def test_a_scaled_calibration_projects_a_point_to_the_same_place_of_the_picture(size):
    k, p = [500.0, 0, 470, 0, 510, 260, 0, 0, 1], [500.0, 0, 470, 12, 0, 510, 260, 0, 0, 0, 1, 0]
    info = CameraInfo(height=540, width=960, k=k, p=p)
    header = Header(frame_id="ignored")
    header.stamp.sec = 7
    scaled = camera_info_message(info, size, header)
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
    assert camera_info_message(info, (540, 960), Header(frame_id="image")).header.frame_id == expected


@pytest.mark.parametrize(("height", "width"), [(0, 0), (540, 540), (960, 540)])
def test_a_calibration_of_no_size_or_another_shape_is_not_scaled(height, width):
    assert camera_info_message(CameraInfo(height=height, width=width), (540, 960), Header()) is None


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
    seen = camera_info_message(info, size, Header())
    across, down = (width or 960) / size[1], (height or 540) / size[0]
    assert (seen.height, seen.width, seen.binning_x, seen.roi.width) == (*size, 0, 0)
    assert list(seen.k) == pytest.approx(
        [500 / across, 0, (470 - left) / across, 0, 510 / down, (260 - top) / down, 0, 0, 1]
    )
    assert list(seen.p)[:8] == pytest.approx(
        [500 / across, 0, (470 - left) / across, 12 / across, 0, 510 / down, (260 - top) / down, 0]
    )
