"""Other DDS implementations talk to the real node: rosless (Rust) everywhere, Cyclone DDS where it is installed."""

import json
import os
import time
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from ros import MODEL, TIMEOUT_S, NodeProcess  # noqa: E402

from desert_seg.labels import IGNORE  # noqa: E402
from desert_seg.recordings.drive import open_drive  # noqa: E402
from desert_seg.segmenter import Segmenter  # noqa: E402

DOMAIN = int(os.environ["ROS_DOMAIN_ID"])


@pytest.fixture(scope="module")
def frame(sample_drive):
    """A frame of the sample drive, 97 kB: all of it fits a socket's buffer (208 KiB, headers included).

    These peers do not share our memory, and of a larger best-effort image a busy receiver loses a part each time.
    """
    return np.ascontiguousarray(next(open_drive(sample_drive).frames()).rgb()[::4, ::4])


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.load(MODEL, "openvino", precision="f32")


@pytest.fixture(scope="module")
def expected(segmenter, frame):
    return segmenter.segment(frame).mask


@pytest.fixture(scope="module", params=["raw", "compressed"])
def node(request, tmp_path_factory):
    """The node's name and the kind of images it takes."""
    arguments = ("-p", "precision:=f32", "-p", f"image_transport:={request.param}")
    log = tmp_path_factory.mktemp("interop") / f"{request.param}.log"
    process = NodeProcess("-r", f"__node:={request.param}", *arguments, log=log)
    yield request.param
    process.stop()


def until(condition, what):
    """Ask again until there is an answer; asking is what waits, for a moment each time."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {TIMEOUT_S} s for {what}"
    return result


def as_jpeg(rgb):
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]


def image_message(kind, rgb, stamp):
    header = {"stamp": {"sec": stamp, "nanosec": 789}, "frame_id": "other_camera"}
    if kind == "compressed":
        return {"header": header, "format": "jpeg", "data": as_jpeg(rgb).tobytes()}
    height, width = rgb.shape[:2]
    size = {"height": height, "width": width, "step": 3 * width}
    return {"header": header, **size, "encoding": "rgb8", "is_bigendian": 0, "data": rgb.tobytes()}


def test_rosless_publishes_images_and_receives_their_masks_and_the_class_list(node, frame, segmenter):
    rosless = pytest.importorskip("rosless")
    peer = rosless.Node(domain=DOMAIN)
    topic, kind = ("/image", "Image") if node == "raw" else ("/image/compressed", "CompressedImage")
    camera = peer.advertise(topic, f"sensor_msgs/msg/{kind}")
    masks = peer.subscribe(f"/{node}/mask", "sensor_msgs/msg/Image", reliability="reliable")
    until(lambda: camera.subscriber_count or masks.read(timeout=0.1), "the node to listen")
    stamps = iter(range(100, 10_000))

    def exchange():
        camera.send(image_message(node, frame, next(stamps)))
        return masks.read(timeout=2.0)

    mask = until(exchange, "a mask")
    assert (mask.header.stamp.nanosec, mask.header.frame_id) == (789, "other_camera")
    assert mask.header.stamp.sec >= 100
    assert (mask.height, mask.width, mask.step, mask.encoding) == (*frame.shape[:2], frame.shape[1], "mono8")
    pixels = np.frombuffer(mask.data, np.uint8).reshape(frame.shape[:2])
    sent = frame if node == "raw" else cv2.cvtColor(cv2.imdecode(as_jpeg(frame), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert (pixels == segmenter.segment(sent).mask).mean() > 0.999
    labels = peer.subscribe(
        f"/{node}/label_info_json", "std_msgs/msg/String", reliability="reliable", durability="transient_local"
    )
    text = until(lambda: labels.read(timeout=1.0), "the class list, published before we came")
    assert [entry["id"] for entry in json.loads(text.data)["classes"]] == [0, 1, 2, 3, 4, 5, 6, IGNORE]


def test_rosless_finds_the_node_s_topics_under_their_ros_names_and_types(node):
    rosless = pytest.importorskip("rosless")
    images = ("mask", "mask_color", "overlay", "confidence", "unknown", "traversability", "probabilities")
    expected = {f"/{node}/{name}": "sensor_msgs/msg/Image" for name in images}
    expected[f"/{node}/camera_info"] = "sensor_msgs/msg/CameraInfo"

    def found():
        topics = {topic.name: topic.type_name for topic in rosless.topics(domain=DOMAIN, wait=1.0)}
        return expected.items() <= topics.items()

    until(found, "the node's topics and their types")


def cyclone_types():
    """Messages as Cyclone DDS sees them on the wire: ROS's type names, plain CDR."""
    from cyclonedds.idl import IdlStruct
    from cyclonedds.idl.types import int32, sequence, uint8, uint32

    @dataclass
    class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
        sec: int32
        nanosec: uint32

    @dataclass
    class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
        stamp: Time
        frame_id: str

    @dataclass
    class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
        header: Header
        height: uint32
        width: uint32
        encoding: str
        is_bigendian: uint8
        step: uint32
        data: sequence[uint8]

    return Time, Header, Image


WITHOUT_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com"><profiles><participant profile_name="plain" is_default_profile="true"><rtps>
<propertiesPolicy><properties><property><name>fastdds.type_propagation</name><value>disabled</value></property>
</properties></propertiesPolicy></rtps></participant></profiles></dds>"""
"""Since Kilted Fast DDS announces descriptions of types that Cyclone DDS takes for faulty."""

LOOPBACK = """<General><Interfaces><NetworkInterface address="127.0.0.1" multicast="false"/></Interfaces></General>
<Discovery><Peers><Peer address="127.0.0.1"/></Peers><ParticipantIndex>auto</ParticipantIndex>
<MaxAutoParticipantIndex>60</MaxAutoParticipantIndex></Discovery>"""


def test_cyclone_dds_publishes_images_and_receives_their_masks(frame, expected, monkeypatch, tmp_path):
    pytest.importorskip("cyclonedds")
    (tmp_path / "profile.xml").write_text(WITHOUT_TYPES)
    for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "profile.xml"))
    monkeypatch.setenv("CYCLONEDDS_URI", LOOPBACK)
    node = NodeProcess("-r", "__node:=plain", "-p", "precision:=f32", log=tmp_path / "node.log")
    try:
        exchange_with_cyclone(frame, expected)
    finally:
        node.stop()


def exchange_with_cyclone(frame, expected):
    from cyclonedds.core import Policy, Qos
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic
    from cyclonedds.util import duration

    time_type, header_type, image_type = cyclone_types()
    participant = DomainParticipant(DOMAIN)
    reliable = Qos(Policy.Reliability.Reliable(duration(seconds=1)))
    camera = DataWriter(participant, Topic(participant, "rt/image", image_type), qos=reliable)
    masks = DataReader(participant, Topic(participant, "rt/plain/mask", image_type), qos=reliable)
    header = header_type(time_type(100, 789), "other_camera")
    height, width = frame.shape[:2]
    message = image_type(header, height, width, "rgb8", 0, 3 * width, frame.ravel().tolist())

    def exchange():
        camera.write(message)
        return next(masks.take_iter(timeout=duration(seconds=2)), None)

    mask = until(exchange, "a mask")
    assert (mask.header.stamp.sec, mask.header.stamp.nanosec, mask.header.frame_id) == (100, 789, "other_camera")
    assert (mask.height, mask.width, mask.step, mask.encoding) == (height, width, width, "mono8")
    pixels = np.array(mask.data, np.uint8).reshape(height, width)
    assert (pixels == expected).mean() > 0.999
