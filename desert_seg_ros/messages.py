"""Masks to ROS messages: what the node publishes, and nothing about how frames reach it."""

from __future__ import annotations

import json
from typing import Any

import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from sensor_msgs.msg import Image
from std_msgs.msg import String

from desert_seg.labels import IGNORE, UNKNOWN_NAME, LabelSet
from desert_seg_ros.health import Report
from desert_seg_ros.image_codec import fill_image

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:
    LabelInfo = None

LABEL_INFO_TOPIC = "~/label_info_json" if LabelInfo is None else "~/label_info"


def image_message(array: npt.NDArray[Any], encoding: str, header: Any) -> Image:
    """A sensor_msgs/Image of an array, with the input's header untouched."""
    message = Image()
    fill_image(message, array, encoding, header)
    return message


def label_info_message(labels: LabelSet, threshold: float) -> Any:
    """Class names by id: vision_msgs/LabelInfo where vision_msgs is installed, else JSON in a std_msgs/String."""
    names = {**dict(enumerate(labels.names)), IGNORE: UNKNOWN_NAME}
    if LabelInfo is not None:
        info = LabelInfo(threshold=threshold)
        info.class_map = [VisionClass(class_id=index, class_name=name) for index, name in names.items()]
        return info
    palette = labels.palette()
    classes = [{"id": index, "name": name, "color": palette[index].tolist()} for index, name in names.items()]
    return String(data=json.dumps({"classes": classes, "threshold": threshold}))


def diagnostic_status(report: Report, name: str, hardware: str, extra: dict[str, str]) -> DiagnosticStatus:
    """One entry for /diagnostics."""
    values = [KeyValue(key=key, value=value) for key, value in {**extra, **report.values}.items()]
    level = bytes([report.level])
    return DiagnosticStatus(level=level, name=name, message=report.message, hardware_id=hardware, values=values)
