"""Results to ROS messages: what the node publishes. Knows nothing of its inputs."""

from __future__ import annotations

import json
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import String

from desert_seg.errors import shortened
from desert_seg.labels import IGNORE, UNKNOWN_NAME, LabelSet
from desert_seg.recordings.image_codec import fill_image
from desert_seg_ros.health import STAGES, Report, Timing

try:
    from vision_msgs.msg import LabelInfo as LabelInfo
    from vision_msgs.msg import VisionClass
except ImportError:
    LabelInfo = None


def image_message(array: npt.NDArray[Any], encoding: str, header: Any) -> Image:
    """A sensor_msgs/Image of an array, with the input's header untouched."""
    message = Image()
    fill_image(message, array, encoding, header)
    return message


def cloud_message(points: npt.NDArray[np.float32], header: Any) -> PointCloud2:
    """A sensor_msgs/PointCloud2 of Nx3 points, with the input's header untouched; N may be 0."""
    cloud = PointCloud2(header=header, height=1, width=len(points), point_step=12, row_step=points.nbytes)
    cloud.is_dense = True
    cloud.fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(("x", "y", "z"))
    ]
    cloud.data = array("B", points.tobytes())
    return cloud


def class_list_message(labels: LabelSet, threshold: float) -> String:
    """Names and colours of the classes by id, and the confidence below which a pixel has none, as JSON."""
    palette = labels.palette()
    classes = [{"id": index, "name": name, "color": palette[index].tolist()} for index, name in _names(labels).items()]
    return String(data=json.dumps({"classes": classes, "threshold": threshold}))


def label_info_message(labels: LabelSet, threshold: float, stamp: Any) -> Any:
    """The same without the colours as a vision_msgs/LabelInfo, whose package has to be installed."""
    info = LabelInfo(threshold=threshold)
    info.header.stamp = stamp
    info.class_map = [VisionClass(class_id=index, class_name=name) for index, name in _names(labels).items()]
    return info


def _names(labels: LabelSet) -> dict[int, str]:
    return {**dict(enumerate(labels.names)), IGNORE: UNKNOWN_NAME}


def diagnostic_status(report: Report, name: str, hardware: str, extra: dict[str, str]) -> DiagnosticStatus:
    """One entry for /diagnostics."""
    values = [KeyValue(key=key, value=shortened(value)) for key, value in {**extra, **report.values}.items()]
    message, level = shortened(report.message), bytes([report.level])
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware, values=values)


def timing_message(timing: Timing, name: str, header: Any) -> DiagnosticArray:
    """One frame's timing, with the frame's header; values in milliseconds."""
    values = dict(zip(STAGES, timing.stages, strict=True)) | {"latency": timing.latency}
    status = DiagnosticStatus(name=name, message="milliseconds")
    status.values = [KeyValue(key=f"{stage}_ms", value=f"{value:.3f}") for stage, value in values.items()]
    return DiagnosticArray(header=header, status=[status])


def is_camera_matrix(matrix: np.ndarray[Any, Any]) -> bool:
    """True for a 3x3 matrix that maps rays to pixels, and so can be inverted: a calibration's, not zeros."""
    focal_lengths, below = matrix[[0, 1], [0, 1]], [matrix[1, 0], *matrix[2]]
    return bool(np.isfinite(matrix).all() and (focal_lengths >= 1).all() and below == [0, 0, 0, 1])


def camera_info_message(info: Any, size: tuple[int, int], header: Any) -> Any | None:
    """The calibration of a camera for images of a size, by image_geometry's rules for cropped, binned and scaled ones.

    Args:
        info: The camera's CameraInfo; left as it is.
        size: (H, W) of the images.
        header: The images' header, whose stamp is used, and whose frame if the calibration names none.

    Returns:
        A CameraInfo of that size, without binning. None if the calibration names no size, or if the images have another
        shape, by more than rounding, than those it is for.
    """
    if not info.height or not info.width:
        return None
    k, p, region = np.array(info.k).reshape(3, 3), np.array(info.p).reshape(3, 4), info.roi
    seen_height, seen_width, across, down = info.height, info.width, 1, 1
    if size != (info.height, info.width):  # else the region is but where a rectified image has no border
        seen_width = region.width or max(1, info.width - region.x_offset)
        seen_height = region.height or max(1, info.height - region.y_offset)
        for matrix in (k, p):
            matrix[:2, 2] -= (region.x_offset, region.y_offset)
        across, down = max(1, info.binning_x), max(1, info.binning_y)
        region = RegionOfInterest()
    height, width = size
    if abs(seen_width / across * height - seen_height / down * width) > max(seen_width, width):
        return None
    for matrix in (k, p):
        matrix[0] *= width / seen_width
        matrix[1] *= height / seen_height
    scaled = CameraInfo(
        height=height, width=width, distortion_model=info.distortion_model, d=info.d, r=info.r, k=k.ravel(), p=p.ravel()
    )
    scaled.roi = region
    scaled.header.frame_id = info.header.frame_id or header.frame_id  # which some drivers leave empty
    scaled.header.stamp = header.stamp
    return scaled


def calibration_fault(info: Any, size: tuple[int, int]) -> str:
    """What is wrong with a camera's CameraInfo for images of a size (H, W), and what helps; empty if nothing is."""
    found = f"camera_info is for {info.width}x{info.height} pixels and images have {size[1]}x{size[0]}"
    if not info.width or not info.height:
        return f"{found}, so none is published beside the masks: calibrate the camera, whose driver then names its size"
    if camera_info_message(info, size, info.header) is None:
        return f"{found}, another shape, so none is published beside the masks"
    if not is_camera_matrix(np.array(info.k).reshape(3, 3)):
        return (
            "camera_info has no camera matrix in K, so nobody can use the one beside the masks: calibrate the camera "
            "(camera_calibration), and have its driver publish the result"
        )
    return ""
