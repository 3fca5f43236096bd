"""Every output and service of the real node, over DDS."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

rclpy = pytest.importorskip("rclpy")

import built_messages  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy  # noqa: E402
from ros import LATCHED, MODEL, DiagnosticArray, NodeProcess, String, latest, mask_of, values_of  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from tiny_graph import tiny_graph  # noqa: E402

from desert_seg.artifact import ONNX, WEIGHTS, load_artifact, save_artifact  # noqa: E402
from desert_seg.calibration import Calibration  # noqa: E402
from desert_seg.errors import DesertSegError  # noqa: E402
from desert_seg.ground import (  # noqa: E402
    LIFT_M,
    GroundCamera,
    Lens,
    free_points,
    obstacle_points,
    pitched_down,
)
from desert_seg.labels import IGNORE  # noqa: E402
from desert_seg.recordings.drive import open_drive  # noqa: E402
from desert_seg.segmenter import Segmenter, SegmentOptions  # noqa: E402
from desert_seg.traversability import CostPainter, read_policy  # noqa: E402
from desert_seg_ros import swap_model  # noqa: E402
from desert_seg_ros.topics import CLOUDS, IMAGES  # noqa: E402

CALIBRATION = Calibration(temperature=1.5, unknown_score="entropy", unknown_threshold=0.5)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The shipped model with a calibration, in a folder of its own."""
    return calibrated(tmp_path_factory.mktemp("model") / "own", CALIBRATION)


def calibrated(folder, calibration, **changes):
    source = load_artifact(MODEL)
    files = {name: (MODEL / name).read_bytes() for name in (WEIGHTS, ONNX)}
    return save_artifact(folder, replace(source.card, calibration=calibration, **changes), files).path


@pytest.fixture(scope="module")
def process(tmp_path_factory, artifact):
    arguments = ("-p", f"artifact:={artifact}", "-p", "precision:=f32", "-p", "probabilities:=true")
    node = NodeProcess("-r", "__node:=outputs", *arguments, log=tmp_path_factory.mktemp("node") / "node.log")
    yield node
    node.stop()


@pytest.fixture
def peer(process, peer_of):
    peer = peer_of("outputs")
    peer.until_ready()
    return peer


@pytest.fixture(scope="module")
def expected(frame, artifact):
    options = SegmentOptions(want_confidence=True, want_unknown=True, want_probabilities=True)
    return Segmenter.load(artifact, "openvino", precision="f32").segment(frame, options)


def pixels_of(message, dtype, channels=1):
    assert message.step == message.width * channels * np.dtype(dtype).itemsize
    shape = (message.height, message.width, channels)
    return np.frombuffer(message.data, dtype).reshape(shape).squeeze()


def test_every_output_is_the_offline_result_with_the_input_s_header(peer, frame, expected):
    topics = {name: peer.listen(name, Image) for name in IMAGES}
    messages = {name: peer.exchange(frame, received, stamp=(9, 9)) for name, received in topics.items()}
    assert {(each.header.stamp.sec, each.header.frame_id) for each in messages.values()} == {(9, "front_camera")}
    assert {(each.height, each.width) for each in messages.values()} == {frame.shape[:2]}
    assert messages["probabilities"].encoding == "32FC7"
    likely = pixels_of(messages["probabilities"], np.float32, 7)
    assert np.allclose(likely.sum(-1), 1, atol=1e-4)
    assert np.allclose(likely, expected.probabilities, atol=1e-3)
    assert (pixels_of(messages["unknown"], np.uint8) == expected.unknown).mean() > 0.999
    assert set(np.unique(expected.unknown)) == {0, 255}
    confidence = pixels_of(messages["confidence"], np.uint8)
    assert np.abs(confidence.astype(int) - expected.confidence).max() <= 1
    assert np.abs(confidence / 255 - likely.max(-1)).max() < 0.01  # both of them tempered
    labels = load_artifact(MODEL).card.label_map.labels
    mask = mask_of(messages["mask"])
    assert np.array_equal(mask_of(messages["traversability"]), CostPainter(labels, read_policy()).costs(mask))


