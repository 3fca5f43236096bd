"""Where the camera is: on camera_pose or of the robot's transforms, over DDS, into the node's smoothing."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

import built_messages  # noqa: E402
from geometry_msgs.msg import PoseStamped, TransformStamped  # noqa: E402
from ros import LATCHED, DiagnosticArray, Image, latest  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402

from desert_seg.errors import DesertSegError  # noqa: E402
from desert_seg_ros.camera_poses import CameraPoses  # noqa: E402
from desert_seg_ros.qos_watch import QosWatch  # noqa: E402
from desert_seg_ros.transform_listener import TransformListener  # noqa: E402
from desert_seg_ros.transforms import Sample, TransformBuffer, TransformError  # noqa: E402

OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""An optical frame that looks along x of the frame it is in: x right, y down, z forward."""

HEIGHT_M = 1.5
SPEED = 3.0
COVERED_S = 5


@pytest.fixture
def tf_message(tmp_path_factory, monkeypatch):
    """The type of /tf: this ROS's, or one that is built for the test."""
    built_messages.provide(built_messages.TF2_MSGS, tmp_path_factory, monkeypatch)
    from tf2_msgs.msg import TFMessage

    return TFMessage


def filled(message, parent, stamp_s, place, turn):
    """A PoseStamped or a TransformStamped."""
    message.header.frame_id = parent
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(stamp_s * 1e9), 10**9)
    pose = getattr(message, "pose", None) or message.transform
    position = pose.position if hasattr(pose, "position") else pose.translation
    rotation = pose.orientation if hasattr(pose, "orientation") else pose.rotation
    position.x, position.y, position.z = place
    rotation.x, rotation.y, rotation.z, rotation.w = turn
    return message


def transform(child, parent, stamp_s, place, turn=(0.0, 0.0, 0.0, 1.0)):
    return filled(TransformStamped(child_frame_id=child), parent, stamp_s, place, turn)


def test_smoothing_with_the_robot_s_transforms_gives_what_it_gives_with_poses(start, frame, tf_message):
    node, peer = start("moved", "-p", "world_frame:=odom", "-p", "precision:=f32", "-p", "probabilities:=true")
    peer.until_ready()
    received, health = peer.listen("probabilities", Image), peer.listen("/diagnostics", DiagnosticArray)
    moving = peer.node.create_publisher(tf_message, "/tf", 200)
    static = peer.node.create_publisher(tf_message, "/tf_static", LATCHED)
    poses = peer.node.create_publisher(PoseStamped, "camera_pose", 200)
    for publisher in (moving, static, poses):
        peer.until(lambda publisher=publisher: publisher.get_subscription_count(), "the node to listen")
    assert peer.set_parameter("smoothing", 0.6) == (True, "")
    height, width = frame.shape[:2]
    k = [float(width), 0.0, width / 2, 0.0, float(width), height / 2, 0.0, 0.0, 1.0]

    def says(sentence, stamp_s):
        """Whether that is what is said of a frame with that stamp."""
        peer.publishers["camera_info"].publish(CameraInfo(height=height, width=width, k=k))
        peer.send(frame, stamp=(stamp_s, 0), frame_id="camera")
        peer.until(lambda: any(message.header.stamp.sec == stamp_s for message in received), "the frame's answer")
        health.clear()
        peer.until(lambda: latest(peer, health).name, "a report")
        message = latest(peer, health).message
        return sentence in message if sentence else "camera's motion" not in message

    def pair(start_s):
        """The answer for the second of two frames, on the way; the first begins anew."""
        peer.exchange(frame, received, stamp=(start_s, 0), frame_id="camera")
        answer = peer.exchange(frame[:, ::-1].copy(), received, stamp=(start_s, 200_000_000), frame_id="camera")
        return np.frombuffer(answer.data, np.float32)

    def place(start_s, stamp_s):
        return SPEED * (stamp_s - start_s), 0.5, 0.0

    stamps = np.arange(0, COVERED_S, 0.02)
    peer.until(lambda: says("no transforms have come, expected some from camera to odom", 100), "that to be said")
    static.publish(tf_message(transforms=[transform("camera", "base", 0.0, (0.2, 0.0, HEIGHT_M), OPTICAL)]))
    driven = [transform("base", "odom", 100 + stamp, place(100, 100 + stamp)) for stamp in stamps]
    moving.publish(tf_message(transforms=driven))
    peer.until(lambda: says("", 102), "the transforms")
    by_transforms = pair(103)

    peer.until(lambda: says("the transform of base in odom is known from 100.000 to 104.980 s", 200), "the gap")
    without = pair(201)

    for stamp in stamps[::5]:  # as many as the node's subscription holds
        x, y, _ = place(300, 300 + stamp)
        poses.publish(filled(PoseStamped(), "odom", 300 + stamp, (x + 0.2, y, HEIGHT_M), OPTICAL))
    peer.until(lambda: says("", 302), "the poses")
    by_poses = pair(303)

    assert np.allclose(by_transforms, by_poses, atol=1e-4)
    assert np.abs(by_transforms - without).max() > 0.05
    peer.until(lambda: says("nearest to the image is 98.100 s away from it", 403), "that poses are preferred")
    assert peer.set_parameter("smoothing", 0.0) == (True, "")
    peer.until(lambda: says("", 403), "that nobody asks")
    assert "Traceback" not in node.output()


