"""`desert-seg calibrate`: temperature, scores for unknown terrain, and what it writes into a model."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.artifact import ONNX, WEIGHTS, load_artifact, save_artifact
from desert_seg.calibration import Calibration
from desert_seg.errors import DataError
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.share import share_directory
from desert_seg_train.calibrate.command import calibrate
from desert_seg_train.calibrate.config import CalibrateConfig
from desert_seg_train.calibrate.fit import Detector, fit_temperature, negative_log_likelihood, reliability
from desert_seg_train.info.command import info
from desert_seg_train.info.config import InfoConfig

FALCON_VAL = ROOT.parent / "shared" / "data" / "falcon" / "val"


def drawn(temperature, number=20_000, seed=0):
    """Scores, and targets drawn with the probabilities that the scores have at a temperature."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 3, (number, 4)).astype(np.float32)
    noise = generator.gumbel(size=scores.shape)
    return scores, (scores / temperature + noise).argmax(1).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_targets_were_drawn_with_is_found(temperature):
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_the_fitted_temperature_also_improves_other_pixels():
    temperature = fit_temperature(*drawn(3.0, seed=0))
    others = drawn(3.0, seed=1)
    assert negative_log_likelihood(*others, temperature) < negative_log_likelihood(*others, 1.0)
    assert reliability(*others, temperature).ece < 0.02 < reliability(*others, 1.0).ece


def test_a_detector_is_judged_as_counted_by_hand():
    wanted, others = np.array([3.0, 2.0], np.float32), np.array([1.0, 2.0, 0.0, 5.0], np.float32)
    # Pairs: 3 beats 1, 2, 0; 2 beats 1, 0 and ties with 2.
    assert Detector.of(wanted, others).auroc == pytest.approx((3 + 2.5) / 8)
    assert Detector.of(np.array([2.0], np.float32), others).fpr95 == pytest.approx(2 / 4)
    assert np.isnan(Detector.of(wanted[:0], others).auroc)


@pytest.fixture
def model(tmp_path):
    """The shipped model as it was before any calibration."""
    light = load_artifact(ROOT / "models" / "light")
    files = {name: (light.path / name).read_bytes() for name in (WEIGHTS, ONNX)}
    return save_artifact(tmp_path / "model", replace(light.card, calibration=None), files).path


@pytest.fixture
def frames(tmp_path):
    """Eight frames of the first desert's val, two for each of its scenes or more."""
    if not FALCON_VAL.is_dir():
        pytest.skip("the dataset is not here")
    out = tmp_path / "frames"
    for folder in ("Color_Images", "Segmentation"):
        (out / folder).mkdir(parents=True)
        for path in sorted((FALCON_VAL / folder).iterdir())[::7]:
            shutil.copy(path, out / folder / path.name)
    return out


def test_calibration_changes_confidences_but_no_mask_and_learns_the_domain(model, frames, capsys):
    calibrate(CalibrateConfig(model, frames, out=model.parent / "calibrated", unknown_values=(700,)))
    said = capsys.readouterr().out
    assert "calibration error (ECE) goes from" in said
    assert "(taken)" in said
    before, after = Segmenter.load(model), Segmenter.load(model.parent / "calibrated")
    assert after.calibration.temperature != 1.0
    rgb = np.asarray(np.random.default_rng(0).integers(0, 256, (128, 224, 3)), np.uint8)
    options = SegmentOptions(want_confidence=True)
    plain, calibrated = before.segment(rgb, options), after.segment(rgb, options)
    np.testing.assert_array_equal(plain.mask, calibrated.mask)
    assert (plain.confidence != calibrated.confidence).any()
    green = np.full((128, 224, 3), (0, 255, 0), np.uint8)
    assert before.domain_shift(before.score([green], options)[0]) is None
    assert after.domain_shift(after.score([green], options)[0]) > 1.5, "a green wall is no desert"
    noise = np.asarray(np.random.default_rng(0).integers(0, 256, (540, 960, 3)), np.uint8)
    assert after.domain_shift(after.score([noise], options)[0]) > 1.5, "nor is white noise"


def test_statistics_of_another_description_count_as_never_measured(model, frames):
    calibrate(CalibrateConfig(model, frames))
    artifact = load_artifact(model)
    known = artifact.card.calibration.frames
    earlier = replace(known, mean=known.mean[1:], spread=known.spread[1:])
    files = {name: (model / name).read_bytes() for name in (WEIGHTS, ONNX)}
    save_artifact(model, replace(artifact.card, calibration=replace(artifact.card.calibration, frames=earlier)), files)
    calibration = load_artifact(model).card.calibration
    assert calibration.frames is None
    assert calibration.temperature == artifact.card.calibration.temperature


def test_the_threshold_calls_about_the_given_share_of_what_it_knows_unknown(model, frames):
    calibrate(CalibrateConfig(model, frames, false_alarms=0.3))
    loose = load_artifact(model).card.calibration.unknown_threshold
    calibrate(CalibrateConfig(model, frames, false_alarms=0.01))
    assert load_artifact(model).card.calibration.unknown_threshold > loose


def test_what_was_measured_is_kept_in_the_model_and_shown_by_info(model, frames, capsys):
    calibrate(CalibrateConfig(model, frames))
    capsys.readouterr()
    info(InfoConfig(model))
    assert "calibrated on: 8 frames of frames, temperature" in capsys.readouterr().out
    stored = json.loads((model / "artifact.json").read_text())["calibration"]
    assert stored["data"] == "8 frames of frames"
    assert stored["measured"]["ece_after"] < stored["measured"]["ece_before"]
    assert {f"{name}_mistakes_auroc" for name in ("energy", "max_logit", "entropy")} < stored["measured"].keys()
    assert not any("never_taught" in name for name in stored["measured"]), "nothing was said to be unknown"
    assert load_artifact(model).card.calibration == Calibration(
        **stored | {"frames": load_artifact(model).card.calibration.frames}
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"false_alarms": 1.0}, "found false_alarms 1.0, expected a share between 0 and 1"),
        ({"unknown_values": (800,)}, "value 800 is a class of label map falcon7_stones"),
        ({"label_map": "ycor"}, "label map ycor has other classes than light; choose one with its classes"),
    ],
)
def test_impossible_settings_are_refused_and_the_model_stays_as_it_was(model, frames, settings, message):
    before = (model / "artifact.json").read_bytes()
    with pytest.raises(DataError, match=message):
        calibrate(CalibrateConfig(model, frames, **settings))
    assert (model / "artifact.json").read_bytes() == before


def test_a_shipped_model_is_not_calibrated_in_place(tmp_path):
    shipped = share_directory() / "models" / "light"
    with pytest.raises(DataError, match="is a shipped model, which is left as it is; give another folder as --out"):
        calibrate(CalibrateConfig(shipped, tmp_path))