def test_all_outputs_are_reliable_and_volatile_and_keep_one(peer):
    def publishers(name):
        topic = f"/outputs/{name}"
        return peer.until(lambda: peer.node.get_publishers_info_by_topic(topic), f"a publisher on {topic}")

    for name in (*IMAGES, *CLOUDS, "camera_info", "timing"):
        (publisher,) = publishers(name)
        assert publisher.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
        assert publisher.qos_profile.durability == QoSDurabilityPolicy.VOLATILE
    (labels,) = publishers("label_info_json")
    assert labels.qos_profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL


def test_with_vision_msgs_the_classes_are_on_label_info_and_still_in_json(start, tmp_path_factory, monkeypatch):
    built_messages.provide(built_messages.VISION_MSGS, tmp_path_factory, monkeypatch)
    from vision_msgs.msg import LabelInfo

    began = time.time()
    _, peer = start("labelled", "-p", "speed:=fast")
    infos, texts = peer.listen("label_info", LabelInfo, LATCHED), peer.listen("label_info_json", String, LATCHED)
    peer.until(lambda: infos and texts, "both class lists")
    named = {each.class_id: each.class_name for each in infos[0].class_map}
    assert named == {each["id"]: each["name"] for each in json.loads(texts[0].data)["classes"]}
    assert int(began) <= infos[0].header.stamp.sec <= time.time()
    peer.set_parameter("confidence_threshold", 0.25)
    peer.until(lambda: infos[1:] and texts[1:], "both class lists with the new threshold")
    assert infos[1].threshold == json.loads(texts[1].data)["threshold"] == 0.25


def test_an_incompatible_subscriber_is_named_in_diagnostics_while_it_exists(peer, frame):
    health = peer.listen("/diagnostics", DiagnosticArray)
    wants_too_much = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    deaf = peer.node.create_subscription(Image, "/outputs/mask", lambda message: None, wants_too_much)

    def says(words):
        peer.send(frame)
        return latest(peer, health).name and words in latest(peer, health).message

    peer.until(lambda: says("/test_peer subscribes to /outputs/mask with another quality of service"), "a warning")
    peer.node.destroy_subscription(deaf)
    peer.until(lambda: says("") and not says("quality of service"), "the warning to go")


def test_poses_that_can_never_be_heard_are_named_in_diagnostics_too(peer, frame):
    health = peer.listen("/diagnostics", DiagnosticArray)
    unsure = peer.node.create_publisher(
        PoseStamped, "camera_pose", QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    )
    words = "/test_peer publishes /camera_pose with another quality of service, so nothing arrives"
    peer.until(lambda: peer.send(frame) and words in latest(peer, health).message, "a warning")
    peer.node.destroy_publisher(unsure)


def test_timing_says_where_the_time_of_each_frame_went(peer, frame):
    timings = peer.listen("timing", DiagnosticArray)
    message = peer.exchange(frame, timings, stamp=(77, 5))
    values = {entry.key: float(entry.value) for entry in message.status[0].values}
    stages = ["wait_ms", "decode_ms", "resize_ms", "inference_ms", "mask_ms", "publish_ms"]
    assert list(values) == [*stages, "latency_ms"]
    assert 0 < sum(values[stage] for stage in stages) <= values["latency_ms"] + 0.5


def test_camera_info_is_scaled_to_the_mask_where_the_shapes_agree(peer, frame):
    infos = peer.listen("camera_info", CameraInfo)
    height, width = frame.shape[:2]
    calibration = CameraInfo(height=2 * height, width=2 * width, k=[500.0, 0, 240, 0, 600, 135, 0, 0, 1])
    calibration.p = [500.0, 0, 240, 0, 0, 600, 135, 0, 0, 0, 1, 0]
    calibration.header.frame_id = "front_optical"
    peer.until(lambda: peer.publishers["camera_info"].get_subscription_count() > 0, "the node to listen")

    def again():
        peer.publishers["camera_info"].publish(calibration)
        peer.send(frame, stamp=(55, 66))
        return [info for info in infos if info.header.stamp.sec == 55]  # a frame of the test before may still come

    peer.until(again, "camera_info")
    info = infos[-1]
    assert (info.height, info.width) == (height, width)
    assert (info.header.stamp.sec, info.header.frame_id) == (55, "front_optical")
    assert list(info.k) == [250.0, 0, 120, 0, 300, 67.5, 0, 0, 1]
    assert list(info.p)[:7] == [250.0, 0, 120, 0, 0, 300, 67.5]


