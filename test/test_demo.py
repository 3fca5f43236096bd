"""`make demo`'s program: a drive through the real node, and what is written of it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

pytest.importorskip("rclpy")

from desert_seg.images import write_image
from desert_seg.labels import load_label_map
from desert_seg.recordings.drive import open_drive
from desert_seg_ros.bag_benchmark.masks import recorded_masks
from desert_seg_ros.demo import review
from desert_seg_ros.pictures import Video


def run_demo(*arguments):
    command = [sys.executable, "-m", "desert_seg_ros.demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The demo on the first frames of the sample drive."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = run_demo("--limit", 12, "--rate", 0.25, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


@pytest.fixture(scope="module")
def report(finished):
    return json.loads((finished[0] / "report.json").read_text())


def test_every_frame_sent_is_answered_or_accounted_for(report):
    frames = report["frames"]
    assert frames["sent"] == 12
    assert frames["masks"] + sum(frames["dropped"].values()) + frames["pending"] == 12
    assert frames["masks"] >= 6
    assert len(report["latency_ms"]["all"]) == frames["masks"]
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"] <= report["latency_ms"]["p99"]


def test_accuracy_is_reported_because_the_sample_drive_carries_the_truth(report):
    assert report["accuracy"]["miou_present"] > 0.5
    assert len(report["accuracy"]["iou"]) == len(report["accuracy"]["classes"]) == 7


def test_the_mask_bag_has_the_stamps_of_the_drive(finished, report, sample_drive):
    stamps = [frame.stamp_ns for frame in open_drive(sample_drive, limit=12).frames()]
    recorded = list(recorded_masks(finished[0] / "masks"))
    assert len(recorded) == report["frames"]["masks"]
    assert {stamp for stamp, _ in recorded} <= set(stamps)
    assert all(mask.shape == (540, 960) for _, mask in recorded)


def test_the_pictures_are_there_and_can_be_opened(finished, report):
    sheet = cv2.imread(str(finished[0] / "contact_sheet.png"))
    assert sheet.shape[1] > 1400  # camera, mask and truth beside each other
    video = cv2.VideoCapture(str(finished[0] / "masks.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == report["frames"]["masks"]


def test_the_table_and_the_places_of_the_results_are_printed(finished):
    out, text = finished
    for expected in ("frames in", "dropped", "p95", "mIoU", "Rocks", *(str(out / "report.json"),)):
        assert expected in text
    assert "Traceback" not in text


def test_masks_with_the_classes_of_another_model_are_not_compared_and_it_says_so(tmp_path):
    for index in range(3):
        image = np.random.default_rng(index).integers(0, 256, (120, 200, 3), dtype=np.uint8)
        write_image(tmp_path / "drive" / "images" / f"{index}.png", image)
        mask = Image.fromarray(np.full((120, 200), 3, np.uint8), "P")
        mask.putpalette([0, 0, 0, 10, 20, 30, 40, 50, 60, 156, 76, 30])
        (tmp_path / "drive" / "labels").mkdir(exist_ok=True)
        mask.save(tmp_path / "drive" / "labels" / f"{index}.png")
    done = run_demo("--drive", tmp_path / "drive", "--hz", 2, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: not compared with the true masks of the drive: true mask of frame 0" in done.stdout
    assert "values 3 look like class indices, not like raw values of falcon7_stones" in done.stdout
    assert "so measure with theirs on a folder of images and masks (desert-seg evaluate --label-map)" in done.stdout
    assert json.loads((tmp_path / "out" / "report.json").read_text())["accuracy"] is None
    assert (tmp_path / "out" / "contact_sheet.png").exists()


def test_true_masks_of_another_size_are_not_compared_and_it_says_so(tmp_path):
    write_image(tmp_path / "images" / "0.png", np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    write_image(tmp_path / "labels" / "0.png", np.full((30, 40), 7100, np.uint16))
    pairs = [(0, frame, np.zeros((60, 80), np.uint8)) for frame in open_drive(tmp_path).frames()]
    scores, why = review(pairs, 1, load_label_map("falcon7_stones"), tmp_path, 1.0, "")
    assert scores is None
    assert why.startswith("true mask of frame 0: found 40x30 pixels, expected the image's 80x60;")


def test_a_folder_of_plain_images_is_a_drive_without_truth(tmp_path):
    for index in range(3):
        write_image(tmp_path / "photos" / f"{index}.jpg", np.full((120, 160, 3), 90 + index, np.uint8))
    done = run_demo("--drive", tmp_path / "photos", "--hz", 4, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mIoU" not in done.stdout
    assert json.loads((tmp_path / "out" / "report.json").read_text())["accuracy"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--drive", "nowhere.mcap"], "there is no nowhere.mcap"),
        (["--model", "nowhere/model"], "there is no model artifact 'nowhere/model'"),
        (["--model", "heavy"], "there is no shipped model 'heavy'; give the folder of an artifact, or one of: light"),
        (["--tta", "sixfold"], "choose one of: none, flip, scales, full"),
        (["--hz", "0", "--drive", "sample_drive"], "expected a positive number"),
        (["--rate", "0"], "found a rate of 0.0, expected a positive factor"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(ROOT)
    done = run_demo(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_make_demo_takes_a_drive_its_image_topic_and_a_model():
    command = ["make", "-n", "demo", "DRIVE=my bag", "TOPIC=/left/image", "MODEL=mine"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    words = shlex.split(done.stdout.replace("\\\n", " "))
    assert words[-6:] == ["--drive", "my bag", "--topic", "/left/image", "--model", "mine"]


def test_an_impossible_domain_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "9999")
    for command in (
        ["desert_seg_ros.demo", "--out", tmp_path / "out"],
        ["desert_seg_ros.replay", ROOT / "sample_drive"],
    ):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr == "error: ROS_DOMAIN_ID is '9999'; it must be a number from 0 to 232\n"


def test_a_tampered_model_is_refused_before_anything_starts(tmp_path):
    shutil.copytree(ROOT / "models" / "light", tmp_path / "model")
    with (tmp_path / "model" / "model.onnx").open("ab") as file:
        file.write(b"x")
    done = run_demo("--model", tmp_path / "model", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "copy the artifact again" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(shutil.which("ros2") is not None, reason="there is a real ros2 here, which every other test used")
@pytest.mark.skipif(not (Path(sys.prefix) / "lib" / "desert_seg_ros").is_dir(), reason="not installed by bootstrap.py")
def test_with_a_ros2_on_the_path_the_node_is_started_by_the_launch_file(tmp_path, monkeypatch):
    (tmp_path / "ros2").write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/test/launch_stand_in.py "$@"\n')
    (tmp_path / "ros2").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    done = run_demo("--limit", 4, "--rate", 0.5, "--tta", "flip", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["command"][:4] == ["ros2", "launch", "desert_seg_ros", "segment.launch.py"]
    assert report["frames"]["masks"] > 0
    assert report["node"]["tta"] == "flip"


def test_a_video_that_fails_half_way_leaves_nothing(tmp_path):
    def half_a_video():
        with Video(tmp_path / "film.mp4", 10.0) as video:
            video.add(np.zeros((48, 64, 3), np.uint8))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        half_a_video()
    assert list(tmp_path.iterdir()) == []
