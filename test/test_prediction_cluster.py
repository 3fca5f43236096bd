"""Predicting on a Ray cluster: real workers, some of them killed, and the driver with workers that sleep."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.images import read_mask, write_image
from desert_seg.recordings.bag import BagWriter
from desert_seg.recordings.drive import open_drive

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pytest.importorskip("torch")

from desert_seg_train.predict.command import predict  # noqa: E402
from desert_seg_train.predict.config import PredictConfig  # noqa: E402
from experiments.scale_out import Archive, predict_archive, sleepers  # noqa: E402

NUM_FRAMES = 80


def workers_of(process):
    return [child for child in psutil.Process(process.pid).children(recursive=True) if "RemoteWorker" in name_of(child)]


def name_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_doubled_when_a_worker_is_killed(tiny_artifact, tmp_path):
    rng = np.random.default_rng(0)
    for index in range(NUM_FRAMES):
        coarse = rng.integers(0, 256, (27, 48, 3), dtype=np.uint8)
        write_image(tmp_path / "in" / f"{index:03}.png", np.kron(coarse, np.ones((20, 20, 1), np.uint8)))
    command = [sys.executable, "-m", "desert_seg_train.cli", "predict", "--model", str(tiny_artifact.path)]
    command += ["--input", str(tmp_path / "in"), "--tta", "none", "--engine", "openvino", "--precision", "f32"]
    alone = subprocess.run([*command, "--output", str(tmp_path / "alone")], capture_output=True, text=True, check=False)
    assert alone.returncode == 0, alone.stderr

    out = tmp_path / "together"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--output", str(out), "--ray", "local", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("raw/*.png"))) < 4:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no worker wrote anything"
        time.sleep(0.02)
    busy = workers_of(process)
    assert len(busy) == 2
    os.kill(busy[0].pid, signal.SIGKILL)
    assert len(list(out.glob("raw/*.png"))) < NUM_FRAMES, "all was done before the worker was killed"
    told, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert f"{NUM_FRAMES} frames in {out}" in told
    record = json.loads((out / "predictions.json").read_text())
    assert (record["frames"], record["failed"], record["finished"]) == (NUM_FRAMES, [], True)
    for kind in ("raw", "color"):
        names = sorted(path.name for path in (out / kind).iterdir())
        assert names == sorted(path.name for path in (tmp_path / "alone" / kind).iterdir())
        assert len(names) == NUM_FRAMES
    for path in (out / "raw").iterdir():
        assert np.array_equal(read_mask(path), read_mask(tmp_path / "alone" / "raw" / path.name))


def test_a_cluster_that_is_not_there_is_said_so(tiny_artifact, tmp_path):
    write_image(tmp_path / "in" / "a.png", np.zeros((32, 32, 3), np.uint8))
    command = [sys.executable, "-m", "desert_seg_train.cli", "predict", "--model", str(tiny_artifact.path)]
    command += ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--ray", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: there is no Ray cluster at 127.0.0.1:1" in done.stderr


def test_the_bags_of_an_archive_are_predicted_in_a_cluster_and_a_broken_one_is_reported(
    tiny_artifact, tmp_path, capsys
):
    for index in range(3):
        write_image(tmp_path / "in" / f"{index}.png", np.full((50, 80, 3), 60 * index, np.uint8))
        with BagWriter(tmp_path / "bags" / str(index)) as bag:
            for frame in open_drive(tmp_path / "in").frames():
                bag.write_message("/camera/image_raw/compressed", frame.stamp_ns, frame.image)
    (tmp_path / "bags/1/1.mcap").write_bytes(b"nothing")
    config = PredictConfig(
        tiny_artifact.path, str(tmp_path / "bags/*"), tmp_path / "out", tta="none", engine="openvino"
    )
    with pytest.raises(DataError, match=r"1 of 3 bags and 0 frames of the others failed"):
        predict(replace(config, ray="local", workers=2))
    told = capsys.readouterr().out
    assert re.search(r"failed: 1: .*1\.mcap.* \(tried 4 times\)", told)
    assert f"4 frames of 2 bags in {config.output}" in told
    assert len(list(config.output.glob("*/raw/*.png"))) == 4


@pytest.mark.timeout(300)
def test_the_driver_holds_few_tasks_tries_failed_ones_again_and_a_rerun_does_what_is_missing(tmp_path):
    """By the real driver, with workers that sleep: two bags kill a worker, and bag 300 is broken."""
    archive = Archive(frames=100_000, frames_per_bag=100, seconds_per_frame=0, kill_every=500, broken=300)
    console = Console(file=io.StringIO(), force_terminal=True)
    with sleepers(archive, tmp_path, 2) as do:
        begun, _, _ = predict_archive(archive, do, console, num_bags=400)
        totals, watched, _ = predict_archive(archive, do, console)
    assert (begun.num_bags, begun.num_frames, begun.num_failed_bags) == (400, 39_900, 1)
    assert (totals.num_bags, totals.num_frames, totals.num_failed_bags) == (1000, 99_900, 1)
    assert 39_900 <= totals.num_there < 41_000
    assert watched.most_in_flight <= 4  # those of the workers, and those that wait for another try
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    expected = [bag.name for bag in archive.bags() if bag.path.name != "300"]
    assert files == sorted([*expected, "000/1.killed", "000/501.killed"])
    shown = console.file.getvalue()
    assert re.search(r"failed: 000/300: archive/300: is damaged \(tried 4 times\)", shown)
    assert re.search(r"99\d00 frames, [\d.]+/s", shown)
