"""Our outputs read exactly as their consumers read them, over DDS, with what `desert-seg consumers` generated."""

import csv
import json

import numpy as np
import pytest
import yaml
from conftest import ROOT

rclpy = pytest.importorskip("rclpy")

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from ros import LATCHED, MODEL, NodeProcess, Peer, String  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from desert_seg.consumers import write_consumers  # noqa: E402
from desert_seg.recordings.drive import open_drive  # noqa: E402
from desert_seg_ros.parameters import NodeParameters  # noqa: E402

TOPICS = ("mask", "confidence", "unknown", "traversability", "probabilities", "mask_color", "overlay")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What the command writes for the shipped model."""
    folder = tmp_path_factory.mktemp("consumers")
    write_consumers(str(MODEL), folder, ROOT / "config" / "traversability.yaml")
    return folder


@pytest.fixture(scope="module")
def seen(tmp_path_factory, sample_drive):
    """One frame's outputs by topic, from a node that is unsure of some pixels; received best effort, as some do."""
    rclpy.init()
    frame = np.ascontiguousarray(next(open_drive(sample_drive).frames()).rgb()[::4, ::4])
    arguments = ("-p", "confidence_threshold:=0.6", "-p", "probabilities:=true")
    process = NodeProcess("-r", "__node:=read", *arguments, log=tmp_path_factory.mktemp("node") / "node.log")
    peer = Peer("read")
    try:
        peer.until_ready()
        best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        received = {topic: peer.listen(topic, Image, best_effort) for topic in TOPICS}
        infos, labels = peer.listen("camera_info", CameraInfo), peer.listen("label_info_json", String, LATCHED)
        info = CameraInfo(height=frame.shape[0], width=frame.shape[1], k=[200.0, 0, 120, 0, 200, 67, 0, 0, 1])
        peer.until(lambda: peer.publishers["camera_info"].get_subscription_count() > 0, "the node to listen")
        peer.publishers["camera_info"].publish(info)
        result = {topic: peer.exchange(frame, messages, stamp=(4, 2)) for topic, messages in received.items()}

        def info_arrived():
            peer.publishers["camera_info"].publish(info)
            peer.send(frame, stamp=(4, 2))
            return infos and labels

        peer.until(info_arrived, "camera_info and the class list")
        yield {**result, "camera_info": infos[-1], "labels": json.loads(labels[0].data)["classes"]}
    finally:
        peer.close()
        process.stop()
        rclpy.try_shutdown()


def as_nav2_reads(message):
    """By `data[v * width + u]`, whatever step and encoding say."""
    values = [message.data[v * message.width + u] for v in range(message.height) for u in range(message.width)]
    return np.array(values).reshape(message.height, message.width)


def test_nav2_finds_a_known_class_at_every_pixel_and_no_confidence_where_there_is_none(seen, files):
    mask, confidence = as_nav2_reads(seen["mask"]), as_nav2_reads(seen["confidence"])
    ids = {entry["id"]: entry["name"] for entry in seen["labels"]}
    assert set(np.unique(mask)) <= ids.keys()
    assert (mask == 255).any()
    assert not confidence[mask == 255].any()
    assert confidence[mask != 255].min() >= 0.6 * 255 - 1
    layer = yaml.safe_load((files / "nav2.yaml").read_text())["semantic_segmentation_layer"]["camera"]
    named = {name for kind in layer["class_types"] for name in layer[kind]["classes"]}
    assert named == set(ids.values())


def test_nvblox_gets_a_binary_mask_and_a_calibration_of_its_size_and_time(seen, files):
    remaps = yaml.safe_load((files / "nvblox.yaml").read_text())
    assert remaps == {"camera_0/mask/image": "/segment/unknown", "camera_0/mask/camera_info": "/segment/camera_info"}
    mask, info = seen["unknown"], seen["camera_info"]
    assert (mask.encoding, mask.height, mask.width) == ("mono8", info.height, info.width)
    assert mask.header.stamp == info.header.stamp
    assert set(bytes(mask.data)) <= {0, 255}


def test_hydra_knows_every_value_of_the_mask_by_number_and_by_colour(seen, files):
    space = yaml.safe_load((files / "hydra_label_space.yaml").read_text())
    with (files / "hydra_colors.csv").open() as file:
        colors = {
            int(row["id"]): tuple(int(row[channel]) for channel in ("red", "green", "blue"))
            for row in csv.DictReader(file)
        }
    mask = np.frombuffer(seen["mask"].data, np.uint8)
    painted = np.frombuffer(seen["mask_color"].data, np.uint8).reshape(-1, 3)
    assert set(mask) <= {entry["label"] for entry in space["label_names"]}
    assert all((painted[mask == value] == colors[value]).all() for value in np.unique(mask))


def test_elevation_mapping_gets_a_channel_for_each_layer_through_a_best_effort_subscription(seen, files):
    config = yaml.safe_load((files / "elevation_mapping.yaml").read_text())
    channels = config["subscribers"]["segmentation"]["channels"]
    message = seen["probabilities"]
    assert message.encoding == f"32FC{len(channels)}"
    values = np.frombuffer(message.data, np.float32).reshape(message.height, message.width, len(channels))
    assert np.allclose(values.sum(-1), 1, atol=1e-4)
    assert channels == [entry["name"].lower().replace(" ", "_") for entry in seen["labels"][:-1]]
    assert set(channels) <= config["image_channel_fusions"].keys()


def test_rviz_gets_rgb8_and_the_costmap_costs(seen):
    assert seen["mask_color"].encoding == seen["overlay"].encoding == "rgb8"
    cost, mask = (np.frombuffer(seen[topic].data, np.uint8) for topic in ("traversability", "mask"))
    policy = yaml.safe_load((ROOT / "config" / "traversability.yaml").read_text())
    for entry in seen["labels"]:
        assert (cost[mask == entry["id"]] == policy.get(entry["name"], 255)).all()


@pytest.mark.parametrize("preset", sorted((ROOT / "config" / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_changes_only_parameters_there_are_to_values_they_can_have(preset):
    values = yaml.safe_load(preset.read_text())["/**"]["ros__parameters"]
    defaults = vars(NodeParameters())
    assert values.keys() <= defaults.keys()
    changed = vars(NodeParameters().changed(values))
    assert {name for name in defaults if defaults[name] != changed[name]} == values.keys()
