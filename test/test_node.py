"""The real node, in its own process, reached only through DDS."""

import json
import re
import shutil
import signal
import subprocess
import sys
from array import array
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from conftest import ROOT

rclpy = pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.msg import Log, Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters, SetParametersAtomically  # noqa: E402
from rclpy.node import NodeNameNonExistentError  # noqa: E402
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from ros import LATCHED, MODEL, DiagnosticArray, NodeProcess, String, latest, mask_of, values_of  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

from desert_seg.artifact import ONNX, load_artifact  # noqa: E402
from desert_seg.errors import MAX_LENGTH  # noqa: E402
from desert_seg.labels import IGNORE  # noqa: E402
from desert_seg.segmenter import Segmenter  # noqa: E402
from desert_seg_ros.parameters import NodeParameters  # noqa: E402


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    node = NodeProcess("-p", "precision:=f32", log=tmp_path_factory.mktemp("node") / "node.log")
    yield node
    node.stop()


@pytest.fixture
def peer(process, peer_of):
    peer = peer_of("segment")
    peer.until_ready()
    return peer


@pytest.fixture(scope="module")
def expected(frame):
    return Segmenter.load(MODEL, "openvino", precision="f32").segment(frame).mask


def test_an_image_comes_back_as_the_offline_mask_with_its_header_untouched(peer, frame, expected):
    masks = peer.listen("mask", Image)
    mask = peer.exchange(frame, masks, stamp=(123, 456), frame_id="front_camera")
    assert (mask.header.stamp.sec, mask.header.stamp.nanosec, mask.header.frame_id) == (123, 456, "front_camera")
    assert (mask_of(mask) == expected).mean() > 0.999


def test_colours_overlay_and_confidence_appear_for_those_who_listen(peer, frame):
    topics = {name: peer.listen(name, Image) for name in ("mask", "mask_color", "overlay", "confidence")}
    mask, color, overlay, confidence = (peer.exchange(frame, messages, stamp=(9, 9)) for messages in topics.values())
    labels = load_artifact(MODEL).card.label_map.labels
    assert color.encoding == overlay.encoding == "rgb8"
    pixels = np.frombuffer(color.data, np.uint8).reshape(*frame.shape)
    assert np.array_equal(pixels, labels.palette()[mask_of(mask)])
    blend = np.frombuffer(overlay.data, np.uint8).reshape(*frame.shape)
    assert np.abs(blend - (0.5 * frame + 0.5 * pixels)).max() <= 1
    assert mask_of(confidence).min() >= 255 // len(labels)


def test_bgr_and_grey_images_are_understood_too(peer, frame, expected):
    masks = peer.listen("mask", Image)
    swapped = peer.exchange(np.ascontiguousarray(frame[..., ::-1]), masks, encoding="bgr8")
    assert (mask_of(swapped) == expected).mean() > 0.999
    grey = peer.exchange(frame[..., 1].copy(), masks, encoding="mono8")
    assert mask_of(grey).shape == expected.shape


def test_a_change_of_resolution_changes_the_mask_with_it(peer, frame):
    masks = peer.listen("mask", Image)
    for size in [(320, 180), (161, 123)]:
        mask = peer.exchange(cv2.resize(frame, size), masks)
        assert (mask.width, mask.height) == size


def broken(height=4, width=4, encoding="rgb8", step=12, data=b"\0" * 48):
    return Image(height=height, width=width, encoding=encoding, step=step, data=array("B", data))


def test_bad_images_are_counted_named_in_diagnostics_and_survived(peer, frame):
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    assert peer.exchange(frame, masks)
    before = dropped(peer, health, "bad_frame")
    bad = [
        broken(encoding="thermal32"),
        broken(height=0, width=0, step=0, data=b""),
        broken(data=b"\0" * 47),
        broken(step=3),
    ]
    for count, message in enumerate(bad, start=1):
        peer.publishers["image"].publish(message)
        peer.until(
            lambda count=count: dropped(peer, health, "bad_frame") == before + count, "the bad frame to be counted"
        )
    assert peer.exchange(frame, masks)


