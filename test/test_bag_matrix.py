"""Every command that takes a bag, on every kind of bag: the right result, or one sentence and exit code 1."""

from __future__ import annotations

import json
import logging
import os
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_kinds import (
    HEIGHT,
    KINDS,
    NUM_FRAMES,
    TOPIC,
    WIDTH,
    Kind,
    broken,
    camera,
    coloured_truth,
    odometry,
    picture,
    storage_file,
    times,
    write,
)

from desert_seg.errors import DataError, DesertSegError
from desert_seg.images import read_mask
from desert_seg.recordings.bag import Bag, BagMessage, deserialize
from desert_seg.recordings.drive import open_drive

READABLE = [name for name, kind in KINDS.items() if kind.num_good]
REFUSED = [name for name, kind in KINDS.items() if not kind.num_good]


@dataclass(frozen=True)
class Recording:
    """A recording of a kind, and where a command may write."""

    kind: Kind
    path: Path
    out: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every kind, made when it is first asked for."""
    paths: dict[str, Path] = {}

    def make(name):
        if name not in paths:
            paths[name] = KINDS[name].make(tmp_path_factory.mktemp("kinds") / name.replace(" ", "_"))
        return paths[name]

    return make


@pytest.fixture
def recording(request, made, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    return Recording(KINDS[request.param], made(request.param), tmp_path / "out")


def every(names):
    return pytest.mark.parametrize("recording", names, indirect=True)


def check_end(kind, error, caplog):
    """A sentence for what was left out, or none; and the warning there should be, once."""
    if kind.num_bad:
        assert f"{kind.num_bad} " in str(error)
        assert any(words in str(error) for words in ("could not be read", "failed, the others are done"))
        assert f"{TOPIC}: the message recorded at" in str(error)
    else:
        assert error is None
    assert "\n" not in str(error)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said))
    assert any(kind.remark in each for each in said) if kind.remark else not said
    assert "record it again" not in " ".join(said) + str(error)


def failure(run):
    """The expected failure that a command ends with, if it does."""
    try:
        run()
    except DesertSegError as error:
        return error
    return None


# ------------------------------------------------------------------------------------------------ frames
def test_a_true_mask_that_cannot_be_read_costs_the_benchmark_no_image(tmp_path):
    pytest.importorskip("rclpy")
    from desert_seg_ros.bag_benchmark.frames import prepared_frames

    drive = open_drive(coloured_truth(tmp_path / "bag"))
    assert len(list(prepared_frames(drive, "compressed"))) == NUM_FRAMES


def test_messages_in_another_encoding_than_that_of_ros_are_named():
    stored = BagMessage(TOPIC, "sensor_msgs/msg/CompressedImage", 0, b"{}", "json")
    with pytest.raises(DataError, match="its messages are encoded as json, expected ROS's cdr"):
        deserialize(stored)


def test_a_folder_of_bags_is_no_drive_and_the_bags_are_named(tmp_path):
    from desert_seg_train.predict.inputs import find_chunks

    for name in ("one", "two"):
        write(tmp_path / name, camera())
    for find in (lambda: open_drive(tmp_path), lambda: find_chunks(str(tmp_path), "")):
        with pytest.raises(DataError, match="found no image, but the bags one, two; give one of them"):
            find()


@every(READABLE)
def test_the_frames_are_those_that_were_recorded(recording):
    bad = []
    frames = list(open_drive(recording.path).frames(bad.append))
    assert (len(frames), len(bad)) == (recording.kind.num_good, recording.kind.num_bad)
    indices = [times().index(frame.recorded_ns) for frame in frames]
    assert indices == sorted(indices)
    for index, frame in zip(indices, frames, strict=True):
        assert np.abs(frame.rgb()[..., ::-1].astype(int) - picture(index)).mean() < 12  # JPEG is lossy
        assert frame.truth is None


@pytest.mark.parametrize("name", ["zstd files", "zstd messages", "zstd chunks", "bare zstd"])
def test_a_recording_under_zstd_is_unpacked_once_for_a_drive_and_leaves_nothing_behind(
    made, name, tmp_path, monkeypatch
):
    path = made(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    drive = open_drive(path)
    for _ in range(3):
        assert sum(1 for _ in drive.frames()) == NUM_FRAMES
        assert len(list(tmp_path.iterdir())) == ("mess" not in name and "chunk" not in name)
    del drive
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mcap", "db3", "zstd chunks", "ROS 1"])
def test_hostile_lengths_anywhere_in_a_file_cost_no_memory_and_end_in_frames_or_a_sentence(name, tmp_path):
    path = KINDS[name].make(tmp_path / "bag")
    file = storage_file(path) if path.is_dir() else path
    whole, generator = file.read_bytes(), np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index in range(30):
        content = bytearray(whole)
        place = int(generator.integers(len(content) - 8))
        lengths = (b"\xff\xff\xff\x7f", (2**62).to_bytes(8, "little"), (10**10).to_bytes(8, "little"))
        content[place : place + len(lengths[index % 3])] = lengths[index % 3]
        file.write_bytes(content)
        bad = []
        try:
            num_frames = sum(1 for _ in open_drive(path).frames(bad.append))
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert num_frames <= NUM_FRAMES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


# ------------------------------------------------------------------------------------------------ predict, label
@pytest.fixture(scope="module")
def model(tiny_artifact):
    return tiny_artifact.path


@every(READABLE)
def test_predict_writes_a_mask_for_every_frame_that_can_be_read_and_says_how_many(recording, model, capsys, caplog):
    from desert_seg_train.predict.command import predict
    from desert_seg_train.predict.config import PredictConfig

    error = failure(
        lambda: predict(PredictConfig(model, str(recording.path), recording.out, tta="none", engine="torch"))
    )
    masks = list((recording.out / "raw").iterdir())
    assert len(masks) == recording.kind.num_good
    assert all(read_mask(mask).shape == (HEIGHT, WIDTH) for mask in masks)
    assert f"{recording.kind.num_good} frames in" in capsys.readouterr().out
    record = json.loads((recording.out / "predictions.json").read_text())
    assert record["frames"] == recording.kind.num_good + recording.kind.num_bad
    assert len(record["failed"]) == recording.kind.num_bad
    check_end(recording.kind, error, caplog)


@every(READABLE)
def test_label_proposes_for_every_frame_that_can_be_read(recording, model, caplog):
    from desert_seg_train.label.command import label
    from desert_seg_train.label.config import LabelConfig

    error = failure(lambda: label(LabelConfig((str(recording.path),), model, recording.out, tta="none", count=9)))
    assert len(list((recording.out / "frames").glob("*.json"))) == recording.kind.num_good
    check_end(recording.kind, error, caplog)


def test_predict_and_label_unpack_a_recording_once(made, model, tmp_path, monkeypatch):
    from desert_seg.recordings import files
    from desert_seg_train.label.command import label
    from desert_seg_train.label.config import LabelConfig
    from desert_seg_train.predict.command import predict
    from desert_seg_train.predict.config import PredictConfig

    unpacked, unpack = [], files._unpack
    monkeypatch.setattr(files, "_unpack", lambda *paths: (unpacked.append(paths), unpack(*paths))[1])
    predict(PredictConfig(model, str(made("zstd files")), tmp_path / "masks", tta="none", engine="torch"))
    assert len(unpacked) == 1
    label(LabelConfig((str(made("zstd files")),), model, tmp_path / "proposals", tta="none"))
    assert len(unpacked) == 2


# ------------------------------------------------------------------------------------------------ live commands
@every(READABLE)
def test_replay_publishes_every_frame_that_can_be_read_and_says_where(recording, capsys, caplog):
    pytest.importorskip("rclpy")
    from desert_seg_ros.replay import main

    arguments = [str(recording.path), "--rate", "1000", "--wait-subscribers", "0", "--image-topic", "/matrix/image"]
    ended = ""
    try:
        main(arguments)
    except SystemExit as end:
        ended = str(end)
    suffix = "" if recording.path.name == "raw" else "/compressed"
    told = f"published {recording.kind.num_good} frames of {recording.path} on /matrix/image{suffix}\n"
    assert capsys.readouterr().out == told
    check_end(recording.kind, ended or None, caplog)


@every(READABLE)
def test_the_benchmark_and_the_demo_would_send_every_frame_that_can_be_read(recording):
    from desert_seg_ros.bag_benchmark.frames import prepare, prepared_frames, stored_transport

    drive, bad = open_drive(recording.path), []
    frames = prepare(prepared_frames(drive, stored_transport(drive), bad.append), drive.path)
    assert (len(frames), len(bad)) == (recording.kind.num_good, recording.kind.num_bad)


@pytest.mark.parametrize("command", ["predict", "label", "replay", "benchmark", "demo"])
@every(REFUSED)
def test_what_cannot_be_read_is_refused_with_its_cure_before_anything_is_written(recording, model, command, capsys):
    path, out = str(recording.path), recording.out
    with pytest.raises((DataError, SystemExit)) as refused:
        if command == "predict":
            from desert_seg_train.predict.command import predict
            from desert_seg_train.predict.config import PredictConfig

            predict(PredictConfig(model, path, out))
        elif command == "label":
            from desert_seg_train.label.command import label
            from desert_seg_train.label.config import LabelConfig

            label(LabelConfig((path,), model, out))
        elif command == "replay":
            pytest.importorskip("rclpy")
            from desert_seg_ros.replay import main

            main([path])
        elif command == "benchmark":
            pytest.importorskip("rclpy")
            from desert_seg_ros.bag_benchmark.command import benchmark
            from desert_seg_ros.bag_benchmark.options import parse

            benchmark(parse([path, "--out", str(out)]))
        else:
            pytest.importorskip("rclpy")
            from desert_seg_ros import demo

            demo.demo(demo.make_parser().parse_args(["--drive", path, "--out", str(out)]))
    sentence = str(refused.value)
    assert recording.kind.refusal in sentence
    assert "\n" not in sentence
    assert "record it again" not in sentence
    assert not out.exists()
    assert capsys.readouterr().out == ""


def test_a_topic_is_chosen_and_depth_is_none_to_choose(made):
    assert sum(1 for _ in open_drive(made("two cameras"), "/right").frames()) == NUM_FRAMES
    with pytest.raises(DataError, match="holds depth, not colour images, on /depth; the image topics are: /cam/"):
        open_drive(made("depth beside"), "/depth")


# ------------------------------------------------------------------------------------------------ a live node
@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """Stamps of 0, a message cut short, and odometry where the truth would be."""
    messages = camera(stamps=[0] * NUM_FRAMES)
    with Bag(broken(tmp_path_factory.mktemp("hard") / "broken")) as bag:
        cut = [message.data for message in bag.messages([TOPIC])][1]
    messages[2] = (TOPIC, times()[2], cut)
    messages += [("/cam/ground_truth", time + 1, odometry(time)) for time in times()]
    return write(tmp_path_factory.mktemp("hard") / "hard", messages)


def test_the_live_benchmark_gives_every_frame_its_own_mask_beside_a_running_node(hard, tmp_path):
    """The running node is on the live topic and has the default name; the benchmark has nothing to do with it."""
    pytest.importorskip("rclpy")
    from ros import NodeProcess

    from desert_seg.segmenter import Segmenter
    from desert_seg_ros.bag_benchmark.command import benchmark
    from desert_seg_ros.bag_benchmark.masks import recorded_masks
    from desert_seg_ros.bag_benchmark.options import parse

    remaps = ["-r", "image/compressed:=/camera/image_raw/compressed", "-p", "image_transport:=compressed"]
    beside = NodeProcess(*remaps, log=tmp_path / "beside.log")
    try:
        arguments = [str(hard), "--rate", "lockstep", "--param", "engine:=openvino", "--out", str(tmp_path / "out")]
        with pytest.raises(DataError, match=r"hard: 1 message could not be read and was left out; the first: /cam/"):
            benchmark(parse(arguments))
    finally:
        assert beside.stop() == 0, beside.output()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (run,) = results["runs"]
    assert run["frames"]["sent"] == run["frames"]["masks"] == 3
    assert not any(run["frames"]["dropped"].values())
    assert results["command"].count(f"__node:=desert_seg_benchmark_{os.getpid()}") == 1
    assert not any("/camera/image_raw" in part and "desert_seg_benchmark" not in part for part in results["command"])
    assert run["accuracy_missing"] == "the drive holds no true masks for these frames"
    assert sorted(run["mask_sha256"]) == ["0", "1", "2"]
    masks = [mask for _, mask in recorded_masks(tmp_path / "out" / "masks" / "lockstep")]
    segmenter = Segmenter.load("models/light", "openvino", precision="auto")
    for index, mask in zip((0, 1, 3), masks, strict=True):
        jpeg = cv2.imencode(".jpg", picture(index))[1]
        rgb = np.ascontiguousarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1])
        assert (segmenter.segment(rgb).mask == mask).mean() > 0.99


def test_the_live_demo_shows_what_can_be_read_and_says_what_cannot(hard, tmp_path, capsys):
    pytest.importorskip("rclpy")
    from desert_seg_ros import demo

    with pytest.raises(DataError, match="1 message could not be read and was left out"):
        demo.demo(
            demo.make_parser().parse_args(
                ["--drive", str(hard), "--rate", "0.1", "--topic", TOPIC, "--out", str(tmp_path / "out")]
            )
        )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["frames"]["sent"] == 3
    assert report["frames"]["masks"] >= 2
    assert report["accuracy"] is None
    video = cv2.VideoCapture(str(tmp_path / "out" / "masks.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == report["frames"]["masks"]
    assert "masks.mp4" in capsys.readouterr().out