def test_after_a_jump_of_the_clock_only_static_transforms_are_known_and_what_is_no_transform_is_said(
    peer_of, tf_message
):
    peer = peer_of("nobody")
    listener = TransformListener(peer.node, "odom", QosWatch(peer.node))
    listener.subscribe()
    moving = peer.node.create_publisher(tf_message, "/tf", 10)
    static = peer.node.create_publisher(tf_message, "/tf_static", LATCHED)

    def answers(*words):
        try:
            found = str(listener.pose("camera", 10**9, 0)[:3, 3].tolist())
        except TransformError as error:
            found = str(error)
        return all(word in found for word in words)

    static.publish(tf_message(transforms=[transform("camera", "base", 0.0, (0.0, 0.0, 2.0))]))
    peer.until(moving.get_subscription_count, "the listener")
    moving.publish(tf_message(transforms=[transform("base", "odom", 1.0, (5.0, 0.0, 0.0))]))
    peer.until(lambda: answers("[5.0, 0.0, 2.0]"), "both transforms")
    listener.forget()
    assert answers("no transform leads to 'odom' (known: base, camera)")
    wrong = tf_message(transforms=[transform("base", "odom", 1.0, (5.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.0))])
    refused = "(0.0, 0.0, 0.0, 2.0), expected finite numbers and a unit quaternion"
    moving.publish(wrong)
    peer.until(lambda: answers("no transform leads to 'odom'", refused), "that it is refused")
    listener.unsubscribe()
    assert answers("no transforms have come")


def test_without_tf2_msgs_a_world_frame_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    with pytest.raises(DesertSegError, match=r"world_frame is 'map', which needs .* tf2_msgs; install ros-\$ROS_DIST"):
        TransformListener(None, "map", None)


# ---------------------------------------------------------------------------------------------------- camera_poses
INFO = CameraInfo(height=4, width=6, k=[6.0, 0.0, 3.0, 0.0, 6.0, 2.0, 0.0, 0.0, 1.0])


def header(stamp_s=1, frame_id="camera"):
    return SimpleNamespace(stamp=SimpleNamespace(sec=stamp_s, nanosec=0), frame_id=frame_id)


class Robot:
    """Transforms from which no messages have to come."""

    world_frame = "odom"

    def __init__(self, rotation=OPTICAL):
        self.buffer = TransformBuffer()
        self.buffer.add("camera", Sample(0, "odom", (1.0, 2.0, 3.0), rotation), is_static=True)

    def pose(self, frame, stamp_ns, tolerance_ns):
        return self.buffer.lookup(self.world_frame, frame, stamp_ns, tolerance_ns)


@pytest.fixture
def poses_of(peer_of):
    """Makes the poses of a camera, to which some have come."""
    node = peer_of("nobody").node

    def make(transforms, *messages):
        poses = CameraPoses(node, "camera_pose", transforms, QosWatch(node))
        poses._poses.extend(messages)
        return poses

    return make


def test_where_nothing_is_meant_to_come_nothing_is_said(poses_of):
    poses = poses_of(None)
    assert poses.viewpoint(header(), INFO, 1.0) is None
    assert poses.problem == ""


def test_a_viewpoint_has_the_world_it_is_in(poses_of):
    view = poses_of(Robot()).viewpoint(header(), INFO, 1.0)
    assert (view.world, view.size, view.pose[:3, 3].tolist()) == ("odom", (4, 6), [1, 2, 3])
    assert np.allclose(view.pose[:3, :3] @ [0, 0, 1], [1, 0, 0])
    pose = filled(PoseStamped(), "map", 1.0, (4.0, 5.0, 6.0), OPTICAL)
    view = poses_of(Robot(), pose).viewpoint(header(), INFO, 1.0)
    assert (view.world, view.pose[:3, 3].tolist()) == ("map", [4, 5, 6])


@pytest.mark.parametrize(
    ("pose", "asked", "info", "sentence"),
    [
        (None, header(), None, "no calibration has come"),
        (None, header(), CameraInfo(), "no calibration has come"),
        (None, header(frame_id="lidar"), INFO, "no transform of frame 'lidar' has come (known: camera, odom)"),
        (((0.0, 0.0, 0.0), OPTICAL), header(2), INFO, "is 1.000 s away from it, expected at most 0.05 s"),
        (
            ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
            header(),
            INFO,
            "camera_pose looks at the sky; it must be the camera",
        ),
        (((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)), header(), INFO, "expected finite numbers and a quaternion that is"),
        (((0.0, np.nan, 0.0), OPTICAL), header(), INFO, "expected finite numbers and a quaternion that is not 0"),
    ],
)
def test_why_there_is_no_viewpoint_is_said_until_there_is_one(pose, asked, info, sentence, poses_of):
    poses = poses_of(Robot(), *([filled(PoseStamped(), "odom", 1.0, *pose)] if pose else []))
    assert poses.viewpoint(asked, info, 1.0) is None
    assert sentence in poses.problem
    poses._poses.clear()
    assert poses.viewpoint(header(), INFO, 1.0) is not None
    assert poses.problem == ""


def test_a_frame_with_the_axes_of_a_body_is_refused(poses_of):
    poses = poses_of(Robot(rotation=(0.0, 0.0, 0.0, 1.0)))
    assert poses.viewpoint(header(), INFO, 1.0) is None
    assert "frame 'camera' looks at the sky; it must be the camera's optical frame" in poses.problem