def dropped(peer, health, cause):
    """How many frames our node says it dropped; other nodes report on the same topic."""

    return int(peer.until(lambda: values_of(peer, health), "diagnostics")[f"dropped_{cause}"])


def test_bytes_that_are_no_message_are_counted_as_bad_frames(peer, frame):
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    assert peer.exchange(frame, masks)
    before, whole = dropped(peer, health, "bad_frame"), serialize_message(broken())
    for count, data in enumerate([whole[:20], whole[:4], b"\xff" * 60], start=1):
        peer.publishers["image"].publish(data)
        peer.until(lambda count=count: dropped(peer, health, "bad_frame") == before + count, "the bytes to be counted")
    last_error = values_of(peer, health)["last_error"]
    assert last_error.startswith("found 60 bytes on /image that are no Image message")
    assert peer.exchange(frame, masks)


def test_a_text_of_megabytes_in_an_image_is_cut_wherever_it_is_said_and_the_cure_is_kept(process, peer, frame):
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    assert peer.exchange(frame, masks)
    before, logged = dropped(peer, health, "bad_frame"), len(process.output())
    message = broken(encoding="x" * 3_000_000)
    counted = lambda: dropped(peer, health, "bad_frame") > before  # noqa: E731
    peer.until(lambda: peer.publishers["image"].publish(message) or counted(), "the image to be counted")
    values = values_of(peer, health)
    assert "expected one of: rgb8" in values["last_error"]
    assert max(map(len, [latest(peer, health).message, *values.values()])) <= MAX_LENGTH
    assert len(process.output()) - logged < 10 * MAX_LENGTH
    assert peer.exchange(frame, masks)


def test_a_request_to_set_a_parameter_of_no_known_type_is_refused_and_the_node_goes_on(peer):
    unknown, known = (
        Parameter(name=name, value=ParameterValue(type=kind, string_value="none"))
        for name, kind in (("tta", 42), ("tta", ParameterType.PARAMETER_STRING))
    )
    first, second = peer.ask(
        "set_parameters", SetParameters, SetParameters.Request(parameters=[unknown, known])
    ).results
    assert not first.successful
    assert first.reason.startswith("42 is not a valid Parameter.Type; give one of")
    assert second.successful
    request = SetParametersAtomically.Request(parameters=[known, unknown])
    assert not peer.ask("set_parameters_atomically", SetParametersAtomically, request).result.successful
    assert peer.get_parameter("tta").string_value == "none"


def test_diagnostics_say_what_runs_and_how_well(peer, frame):
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)

    def healthy():
        peer.exchange(frame, masks)
        status = latest(peer, health)
        return status.level == DiagnosticStatus.OK and "latency_ms_p95" in values_of(peer, health) and status

    status = peer.until(healthy, "a healthy node")
    values = {entry.key: entry.value for entry in status.values}
    assert (status.name, status.message) == ("segment: segmentation", "segmenting")
    assert " f32 on cpu" in values["engine"]
    assert len(values["model_digest"]) == 64
    assert float(values["latency_ms_p95"]) >= float(values["latency_ms_p50"]) > 0


def test_the_class_list_is_latched_for_late_comers(peer):
    infos = peer.listen("label_info_json", String, LATCHED)
    peer.until(lambda: infos, "the class list")
    classes = json.loads(infos[0].data)["classes"]
    assert [entry["id"] for entry in classes] == [0, 1, 2, 3, 4, 5, 6, IGNORE]
    assert classes[4]["name"] == "Rocks"
    assert classes[-1]["name"] == "unknown"


def test_camera_info_follows_every_mask_with_the_same_stamp(peer, frame):
    infos = peer.listen("camera_info", CameraInfo)
    peer.until(lambda: peer.publishers["camera_info"].get_subscription_count() > 0, "the node to listen")
    calibration = CameraInfo(height=frame.shape[0], width=frame.shape[1], k=[500.0, 0, 240, 0, 500, 135, 0, 0, 1])
    calibration.header.frame_id = "front_camera"

    def again():
        peer.publishers["camera_info"].publish(calibration)
        peer.send(frame, stamp=(55, 66))
        return infos and infos[-1].header.stamp.sec == 55

    peer.until(again, "camera_info")
    assert (infos[-1].header.stamp.sec, infos[-1].header.stamp.nanosec) == (55, 66)
    assert infos[-1].k[0] == 500.0