def test_a_calibration_of_another_shape_is_not_published_and_that_is_said(peer, frame):
    infos, health = peer.listen("camera_info", CameraInfo), peer.listen("/diagnostics", DiagnosticArray)
    height, width = frame.shape[:2]

    def says(calibration, words):
        peer.publishers["camera_info"].publish(calibration)
        peer.send(frame)
        return latest(peer, health).name and (words in latest(peer, health).message)

    misfit = CameraInfo(height=3 * height, width=2 * width)
    sentence = f"camera_info is for {2 * width}x{3 * height} pixels and images have {width}x{height}, another shape"
    peer.until(lambda: says(misfit, sentence), "the misfit to be named")
    infos.clear()
    peer.until(lambda: says(misfit, sentence), "another frame")
    assert infos == []
    bare = CameraInfo(height=height, width=width)
    peer.until(lambda: says(bare, "camera_info has no camera matrix in K"), "the calibration of zeros to be named")
    fit = CameraInfo(height=height, width=width, k=[500.0, 0.0, width / 2, 0.0, 500.0, height / 2, 0.0, 0.0, 1.0])
    peer.until(lambda: says(fit, "") and not says(fit, "camera_info") and infos, "the next calibration")


def test_images_that_are_nearly_black_for_want_of_scaling_are_named_as_long_as_they_come(peer, frame):
    health, samples = peer.listen("/diagnostics", DiagnosticArray), frame[..., 0].astype("<u2")

    def says(image, encoding):
        peer.send(image, encoding=encoding)
        return "images of mono16 are nearly black" in latest(peer, health).message

    peer.until(lambda: says(samples << 6, "mono16"), "the camera of 14 bits to be named")
    peer.until(lambda: latest(peer, health).name and not says(samples << 8, "mono16"), "the camera that scales")


def points_of(message):
    """Nx3 of a cloud as any reader takes it, and proof that it has only x, y and z and is tightly packed."""
    assert [(field.name, field.offset, field.datatype, field.count) for field in message.fields] == [
        ("x", 0, 7, 1),
        ("y", 4, 7, 1),
        ("z", 8, 7, 1),
    ]
    assert (message.height, message.point_step, message.is_dense) == (1, 12, True)
    assert len(message.data) == message.row_step == 12 * message.width
    return np.frombuffer(message.data, np.float32).reshape(-1, 3)


