"""The shipped model on real frames, where the private dataset is at hand."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.recordings.drive import open_drive
from desert_seg.segmenter import Segmenter

FALCON = ROOT.parent / "shared" / "data" / "falcon"
pytestmark = pytest.mark.skipif(not FALCON.is_dir(), reason="the private dataset is not beside this checkout")


def test_the_shipped_model_holds_its_floor_on_validation_frames():
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "desert_seg_train.cli", "evaluate", "--model", ROOT / "models" / "light"]
    done = subprocess.run([*command, "--data", FALCON / "val"], capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("mIoU"))
    assert float(line.split()[1]) >= 0.45


def test_bf16_and_f32_agree_on_frames_of_the_unseen_desert():
    exact, fast = (Segmenter.load(ROOT / "models" / "light", precision=name) for name in ("f32", "auto"))
    frames = [frame.rgb() for frame in open_drive(FALCON / "drive_b").frames()]
    agreement = [(exact.segment(rgb).mask == fast.segment(rgb).mask).mean() for rgb in frames]
    assert np.mean(agreement) > 0.98


def test_a_frame_of_the_unseen_desert_shows_sky_above_and_ground_below():
    segmenter = Segmenter.load(ROOT / "models" / "light")
    mask = segmenter.segment(next(open_drive(FALCON / "drive_b").frames()).rgb()).mask
    sky = segmenter.labels.index("Sky")
    assert (mask[:20] == sky).mean() > 0.95
    assert (mask[300:] == sky).mean() < 0.01


@pytest.mark.parametrize(("folder", "label_map"), [("rugd", "rugd_falcon7"), ("ycor/val", "ycor")])
def test_masks_of_photographs_are_suspected_only_if_they_are_turned(folder, label_map):
    pytest.importorskip("tyro")
    from desert_seg.labels import load_label_map
    from desert_seg_train.flipped_masks import Flip, better_flip
    from desert_seg_train.folder import SegmentationFolder

    frames = SegmentationFolder(FALCON.parent / folder, load_label_map(label_map))
    stored = [frames.stored(index) for index in range(len(frames))]
    assert not any(better_flip(image, mask) for image, mask in stored)
    assert sum(better_flip(image, mask[:, ::-1]) is Flip.MIRRORED for image, mask in stored) > 0.8 * len(frames)