def test_a_live_parameter_changes_the_next_mask_and_can_be_set_back(peer, frame, expected):
    masks = peer.listen("mask", Image)
    landscape = 5
    assert landscape in mask_of(peer.exchange(frame, masks))
    assert peer.set_parameter("suppressed_classes", ["Landscape"]) == (True, "")
    assert landscape not in mask_of(peer.exchange(frame, masks))
    assert peer.set_parameter("suppressed_classes", [""]) == (True, "")
    assert (mask_of(peer.exchange(frame, masks)) == expected).mean() > 0.999


def test_a_threshold_turns_unsure_pixels_unknown(peer, frame):
    masks = peer.listen("mask", Image)
    assert peer.set_parameter("confidence_threshold", 0.9) == (True, "")
    assert IGNORE in mask_of(peer.exchange(frame, masks))
    assert peer.set_parameter("confidence_threshold", 0.0) == (True, "")


def test_the_class_list_is_published_again_only_when_it_changes(peer, frame):
    infos = peer.listen("label_info_json", String, LATCHED)
    thresholds = [0.0, 0.25, 0.0]
    for count, threshold in enumerate(thresholds, start=1):
        assert peer.set_parameter("confidence_threshold", threshold) == (True, "")
        assert peer.set_parameter("tta", "none") == (True, "")
        peer.until(lambda count=count: len(infos) >= count, "the class list")
    assert [json.loads(info.data)["threshold"] for info in infos] == thresholds


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tta", "sixfold", "choose one of: none, flip, scales, full"),
        ("suppressed_classes", ["Cactus"], "there is no class 'Cactus'"),
        ("confidence_threshold", 7.0, "out of range"),
        ("artifact", "other", "there is no shipped model 'other'"),
        ("engine", "torch", "read-only"),
    ],
)
def test_a_refused_parameter_says_why_and_changes_nothing(peer, name, value, reason):
    before = peer.get_parameter(name)
    successful, found = peer.set_parameter(name, value)
    assert not successful
    assert reason in found
    assert peer.get_parameter(name) == before


def test_every_parameter_is_declared_with_a_description(peer):
    for item in fields(NodeParameters):
        descriptor = peer.describe_parameter(item.name)
        assert descriptor.description == item.metadata["description"]
        assert descriptor.read_only is not item.metadata["live"]


def test_the_policy_for_sros_2_allows_the_node_what_it_has_and_little_else(peer):
    def allowed(kind, verb):
        entries = ElementTree.parse(ROOT / "config/sros2_policy.xml").iterfind(f".//{kind}s[@{verb}='ALLOW']/{kind}")
        return {f"/{entry.text}".replace("/~", "/segment").replace("//", "/") for entry in entries}

    def agrees(ask, expected, optional=frozenset()):
        """Nodes and what they have are discovered one by one."""
        with suppress(NodeNameNonExistentError):
            return {name for name, _ in ask("segment", "/")} | optional == expected
        return False

    node = peer.node
    published, ask = allowed("topic", "publish"), node.get_publisher_names_and_types_by_node
    peer.until(lambda: agrees(ask, published, {"/segment/label_info"}), "the topics that it publishes")
    otherwise = {"/image/compressed", "/image/ffmpeg", "/image/foxglove", "/tf", "/tf_static", "/clock"}
    heard, ask_heard = allowed("topic", "subscribe"), node.get_subscriber_names_and_types_by_node
    peer.until(lambda: agrees(ask_heard, heard, otherwise), "the topics that it listens to")
    served, ask_served = allowed("service", "reply"), node.get_service_names_and_types_by_node
    peer.until(lambda: agrees(ask_served, served), "its services")


