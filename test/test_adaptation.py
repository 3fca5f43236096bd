"""Teaching a model a few frames of another place."""

import subprocess
import sys

import numpy as np
import pytest

from desert_seg.errors import DataError
from desert_seg.images import write_image

torch = pytest.importorskip("torch")

from desert_seg.artifact import load_artifact  # noqa: E402
from desert_seg_train.adapt.command import adapt, parse_duration  # noqa: E402
from desert_seg_train.adapt.config import AdaptConfig  # noqa: E402


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.parametrize(("text", "seconds"), [("10min", 600), ("90s", 90), ("1.5 h", 5400)])
def test_a_budget_is_a_number_with_a_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["10", "min", "0s", "-5min", "soon"])
def test_a_budget_without_one_is_refused(text):
    with pytest.raises(DataError, match="expected a time like 10min, 90s or 1h"):
        parse_duration(text)


def write_frames(root, names, bright, dark):
    rng = np.random.default_rng(0)
    for name in names:
        mask = np.full((96, 160), dark, np.uint16)
        mask[: rng.integers(20, 70)] = bright
        image = np.where(mask == bright, 220, 60).astype(np.uint8)[..., None] + rng.integers(0, 20, 3, dtype=np.uint8)
        write_image(root / "Color_Images" / f"{name}.png", image)
        write_image(root / "Segmentation" / f"{name}.png", mask)
    return root


def test_a_model_learns_a_place_and_is_judged_on_unseen_frames(tiny_artifact, tmp_path, capsys):
    site = write_frames(tmp_path / "site", ["s0", "s1", "s2", "s3", "s4", "s5"], 10000, 7100)
    old = write_frames(tmp_path / "old", ["o0", "o1"], 100, 300)
    replay = ((old, "falcon7_stones", 1.0),)
    adapted = adapt(AdaptConfig(tiny_artifact.path, site, tmp_path / "run", "4s", replay=replay))
    told = capsys.readouterr().out
    assert "4 frames to learn from, 2 held back" in told
    assert "held-back frames of site" in told
    assert "old, replayed" in told
    assert f"desert-seg export --model {adapted}" in told
    assert load_artifact(adapted).digest != tiny_artifact.digest
    assert "(4 frames, falcon7_stones, weight 1)" in load_artifact(adapted).card.provenance["data"]


def test_a_model_learns_other_classes(tiny_artifact, tmp_path, capsys):
    site = write_frames(tmp_path / "site", ["a", "b", "c"], 8, 1)
    adapted = adapt(AdaptConfig(tiny_artifact.path, site, tmp_path / "run", "2s", label_map="ycor"))
    assert load_artifact(adapted).card.label_map.labels.names[0] == "Smooth Trail"
    told = capsys.readouterr().out
    assert "the model had other classes before" in told
    assert "Smooth Trail" in told


def test_with_nothing_held_back_it_says_that_nothing_is_known(tiny_artifact, tmp_path, capsys):
    site = write_frames(tmp_path / "site", ["a", "b"], 10000, 7100)
    adapt(AdaptConfig(tiny_artifact.path, site, tmp_path / "run", "2s"))
    assert "nothing is known about the gain" in capsys.readouterr().out


def test_a_wrong_budget_ends_the_command_with_one_line(tiny_artifact, tmp_path):
    command = ["adapt", tiny_artifact.path, "--frames", tmp_path, "--out", tmp_path / "run", "--budget", "soon"]
    done = subprocess.run(
        [sys.executable, "-m", "desert_seg_train.cli", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: found budget 'soon', expected a time like 10min, 90s or 1h\n"