def test_obstacles_lie_where_lethal_pixels_meet_the_ground_and_what_is_missing_for_that_is_said(start, sample_drive):
    rgb = np.ascontiguousarray(next(open_drive(sample_drive).frames()).rgb()[::2, ::2])
    arguments = ("-p", "camera_height_m:=1.8", "-p", "camera_pitch_deg:=3.0", "-p", "region:=[0.0, 0.0, 0.9, 1.0]")
    _, peer = start("surveyor", *arguments)
    peer.until_ready()
    clouds = {name: peer.listen(name, PointCloud2) for name in CLOUDS}
    costs, health = peer.listen("traversability", Image), peer.listen("/diagnostics", DiagnosticArray)

    def says(words):
        peer.send(rgb)
        return latest(peer, health).name and words in latest(peer, health).message

    withheld = "~/obstacles and ~/free_space are not published: "
    peer.until(lambda: says(f"{withheld}no camera_info has come: publish the camera's calibration"), "a cure")
    assert not any(clouds.values())
    lens = Lens(np.array([[342.0, 0, 239.5], [0, 342.0, 134.5], [0, 0, 1]]))
    info = CameraInfo(height=rgb.shape[0], width=rgb.shape[1], k=lens.intrinsics.ravel())

    def calibrated_points():
        peer.publishers["camera_info"].publish(info)
        return says("") and not says(withheld) and all(clouds.values())

    peer.until(calibrated_points, "points")
    camera = GroundCamera(lens, pitched_down(3.0), 1.8)
    seen = mask_of(peer.exchange(rgb, costs, stamp=(31, 7)))[: round(0.9 * rgb.shape[0])]
    for name, expected in (("obstacles", obstacle_points), ("free_space", free_points)):
        message = peer.exchange(rgb, clouds[name], stamp=(31, 7))
        assert (message.header.frame_id, message.header.stamp.nanosec) == ("front_camera", 7)
        assert len(points_of(message)) > 20
        assert np.allclose(points_of(message), expected(seen, camera, 10.0), atol=1e-4)
    ground = points_of(clouds["obstacles"][-1]) + LIFT_M * camera.down
    pixels = ground @ lens.intrinsics.T
    columns, rows = np.rint(pixels[:, :2] / pixels[:, 2:]).astype(int).T
    assert (seen[rows, columns] == 254).all()
    poses, pose = peer.node.create_publisher(PoseStamped, "camera_pose", 10), PoseStamped()

    def with_pose(words):
        poses.publish(pose)
        return says(words)

    peer.until(
        lambda: with_pose(f"{withheld}the pose on camera_pose nearest to the image is"), "the pose of another time"
    )
    pose.header.stamp.sec, pose.header.stamp.nanosec = 7, 8
    peer.until(lambda: with_pose(f"{withheld}camera_pose looks at the sky"), "a pose in a body's axes")
    pose.header.stamp.sec = 42
    turn = pose.pose.orientation  # ahead along the world's x axis, level
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5

    def points_by_pose():
        poses.publish(pose)
        peer.send(rgb, stamp=(42, 8))
        return clouds["obstacles"][-1].header.stamp.sec == 42

    peer.until(points_by_pose, "points by the pose")
    level = GroundCamera(lens, pitched_down(0.0), 1.8)
    assert np.allclose(points_of(clouds["obstacles"][-1]), obstacle_points(seen, level, 10.0), atol=1e-4)


def test_enable_stops_and_starts_masks_and_is_the_parameter_of_that_name(peer, frame):
    masks = peer.listen("mask", Image)
    peer.exchange(frame, masks)
    assert peer.ask("enable", SetBool, SetBool.Request(data=False)).success
    assert peer.get_parameter("enabled").bool_value is False
    health = peer.listen("/diagnostics", DiagnosticArray)

    def disabled():
        peer.send(frame)
        return "disabled" in latest(peer, health).message

    peer.until(disabled, "diagnostics to say so")
    assert peer.ask("enable", SetBool, SetBool.Request(data=True)).success
    assert peer.exchange(frame, masks)


def test_a_pose_a_calibration_and_smoothing_together_still_give_masks(peer, frame):
    masks = peer.listen("mask", Image)
    before = mask_of(peer.exchange(frame, masks))
    assert peer.set_parameter("smoothing", 0.8) == (True, "")
    poses = peer.node.create_publisher(PoseStamped, "camera_pose", 10)
    pose = PoseStamped()
    pose.pose.orientation.w = 1.0
    for _ in range(3):  # the same picture again and again is its own average
        poses.publish(pose)
        again = mask_of(peer.exchange(frame, masks))
    assert (again == before).mean() > 0.999

    health = peer.listen("/diagnostics", DiagnosticArray)

    def says(words, intrinsics):
        height, width = frame.shape[:2]
        peer.publishers["camera_info"].publish(CameraInfo(height=height, width=width, k=intrinsics))
        poses.publish(pose)
        peer.send(frame)
        return latest(peer, health).name and (words in latest(peer, health).message)

    singular, whole = [100.0, 0, 0, 0, 0, 0, 0, 0, 1], [100.0, 0, 80, 0, 100, 45, 0, 0, 1]
    peer.until(lambda: says("camera's motion: camera_info has no camera matrix in K", singular), "the refusal")
    assert (mask_of(peer.exchange(frame, masks)) == before).mean() > 0.999
    peer.until(lambda: says("", whole) and not says("camera matrix", whole), "the next calibration")
    assert peer.set_parameter("smoothing", 0.0) == (True, "")