@pytest.mark.parametrize("with_enclave", [False, True])
def test_where_sros_2_is_enforced_and_cannot_be_the_node_does_not_start(tmp_path, monkeypatch, with_enclave):
    if with_enclave:
        (tmp_path / "enclaves" / "segment").mkdir(parents=True)
    for name, value in (("ENABLE", "true"), ("STRATEGY", "Enforce"), ("KEYSTORE", str(tmp_path))):
        monkeypatch.setenv(f"ROS_SECURITY_{name}", value)
    command = [sys.executable, "-m", "desert_seg_ros.start", "--ros-args", "--enclave", "/segment"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("error: ROS did not start")
    assert "ros2 security create_enclave" in sentence or (with_enclave and "unset ROS_SECURITY_ENABLE" in sentence)


def test_masks_are_offered_reliably_and_images_taken_as_cameras_offer_them(peer):
    (publisher,) = peer.until(lambda: peer.node.get_publishers_info_by_topic("/segment/mask"), "the mask's publisher")
    (subscription,) = peer.until(lambda: peer.node.get_subscriptions_info_by_topic("/image"), "who takes images")
    assert publisher.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
    assert subscription.qos_profile.reliability == QoSReliabilityPolicy.BEST_EFFORT


def test_the_log_tells_a_newcomer_what_runs_what_is_waited_for_and_when_all_is_well(start, frame):
    misspelt = ("-p", "confidence_treshold:=0.4")
    node, peer = start("told", "-r", "image:=/told/image", *misspelt)
    missing = "/told/image: no image yet, and nobody publishes on the input topic"
    peer.until(lambda: missing in node.output(), "the node to say that there is no input")
    first, *rest = node.output().splitlines()
    assert "no parameter 'confidence_treshold', so it is ignored; did you mean confidence_threshold?" in first
    assert "model light (" in rest[0]
    assert "waiting for images on /told/image" in rest[1]
    peer.publishers["image"] = peer.node.create_publisher(Image, "/told/image", 10)
    peer.until_ready()
    masks = peer.listen("mask", Image)
    peer.until(
        lambda: peer.exchange(frame, masks) and "/told/image: segmenting" in node.output(),
        "the node to say that it works",
    )
    assert node.output().count(missing) == 1


def test_a_node_that_nobody_gave_a_profile_has_shared_memory_large_enough_for_its_masks(start, monkeypatch):
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(name, raising=False)
    node, peer = start("roomy")
    peer.listen("mask", Image)
    maps = Path(f"/proc/{node.process.pid}/maps").read_text()
    segments = set(re.findall(r"/dev/shm/fast(?:dds|rtps)_[0-9a-f]+\b", maps))
    assert max(Path(segment).stat().st_size for segment in segments) > 64 * 2**20


def test_what_the_core_logs_is_in_the_log_of_ros(start, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    _, peer = start("logging", "-p", "engine:=openvino")
    said = peer.listen("/rosout", Log, QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL))

    def warnings():
        return [each.msg for each in said if each.name == "logging" and each.level == 30]

    (warning,) = peer.until(warnings, "a warning of the core")
    assert warning.startswith("what was worked out cannot be kept, so that every start takes a second or two longer")


def test_parameters_change_live_and_are_refused_where_rclpy_is_humble_s(start, frame):
    humble = (
        "import rclpy.node, desert_seg_ros.start as start; "
        "del rclpy.node.Node.add_post_set_parameters_callback; start.main()"
    )
    _, peer = start("humble", program=("-c", humble))
    peer.until_ready()
    masks = peer.listen("mask", Image)
    assert IGNORE not in mask_of(peer.exchange(frame, masks))
    assert not peer.set_parameter("suppressed_classes", ["Cactus"])[0]
    assert peer.set_parameter("confidence_threshold", 0.9) == (True, "")
    assert IGNORE in mask_of(peer.exchange(frame, masks))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_node_ends_with_code_zero_on_either_signal(start, frame, how):
    node, peer = start("other")
    masks = peer.listen("mask", Image)
    assert peer.exchange(frame, masks)
    assert node.stop(how) == 0, node.output()
    assert "Traceback" not in node.output()


def test_compressed_images_are_read_and_a_broken_or_too_large_one_is_survived(start, frame):
    num_pixels = frame.shape[0] * frame.shape[1]
    node, peer = start("compressed", "-p", "image_transport:=compressed", "-p", f"max_pixels:={num_pixels}")
    peer.until_ready("image/compressed")
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
    publish = peer.publishers["image/compressed"].publish
    whole, half = (CompressedImage(format="jpeg", data=array("B", data)) for data in (jpeg, jpeg[: len(jpeg) // 99]))
    peer.until(lambda: publish(half) or dropped(peer, health, "bad_frame") > 0, "the broken JPEG to be counted")
    data = cv2.imencode(".jpg", np.vstack([frame, frame[:1]]))[1].tobytes()
    larger = CompressedImage(format="jpeg", data=array("B", data))
    said = lambda: values_of(peer, health).get("last_error", "")  # noqa: E731
    peer.until(lambda: publish(larger) or f"expected at most {num_pixels / 1e6:.3g} megapixels" in said(), "the limit")
    peer.until(lambda: publish(whole) or masks, "a mask")
    assert mask_of(masks[0]).shape == frame.shape[:2]
    assert node.stop() == 0, node.output()


def test_the_node_ends_though_the_signal_woke_it_before_ros_was_shut_down(start):
    quiet = (
        "import signal, threading, rclpy, desert_seg_ros.start as start; "
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); "
        "late = lambda: (signal.sigwait([signal.SIGUSR1]), rclpy.get_default_context().handle.shutdown()); "
        "threading.Thread(target=late, daemon=True).start(); start.main()"
    )
    node, peer = start("quiet", "-p", "autostart:=false", program=("-c", quiet))
    assert state(peer) == "unconfigured"
    assert node.stop(signal.SIGUSR1) == 0, node.output()


def test_a_node_told_to_end_before_ros_listens_for_signals_ends(start):
    early = (
        "import os, signal, rclpy, desert_seg_ros.start as start; init = rclpy.init; "
        "rclpy.init = lambda **options: os.kill(os.getpid(), signal.SIGTERM) or init(**options); start.main()"
    )
    node, _ = start("early", program=("-c", early))
    assert node.process.wait(60) == 0, node.output()
    assert not node.output()


def test_a_bug_in_the_worker_ends_the_process_instead_of_leaving_a_node_that_looks_alive(start, frame):
    faulty = (
        "import desert_seg_ros.transport as transport, desert_seg_ros.start as start; "
        "transport.decode_image = lambda message, **limits: 1 / 0; start.main()"
    )
    node, peer = start("faulty", program=("-c", faulty))
    peer.until(lambda: peer.send(frame) and node.process.poll() is not None, "the process to end")
    assert node.process.returncode == 1
    assert "ZeroDivisionError" in node.output()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "artifact:=/nowhere"], "there is no model artifact '/nowhere'"),
        (["-p", "tta:=sixfold"], "choose one of: none, flip, scales, full"),
        (["-p", "threads:=many"], "threads is 'many'; it must be a whole number from 0 to 256"),
        (
            ["-p", "confidence_threshold:=1"],
            "confidence_threshold is 1; it must be a number with a point from 0.0 to 1.0",
        ),
        (["-p", "cameras:=front"], "cameras is 'front'; it must be a list of texts, like ['one', 'another'] or ['']"),
        (["-p", "cameras:=[]"], "cameras is empty; it must be a list of texts, like ['one', 'another'] or ['']"),
        (["-p", "suppressed_classes:=[]"], "suppressed_classes is empty; it must be a list of texts"),
        (["-p", "region:=[]"], "region is empty; it must be a list of numbers with a point"),
        (["-p", "threads:=[]"], "threads is empty; it must be a whole number from 0 to 256"),
        (
            ["-p", "artifact:=~no_such_user/x"],
            "the home folder in '~no_such_user/x' is that of a user who does not exist",
        ),
        (["-p", f"tta:={'x' * 100_000}"], "choose one of: none, flip, scales, full"),
        (["-p", "max_age_s:=-1.0"], "max_age_s is -1.0; it must be a number with a point from 0.0 to 3600.0"),
        (["-p", "suppressed_classes:=['Cactus']"], "there is no class 'Cactus'"),
        (["image:=/camera"], "ROS did not start (['image:=/camera']); write what follows --ros-args as -r FROM:=TO"),
        (["-p", "engine:=tpu"], "choose one of: auto, openvino, onnxruntime, torch"),
    ],
)
def test_a_start_that_cannot_work_ends_with_code_one_and_one_clear_line(start, arguments, message):
    node, _ = start("refusing", *arguments)
    assert node.process.wait(60) == 1
    assert message in node.output()
    assert len(node.output().splitlines()) == 1
    assert len(node.output()) < MAX_LENGTH + 100


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "segment_node --ros-args -r image:="),
        (["--version"], 0, "segment_node "),
        (["-p", "artifact:=light"], 1, "error: found the argument '-p', expected --help, --version or --ros-args;"),
    ],
    ids=str,
)
def test_the_program_answers_what_it_is_asked_and_starts_no_node(arguments, code, words):
    command = [sys.executable, "-m", "desert_seg_ros.start", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert words in (done.stderr if code else done.stdout)


def test_an_impossible_domain_is_refused_in_words(start, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "9999")
    node, _ = start("nowhere")
    assert node.process.wait(60) == 1
    assert node.output().strip() == "error: ROS_DOMAIN_ID is '9999'; it must be a number from 0 to 232"


def test_without_autostart_the_node_waits_for_a_lifecycle_manager(start, frame):
    node, peer = start("managed", "-p", "autostart:=false")
    assert state(peer) == "unconfigured"
    assert peer.node.count_publishers("/managed/mask") == 0
    for _ in range(2):  # a second round proves that the first left nothing behind
        assert change(peer, Transition.TRANSITION_CONFIGURE)
        assert state(peer) == "inactive"
        health = peer.listen("/diagnostics", DiagnosticArray)
        peer.until(
            lambda health=health: any("not active" in each.status[0].message for each in health), "the node to say so"
        )
        assert change(peer, Transition.TRANSITION_ACTIVATE)
        assert state(peer) == "active"
        peer.until_ready()
        masks = peer.listen("mask", Image)
        assert peer.exchange(frame, masks)
        for _ in range(2):
            peer.node.destroy_subscription(peer.subscriptions.pop())
        assert change(peer, Transition.TRANSITION_DEACTIVATE)
        assert state(peer) == "inactive"
        assert change(peer, Transition.TRANSITION_CLEANUP)
        assert state(peer) == "unconfigured"
    assert node.stop() == 0, node.output()


def test_a_model_that_does_not_load_fails_the_transition_and_can_be_mended(start, tmp_path):
    folder = shutil.copytree(MODEL, tmp_path / "model")
    (folder / ONNX).write_bytes(b"half a file")
    node, peer = start("mended", "-p", "autostart:=false", "-p", f"artifact:={folder}")
    assert not change(peer, Transition.TRANSITION_CONFIGURE)
    assert state(peer) == "unconfigured"
    assert "has SHA-256" in node.output()
    shutil.copy2(MODEL / ONNX, folder / ONNX)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert node.stop() == 0, node.output()


def test_a_node_that_is_deactivated_and_cleaned_up_finishes_the_frame_in_hand_however_slow(start, frame):
    slow = (
        "import threading, desert_seg_ros.transport as transport, desert_seg_ros.start as start; "
        "decode = transport.decode_image; "
        "transport.decode_image = lambda message, **limits: threading.Event().wait(3) or decode(message, **limits); "
        "start.main()"
    )
    node, peer = start("slow", "-p", "autostart:=false", program=("-c", slow))
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.until_ready()
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)

    def in_hand():
        peer.send(frame, stamp=(77, 1))
        return values_of(peer, health).get("frames_in", "0") != "0"

    peer.until(in_hand, "a frame to be received")
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_CLEANUP)
    peer.until(lambda: masks, "the mask of the frame in hand")
    assert state(peer) == "unconfigured"
    assert node.stop() == 0, node.output()


def state(peer):
    return peer.ask("get_state", GetState, GetState.Request()).current_state.label


def change(peer, transition):
    request = ChangeState.Request()
    request.transition.id = transition
    return peer.ask("change_state", ChangeState, request).success
