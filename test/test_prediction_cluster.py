"""Predicting on a Ray cluster: real workers, one of them killed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.images import read_mask, write_image

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pytest.importorskip("torch")

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
    command += ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--ray", "auto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: there is no Ray cluster at auto" in done.stderr