def test_a_reload_swaps_in_a_new_artifact_and_a_damaged_one_is_refused_and_the_old_one_kept(start, frame, tmp_path):
    folder = calibrated(tmp_path / "model", CALIBRATION, name="first")
    _, peer = start("reloading", "-p", f"artifact:={folder}", "-p", "precision:=f32")
    peer.until_ready()
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    peer.exchange(frame, masks)

    def runs(name):
        return values_of(peer, health).get("model") == name

    calibrated(folder, None, name="second")
    answer = peer.ask("reload_model", Trigger, Trigger.Request())
    assert answer.success, answer.message
    assert "second" in answer.message
    peer.until(lambda: runs("second"), "the new model in diagnostics")
    assert peer.exchange(frame, masks)
    (folder / ONNX).write_bytes(b"half a file")
    answer = peer.ask("reload_model", Trigger, Trigger.Request())
    assert not answer.success
    assert "the model in use stays" in answer.message
    assert peer.exchange(frame, masks)
    card = load_artifact(MODEL).card
    save_artifact(folder, card, {ONNX: tiny_graph(gains=range(20)).SerializeToString()})
    answer = peer.ask("reload_model", Trigger, Trigger.Request())
    assert not answer.success
    assert "of shape 1x20x128x224, expected float32 of 1x7 planes" in answer.message
    assert peer.exchange(frame, masks)
    (folder / "artifact.json").unlink()
    os.mkfifo(folder / "artifact.json")
    answer = peer.ask("reload_model", Trigger, Trigger.Request())
    assert not answer.success
    assert "artifact.json: is no regular file" in answer.message
    shutil.rmtree(folder)
    assert not peer.ask("reload_model", Trigger, Trigger.Request()).success
    assert peer.exchange(frame, masks)


def test_a_node_is_given_another_model_by_its_folder_and_keeps_its_own_if_that_is_refused(start, frame, tmp_path):
    first, second = (calibrated(tmp_path / name, CALIBRATION, name=name) for name in ("first", "second"))
    _, peer = start("swapping", "-p", f"artifact:={first}", "-p", "precision:=f32")
    peer.until_ready()
    masks = peer.listen("mask", Image)

    def swap(*arguments):
        command = [sys.executable, "-m", "desert_seg_ros.swap_model", *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}  # a relative path is to be another one for the node
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = swap("/swapping", "second")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("/swapping runs second ")
    assert peer.get_parameter("artifact").string_value == str(second)
    assert peer.exchange(frame, masks)
    (first / ONNX).write_bytes(b"half a file")
    done = swap("swapping", first)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the node /swapping refused the model: ")
    assert done.stderr.endswith("; the model in use stays\n")
    assert peer.get_parameter("artifact").string_value == str(second)
    assert peer.exchange(frame, masks)
    done = swap("swapping", tmp_path / "nowhere")
    assert done.stderr.startswith(
        f"error: the node /swapping refused the model: there is no model artifact '{tmp_path}"
    )
    assert peer.get_parameter("artifact").string_value == str(second)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nobody", "found no /nobody/get_parameters within 0 s, expected a segmentation node that is configured"),
        ("no body", "found the node name '/no body', expected one like /segment"),
    ],
)
def test_a_swap_without_a_node_says_so(ros, name, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(swap_model, "FIND_S", 0.1)
    with pytest.raises(DesertSegError, match=sentence):
        swap_model.swap_model(name, str(tmp_path))


def test_a_reload_that_fails_as_nobody_foresaw_is_refused_too_and_the_log_says_where(start, frame):
    failing = (
        "import desert_seg_ros.model as model, desert_seg_ros.start as start; "
        "load, first = model.Model.load, iter([True]); "
        "model.Model.load = lambda parameters: load(parameters) if next(first, False) else 1 / 0; start.main()"
    )
    node, peer = start("failing", program=("-c", failing))
    peer.until_ready()
    masks = peer.listen("mask", Image)
    answer = peer.ask("reload_model", Trigger, Trigger.Request())
    assert not answer.success
    assert answer.message.startswith("the new model failed with ZeroDivisionError")
    assert "Traceback" in node.output()
    assert peer.exchange(frame, masks)


def test_several_cameras_have_topics_masks_qualities_of_service_and_diagnostics_of_their_own(start, frame):
    reliable = "qos_overrides./front/image.subscription.reliability:=reliable"
    _, peer = start("several", "-p", "cameras:=[front, left]", "-p", "region:=[0.5, 0.0, 1.0, 1.0]", "-p", reliable)
    health = peer.listen("/diagnostics", DiagnosticArray)
    received = {camera: peer.listen(f"{camera}/mask", Image) for camera in ("front", "left")}
    sizes = {"front": frame, "left": np.ascontiguousarray(frame[:, :160])}
    for camera in received:
        peer.publishers[camera] = peer.node.create_publisher(Image, f"{camera}/image", 10)

    def masks_arrive():
        for camera, rgb in sizes.items():
            peer.publishers["image"] = peer.publishers[camera]
            peer.send(rgb, frame_id=camera)
        return all(received.values())

    peer.until(masks_arrive, "masks of both cameras")
    ((front,), (left,)) = (peer.node.get_subscriptions_info_by_topic(f"/{camera}/image") for camera in sizes)
    assert front.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
    assert left.qos_profile.reliability == QoSReliabilityPolicy.BEST_EFFORT
    for camera, rgb in sizes.items():
        message = received[camera][0]
        assert message.header.frame_id == camera
        mask = mask_of(message)
        assert mask.shape == rgb.shape[:2]
        middle = round(0.5 * len(mask))
        assert (mask[:middle] == IGNORE).all()  # outside the region
        assert (mask[middle:] != IGNORE).all()
    names = ["several: segmentation front", "several: segmentation left"]
    peer.until(lambda: any([each.name for each in message.status] == names for message in health), "both reports")
    labels = peer.listen("label_info_json", String, LATCHED)
    peer.until(lambda: labels, "the class list")
    assert json.loads(labels[0].data)["classes"][4]["name"] == "Rocks"


def test_a_camera_that_floods_the_node_takes_nothing_from_one_that_is_slow(start, frame):
    _, peer = start("fair", "-p", "cameras:=[fast, calm]", "-p", "confidence_threshold:=0.0")
    health, calm = peer.listen("/diagnostics", DiagnosticArray), peer.listen("calm/mask", Image)
    publishers = {name: peer.node.create_publisher(Image, f"{name}/image", 10) for name in ("fast", "calm")}

    def send(camera):
        peer.publishers["image"] = publishers[camera]
        return peer.send(frame, stamp=(next(stamps), 0), frame_id=camera)

    def answered(second):
        send("fast")
        return any(mask.header.stamp.sec == second for mask in calm)

    stamps = itertools.count(100)
    peer.until(lambda: send("calm") and calm, "both sides to know each other")
    for _ in range(10):
        second = send("calm").header.stamp.sec
        peer.until(lambda second=second: answered(second), "the mask of the calm camera's image")

    def flooded():
        fast = [status for message in health for status in message.status if status.name == "fair: segmentation fast"]
        values = {entry.key: entry.value for entry in fast[-1].values} if fast else {}
        return int(values.get("dropped_overload", 0)) > 0

    peer.until(flooded, "the node to have counted what it dropped of the fast camera's")


def test_a_picture_nobody_looks_at_is_not_painted(start, frame):
    forbidden = (
        "from desert_seg.painter import Painter; import desert_seg_ros.start as start; "
        "Painter.color = lambda *_: 1 / 0; start.main()"
    )
    node, peer = start("lazy", program=("-c", forbidden))
    peer.until_ready()
    masks = peer.listen("mask", Image)
    for _ in range(3):
        assert peer.exchange(frame, masks)
    peer.listen("mask_color", Image)
    peer.until(lambda: peer.send(frame) and node.process.poll() is not None, "the first painting to fail")
    assert "ZeroDivisionError" in node.output()


def test_a_camera_that_can_never_be_heard_is_named_in_diagnostics(start, frame):
    reliable = "qos_overrides./image.subscription.reliability:=reliable"
    elsewhere = "qos_overrides./camera.subscription.reliability"
    node, peer = start("strict", "-p", reliable, "-p", f"{elsewhere}:=reliable")
    peer.until_ready()
    peer.until(lambda: f"'{elsewhere}' is ignored: the node has no such topic" in node.output(), "the other override")
    health = peer.listen("/diagnostics", DiagnosticArray)
    unsure = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    peer.node.create_publisher(Image, "image", unsure)
    words = "/test_peer publishes /image with another quality of service, so nothing arrives"
    peer.until(lambda: words in latest(peer, health).message, "a warning")
    assert latest(peer, health).level in (DiagnosticStatus.WARN, DiagnosticStatus.STALE)


@pytest.mark.parametrize(
    ("listens", "expected", "published", "kind", "cure"),
    [
        ("raw", "image", "image/compressed", CompressedImage, "image_transport:=compressed and image:=/image"),
        ("compressed", "image/compressed", "image", Image, "image_transport:=raw and image:=/image"),
    ],
)
def test_images_of_the_other_transport_alone_are_named_with_the_cure(start, listens, expected, published, kind, cure):
    _, peer = start(f"wants_{listens}", "-p", f"image_transport:={listens}")
    health = peer.listen("/diagnostics", DiagnosticArray)
    peer.node.destroy_publisher(peer.publishers[expected])
    words = (
        f"/test_peer publishes sensor_msgs/msg/{kind.__name__} on /{published}, and nobody publishes on /{expected}: "
        f"start with {cure}"
    )
    peer.until(lambda: words in latest(peer, health).message, "the cure")
    peer.publishers[expected] = peer.node.create_publisher(
        Image if kind is CompressedImage else CompressedImage, expected, 10
    )
    peer.until(lambda: "start with" not in latest(peer, health).message, "the warning to go with its cause")


def test_a_transport_and_the_calibration_follow_the_base_topic_whether_or_not_its_name_has_the_ending(start):
    remappings = ("a/image:=/one/image_raw", "b/image:=/two/image_raw/compressed", "c/image/compressed:=/three/jpeg")
    remappings += ("b/camera_info:=/calibration",)
    options = ("-p", "cameras:=[a, b, c]", "-p", "image_transport:=compressed")
    _, peer = start("follows", *options, *(word for each in remappings for word in ("-r", each)))
    health = peer.listen("/diagnostics", DiagnosticArray)

    def inputs():
        return {
            value.value
            for message in health
            for status in message.status
            for value in status.values
            if status.name.startswith("follows:") and value.key == "input"
        }

    expected = {"/one/image_raw/compressed", "/two/image_raw/compressed", "/three/jpeg"}
    peer.until(lambda: inputs() == expected, "the three topics")
    for calibration in ("/one/camera_info", "/calibration", "/three/camera_info"):
        peer.until(lambda name=calibration: peer.node.count_subscribers(name) == 1, calibration)


def test_a_clock_that_does_not_come_and_topics_with_a_second_publisher_are_named_with_the_cure(start, frame):
    _, peer = start("crowded", "-p", "use_sim_time:=true")
    peer.until_ready()
    health = peer.listen("/diagnostics", DiagnosticArray)

    def says(*words):
        peer.send(frame)
        return all(word in latest(peer, health).message for word in words)

    peer.until(lambda: says("no /clock has come, so the node's clock stands at 0: start the simulator"), "the clock")
    assert "synchronise the clocks" not in latest(peer, health).message
    second = peer.node.create_publisher(Image, "image", 1)
    double = peer.node.create_publisher(Image, "/crowded/mask", 1)
    peer.until(
        lambda: says(
            "images of 2 publishers are mixed on /image (/test_peer, /test_peer): stop all but one",
            "/crowded/mask has 2 publishers (",
        ),
        "both topics to be named",
    )
    for publisher in (second, double):
        peer.node.destroy_publisher(publisher)
    peer.until(lambda: not says("publishers"), "the warnings to go with their causes")


def test_another_type_on_the_very_input_topic_is_named_with_the_cure(start):
    _, peer = start("mistyped", "-r", "image:=/lidar/points", "-r", "image/compressed:=/elsewhere")
    health = peer.listen("/diagnostics", DiagnosticArray)
    packed = peer.node.create_publisher(CompressedImage, "/lidar/points", 1)
    words = "on /lidar/points, where sensor_msgs/msg/Image is expected: "
    cure = "start with image_transport:=compressed, and remap image/compressed to /lidar/points"
    peer.until(lambda: words + cure in latest(peer, health).message, "a cure for compressed images")
    peer.node.destroy_publisher(packed)
    peer.node.create_publisher(CameraInfo, "/lidar/points", 1)
    peer.until(lambda: words + "give the topic of a camera's images" in latest(peer, health).message, "the cure")


@pytest.mark.parametrize("stamp", [(0, 0), (1_700_000_000, 0)])
def test_a_driver_that_sets_no_stamps_is_named_and_every_image_is_answered(start, frame, stamp):
    _, peer = start("stampless", "-p", "max_rate_hz:=1000.0", "-p", "smoothing:=0.5")
    peer.until_ready()
    health, masks = peer.listen("/diagnostics", DiagnosticArray), peer.listen("mask", Image)

    def another():
        before = len(masks)
        peer.until(lambda: peer.send(frame, stamp=stamp) and len(masks) > before, "a mask")
        return "the driver does not set stamps" in latest(peer, health).message

    peer.until(lambda: peer.send(frame, stamp=stamp) and masks, "both sides to know each other")
    peer.until(another, "the driver to be named")
    assert latest(peer, health).level == DiagnosticStatus.WARN


CAMERA = """
import numpy as np, rclpy
from sensor_msgs.msg import Image
from desert_seg.recordings.image_codec import fill_image
rclpy.init()
node, message = rclpy.create_node("camera"), Image()
fill_image(message, np.zeros((540, 960, 3), np.uint8), "rgb8", message.header)
publisher = node.create_publisher(Image, "image", 10)
node.create_timer(0.05, lambda: publisher.publish(message))
rclpy.spin(node)
"""
"""A camera driver; in a process of its own, because Fast DDS reads its profile once in a process."""


def test_images_that_do_not_fit_into_shared_memory_are_counted_as_lost_and_the_cure_is_said(start, monkeypatch):
    for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(variable, raising=False)
    _, peer = start("starved")
    health = peer.listen("/diagnostics", DiagnosticArray)

    def lost():
        values = values_of(peer, health)
        return int(values.get("frames_lost", 0)) > 5

    with subprocess.Popen([sys.executable, "-c", CAMERA]) as camera:
        try:
            peer.until(lost, "the node to notice")
            assert "images were lost on the way here: start the camera driver with" in latest(peer, health).message
        finally:
            camera.kill()


def test_a_frame_that_never_ends_ends_the_process_instead(start, frame):
    stuck = (
        "import threading, desert_seg_ros.transport as transport, desert_seg_ros.start as start; "
        "transport.decode_image = lambda message, **limits: threading.Event().wait(); start.main()"
    )
    node, peer = start("stuck", "-p", "watchdog_s:=0.5", program=("-c", stuck))
    health = peer.listen("/diagnostics", DiagnosticArray)
    peer.until(lambda: peer.send(frame) and node.process.poll() is not None, "the process to end")
    assert node.process.returncode == 1
    assert "took longer than watchdog_s = 0.5 s" in node.output()
    peer.until(lambda: "the worker stopped" in latest(peer, health).message, "the last report")


def test_a_budget_that_cannot_be_kept_lowers_the_effort_and_diagnostics_say_so(start, frame):
    _, peer = start("hurried", "-p", "speed:=fast", "-p", "tta:=flip", "-p", "latency_budget_ms:=1.0")
    peer.until_ready()
    health, masks = peer.listen("/diagnostics", DiagnosticArray), peer.listen("mask", Image)

    def lowered():
        peer.exchange(frame, masks)
        return "the latency budget allows only tta none at 0.5" in latest(peer, health).message

    peer.until(lowered, "less effort")
    assert mask_of(masks[-1]).shape == frame.shape[:2]
