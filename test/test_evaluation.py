"""Measuring a model on a labelled folder: the laws of every number, comparing models, and the evaluate command."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from desert_seg.artifact import ModelCard
from desert_seg.errors import DataError
from desert_seg.images import read_mask, write_image
from desert_seg.labels import IGNORE
from desert_seg.scoring import Confusion, count
from desert_seg.segmenter import Segmenter

pytest.importorskip("torch")
pytest.importorskip("rich")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from labelled_folder import STONES, Seer, seer, write_folder

from desert_seg_train.benchmark.training_log import find_training_log, read_training_log
from desert_seg_train.evaluate.boundary import BoundaryCounts, outline_strip, strip_width
from desert_seg_train.evaluate.command import evaluate
from desert_seg_train.evaluate.comparison import bootstrap, compare
from desert_seg_train.evaluate.config import EvaluateConfig
from desert_seg_train.evaluate.earlier import check_same_truth, read_earlier
from desert_seg_train.evaluate.measurement import Setting
from desert_seg_train.evaluate.measuring import count_bands, measure, open_test_set
from desert_seg_train.evaluate.reliability import NUM_BINS, Reliability
from desert_seg_train.evaluate.results import Results, Run
from desert_seg_train.evaluate.results_file import results_json

TARGETS = arrays(np.uint8, (24, 32), elements=st.sampled_from([0, 1, 2, IGNORE]))
BLOBS = arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 2, IGNORE])).map(
    lambda cells: np.kron(cells, np.ones((5, 4), np.uint8))
)


def silent(items, total):
    return items


def open_folder(root, segmenter=None, label_map=""):
    return open_test_set(root, label_map, segmenter or seer(), silent)


def measured(root, views="none", suppressed=(), **how):
    (found,) = measure(seer(**how), open_folder(root), [Setting(views, suppressed)], silent)
    return found


def results_of(root, passes=None, name="seer", **how):
    segmenter, test_set = seer(**how), open_folder(root)
    segmenter.card = replace(segmenter.card, name=name)
    passes = passes or measure(segmenter, test_set, [Setting()], silent)
    return Results.of(Path("models/seer"), segmenter, test_set, passes, Run.here(segmenter))


# ------------------------------------------------------------------------------------------- boundary IoU
@given(BLOBS, st.integers(1, 4))
def test_the_outline_strip_is_what_repeated_erosion_takes_from_each_class(classes, width):
    strip = outline_strip(classes, width)
    for index in (0, 1, 2):
        padded = cv2.copyMakeBorder((classes == index).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
        assert np.array_equal(strip & (classes == index), (classes == index) & (eroded == 0))


def test_boundary_iou_of_a_shifted_square_is_that_counted_by_hand():
    target, mask = np.zeros((2, 20, 20), np.uint8)
    target[5:11, 5:11] = 1
    mask[5:11, 6:12] = 1
    counts = BoundaryCounts.of(target, mask, 2, ratio=1 / np.hypot(20, 20))
    # Two rings one pixel wide, of 20 pixels each; shifted by one they share 5 of each of their long sides.
    assert (counts.truth[1], counts.guess[1], counts.both[1]) == (20, 20, 10)
    assert counts.iou[1] == pytest.approx(10 / 30)


@given(TARGETS)
def test_a_perfect_mask_has_perfect_outlines_also_along_what_is_ignored(target):
    counts = BoundaryCounts.of(target, np.where(target == IGNORE, 1, target).astype(np.uint8), 3)
    assert all(iou == 1 or np.isnan(iou) for iou in counts.iou)
    if (target != IGNORE).any():
        assert counts.mean_iou == 1


@given(BLOBS, BLOBS)
def test_boundary_counts_are_symmetric_and_bounded(target, mask):
    mask = np.where(target == IGNORE, np.uint8(IGNORE), np.where(mask == IGNORE, np.uint8(0), mask))
    there, back = BoundaryCounts.of(target, mask, 3), BoundaryCounts.of(mask, target, 3)
    assert np.array_equal(there.both, back.both)
    assert np.array_equal(there.truth, back.guess)
    assert (there.both <= np.minimum(there.truth, there.guess)).all()


def test_the_strip_is_two_percent_of_the_diagonal():
    assert strip_width(540, 960) == 22
    assert strip_width(4, 4) == 1


# ------------------------------------------------------------------------------------------- confidence
def reliability_of(right, wrong):
    levels = [(level, True) for level in right] + [(level, False) for level in wrong]
    confidence = np.array([[level for level, _ in levels]], np.uint8)
    target = np.zeros_like(confidence)
    mask = np.array([[0 if hit else 1 for _, hit in levels]], np.uint8)
    return Reliability.of(target, mask, confidence)


LEVELS = st.lists(st.integers(0, 255), min_size=1, max_size=30)


@given(LEVELS, LEVELS)
def test_auroc_is_the_chance_that_a_right_pixel_is_surer_than_a_wrong_one(right, wrong):
    pairs = [(one > other) + (one == other) / 2 for one in right for other in wrong]
    assert reliability_of(right, wrong).auroc == pytest.approx(np.mean(pairs))


def test_fpr95_and_risk_coverage_are_those_counted_by_hand():
    found = reliability_of([200] * 19 + [50], [220, 200, 100, 20])
    assert found.fpr95 == 2 / 4, "19 of 20 right pixels are at 200 or above, and so are two wrong ones"
    coverage, risk = found.risk_coverage()
    levels = {round(share * 24): wrong for share, wrong in zip(coverage, risk, strict=True)}
    assert levels == pytest.approx({0: 0, 1: 1, 21: 2 / 21, 22: 3 / 22, 23: 3 / 23, 24: 4 / 24})
    steps = [(1, 1), (20, 2 / 21), (1, 3 / 22), (1, 3 / 23), (1, 4 / 24)]
    assert found.aurc == pytest.approx(sum(pixels * wrong for pixels, wrong in steps) / 24)
    assert reliability_of([200], [100]).fpr95 == 0
    assert np.isnan(reliability_of([200], []).fpr95)


def test_auroc_of_three_pixels_is_that_counted_by_hand():
    assert reliability_of([200, 100], [100]).auroc == 0.75
    assert reliability_of([200], [100]).auroc == 1
    assert reliability_of([100], [200]).auroc == 0
    assert np.isnan(reliability_of([200, 10], []).auroc)


def test_ece_is_that_counted_by_hand():
    # Four pixels at 0.8 of which two are right, one at 1.0 that is right: (4 x |0.5 - 0.8| + 1 x 0) / 5.
    assert reliability_of([204, 204, 255], [204, 204]).ece == pytest.approx(4 * 0.3 / 5)
    assert reliability_of([255, 255], []).ece == 0
    assert reliability_of([], [0]).ece == 0


@given(LEVELS, LEVELS)
def test_ece_is_bounded_and_the_bins_hold_every_pixel(right, wrong):
    reliability = reliability_of(right, wrong)
    bins = reliability.bins()
    assert bins.pixels.sum() == len(right) + len(wrong)
    filled = bins.pixels > 0
    lower = np.arange(NUM_BINS) / NUM_BINS
    assert (bins.confidence[filled] >= lower[filled] - 1e-9).all()
    assert (bins.confidence[filled] <= lower[filled] + 1 / NUM_BINS + 1e-9).all()
    assert 0 <= reliability.ece <= 1
    accuracy = len(right) / (len(right) + len(wrong))
    assert reliability.ece >= abs(reliability.mean_confidence - accuracy) - 1e-9


@given(TARGETS, TARGETS, TARGETS)
def test_ignored_pixels_have_no_part_in_reliability_and_frames_add_up(target, mask, confidence):
    whole = Reliability.of(target, mask, confidence)
    halves = [Reliability.of(target[rows], mask[rows], confidence[rows]) for rows in (slice(0, 9), slice(9, 24))]
    assert (whole.right + whole.wrong).sum() == (target != IGNORE).sum()
    assert np.array_equal(whole.right, (halves[0] + halves[1]).right)


# ------------------------------------------------------------------------------------------- bands
@given(st.integers(1, 40), st.integers(0, 2**31))
def test_the_bands_of_a_frame_sum_to_the_frame_whatever_its_height(height, seed):
    target, mask = np.random.default_rng(seed).choice([0, 1, 2, IGNORE], (2, height, 7)).astype(np.uint8)
    assert np.array_equal(count_bands(target, mask, 3).sum(0), count(target, mask, 3))


# ------------------------------------------------------------------------------------------- bootstrap
CONFUSIONS = arrays(np.int64, (6, 3, 4), elements=st.integers(0, 500)).filter(lambda counts: counts.any())


def generator():
    return np.random.default_rng(1)


@given(CONFUSIONS)
@settings(max_examples=20)
def test_a_model_is_neither_better_nor_worse_than_itself(confusions):
    difference = compare(confusions, confusions, generator()).miou
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert difference.verdict == "no difference shown"


@given(CONFUSIONS)
@settings(max_examples=20)
def test_a_comparison_turned_round_is_its_negative(confusions):
    other = confusions.copy()
    other[:, 0] = np.roll(other[:, 0], 1, axis=1)
    there, back = (compare(*pair, generator()).miou for pair in ((confusions, other), (other, confusions)))
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)


def noisy_models(frames, gain, spread):
    """Two models with 1000 pixels a frame, the first right on `gain` more of them, give or take `spread`."""
    draws = np.random.default_rng(0)
    hits = draws.integers(400, 900, frames)
    more = (gain + draws.normal(0, spread, frames)).round().astype(int)
    ours, theirs = np.zeros((2, frames, 2, 3), np.int64)
    for confusion, right in ((ours, hits + more), (theirs, hits)):
        confusion[:, 0, 0], confusion[:, 0, 1], confusion[:, 1, 1] = right, 1000 - right, 500
    return ours, theirs


def test_better_is_said_only_when_the_interval_leaves_out_zero():
    assert compare(*noisy_models(50, gain=20, spread=10), generator()).miou.verdict == "better"
    assert compare(*noisy_models(50, gain=-20, spread=10), generator()).miou.verdict == "worse"
    assert compare(*noisy_models(50, gain=0, spread=40), generator()).miou.verdict == "no difference shown"


def test_pairing_sees_a_difference_that_two_intervals_side_by_side_hide():
    ours, theirs = noisy_models(50, gain=20, spread=10)
    assert bootstrap(theirs, generator()).miou.high > bootstrap(ours, generator()).miou.low
    assert compare(ours, theirs, generator()).miou.low > 0


def test_an_interval_holds_its_number_and_narrows_with_the_frames():
    few, many = (bootstrap(noisy_models(frames, 0, 10)[0], generator()) for frames in (10, 400))
    for intervals in (few, many):
        assert intervals.miou.low < intervals.miou.value < intervals.miou.high
    assert many.miou.high - many.miou.low < (few.miou.high - few.miou.low) / 3


def test_a_class_that_is_not_there_has_no_interval():
    confusions = np.zeros((4, 3, 4), np.int64)
    confusions[:, 0, 0] = 5
    assert np.isnan(bootstrap(confusions, generator()).classes[2].low)


# ------------------------------------------------------------------------------------------- going through a folder
def test_a_perfect_model_scores_one_everywhere(tmp_path):
    measurement = measured(write_folder(tmp_path))
    scores = measurement.scores
    assert scores.miou_present == scores.miou_all == scores.miou_frequent == scores.pixel_accuracy == 1
    assert scores.frequency_weighted_iou == measurement.boundary.mean_iou == measurement.worst_miou == 1
    assert scores.hallucinated_share == measurement.reliability.ece == 0
    assert np.isnan(measurement.reliability.auroc)
    assert [band.miou_present for band in measurement.band_scores] == [1] * len(measurement.bands)


def test_the_numbers_are_those_of_a_hand_count_over_the_files(tmp_path):
    root = write_folder(tmp_path)
    measurement = measured(root, mistakes={4: 5})
    targets = [STONES.apply(read_mask(path)) for path in sorted((root / "Segmentation").iterdir())]
    rocks, land = (np.array([(target == index).sum() for target in targets]) for index in (4, 5))
    assert measurement.scores.iou[4] == 0
    assert measurement.scores.iou[5] == pytest.approx(land.sum() / (land + rocks).sum())
    per_frame = [(5 + landed / (landed + stones)) / 7 for landed, stones in zip(land, rocks, strict=True)]
    assert measurement.frame_miou == pytest.approx(per_frame)
    assert measurement.worst == (int(np.argmin(per_frame)),)
    assert np.array_equal(measurement.bands.sum(0), measurement.total)
    assert measurement.reliability.wrong.sum() == rocks.sum()
    assert measurement.latency_ms.shape == (4, 4)
    assert measurement.latency_ms[:, 3] == pytest.approx(measurement.latency_ms[:, :3].sum(1))


def test_the_order_of_the_frames_changes_no_number(tmp_path):
    root, shuffled = write_folder(tmp_path / "a"), tmp_path / "b"
    for number, path in enumerate(sorted(root.rglob("*.png"), key=lambda path: (path.parent, path.name[::-1]))):
        target = shuffled / path.parent.name / f"t{9 - number % 4}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    one, other = (measured(folder, mistakes={2: 3, 0: 5}, certainty=1.0) for folder in (root, shuffled))
    assert one.scores.to_dict() == other.scores.to_dict()
    assert (one.reliability.ece, one.worst_miou) == (other.reliability.ece, other.worst_miou)
    assert np.array_equal(one.boundary.iou, other.boundary.iou)
    assert np.array_equal(one.bands, other.bands)


def test_frames_of_several_sizes_are_measured_at_their_own(tmp_path):
    write_folder(tmp_path / "small", frames=1)
    root = write_folder(tmp_path / "all", frames=2, size=(192, 320))
    for path in (tmp_path / "small").rglob("*.png"):
        shutil.copy(path, root / path.parent.name / "z.png")
    measurement = measured(root)
    assert measurement.sizes == ((320, 192), (320, 192), (160, 96))
    assert measurement.total.sum() == 2 * 320 * 192 + 160 * 96


def test_a_suppressed_class_is_never_said_and_the_next_best_is(tmp_path):
    root = write_folder(tmp_path, classes=[0, 5])
    plain = measured(root, mistakes={0: 4})
    suppressed = measured(root, suppressed=("Rocks",), mistakes={0: 4})
    assert plain.scores.hallucinated_share > 0.3
    assert suppressed.scores.hallucinated_share == 0
    assert suppressed.scores.miou_present == 1  # of equal scores the lowest class wins, which is 0


def test_the_same_predictions_are_scored_under_other_label_maps(tmp_path):
    test_set = open_folder(write_folder(tmp_path, clutter=True))
    assert [label_map.name for label_map in test_set.beside] == ["falcon7"]
    results = results_of(tmp_path, mistakes={4: 5})
    falcon7 = results.beside_scores["falcon7"]
    assert falcon7.share[4] < results.scores.share[4]
    assert results.reading_differences(test_set.beside[0])[0] == "550 as ignored (here Rocks)"


def test_masks_that_are_read_alike_by_all_label_maps_are_scored_once(tmp_path):
    assert open_folder(write_folder(tmp_path)).beside == ()


# ------------------------------------------------------------------------------------------- what cannot be measured
def without_masks(root):
    shutil.rmtree(root / "Segmentation")


def without_frames(root):
    for path in root.rglob("*.png"):
        path.unlink()


def with_one_value_unknown(root):
    mask = read_mask(root / "Segmentation" / "s02.png").copy()
    mask[:2, :5] = 1234
    write_image(root / "Segmentation" / "s02.png", mask)


def with_every_pixel_ignored(root):
    for path in (root / "Segmentation").iterdir():
        write_image(path, np.full((96, 160), 700, np.uint16))


def with_a_cut_image(root):
    path = root / "Color_Images" / "s03.png"
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_masks, "found Color_Images/ but no Segmentation/, expected a mask for every image"),
        (without_frames, "found no image"),
        (with_one_value_unknown, r"s02.png: label map falcon7_stones does not know 1234 \(10 pixels\)"),
        (with_every_pixel_ignored, "ignores every pixel of all 4 masks; choose another with --label-map"),
        (with_a_cut_image, "s03.png: is not a whole image"),
        (shutil.rmtree, "there is no folder"),
    ],
)
def test_an_unusable_folder_is_refused_before_anything_is_written(tmp_path, tiny_artifact, spoil, said):
    root = write_folder(tmp_path / "set")
    spoil(root)
    with pytest.raises(DataError, match=said):
        evaluate(EvaluateConfig(tiny_artifact.path, root, json=tmp_path / "out.json"))
    assert not (tmp_path / "out.json").exists()


def test_a_label_map_with_other_classes_than_the_model_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"label map falcon10 has classes .*Logs.*, the model predicts"):
        open_folder(write_folder(tmp_path), label_map="falcon10")


# ------------------------------------------------------------------------------------------- results.json and back
@pytest.fixture
def earlier(tmp_path):
    """A folder, and what a model that takes rocks for ground made of it."""
    root, path = write_folder(tmp_path / "set"), tmp_path / "earlier.json"
    path.write_bytes(results_json(results_of(root, name="blind", mistakes={4: 5})))
    return root, path


def test_results_are_valid_json_without_nan_and_come_back_as_they_were(earlier):
    root, path = earlier
    expected = measured(root, mistakes={4: 5})
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content["passes"][0]["miou_present"] == expected.scores.miou_present
    assert content["passes"][0]["confusion"] == expected.total.tolist()
    assert content["beside"] == {}
    back = read_earlier(path)
    assert np.array_equal(back.confusions, expected.confusions)
    assert (back.model, back.names, back.classes) == ("blind", expected.names, STONES.labels.names)


def test_a_better_model_is_called_better_with_the_reason(earlier):
    root, path = earlier
    back = read_earlier(path)
    check_same_truth(back, open_folder(root))
    results = replace(results_of(root), earlier=back)
    content = json.loads(results_json(results))["comparison"]
    assert (content["model"], content["verdict"]) == ("blind", "better")
    assert 0 < content["miou"]["low"] < content["miou"]["value"] < content["miou"]["high"]
    assert content["iou"]["Rocks"]["value"] == 1
    assert content["iou"]["Sky"]["value"] == 0


def test_two_models_of_one_name_are_told_apart(earlier):
    root, path = earlier
    results = replace(results_of(root, name="blind"), earlier=read_earlier(path))
    assert results.earlier_name == "blind 55555555"


def other_frames(root):
    for path in root.rglob("s01.png"):
        path.unlink()


def other_truth(root):
    mask = read_mask(root / "Segmentation" / "s02.png").copy()
    mask[:, :40] = 700
    write_image(root / "Segmentation" / "s02.png", mask)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_frames, "is of 4 frames with s01, expected the 3 frames of"),
        (other_truth, r"found another true mask for 1 of 4 frames \(first: s02;"),
    ],
)
def test_results_of_other_frames_or_another_truth_are_not_compared(earlier, change, said):
    root, path = earlier
    change(root)
    with pytest.raises(DataError, match=said):
        check_same_truth(read_earlier(path), open_folder(root))


def test_results_under_another_label_map_are_not_compared(tmp_path):
    root, path = write_folder(tmp_path / "set", clutter=True), tmp_path / "earlier.json"
    path.write_bytes(results_json(results_of(root)))
    with pytest.raises(DataError, match="label map falcon7_stones there, falcon7 here"):
        check_same_truth(read_earlier(path), open_folder(root, label_map="falcon7"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "is not valid JSON"),
        ("[]", "found format None, expected 'desert-seg results 1'"),
        ('{"format": "desert-seg results 2"}', "found format 'desert-seg results 2'"),
        ('{"format": "desert-seg results 1"}', "is incomplete"),
    ],
)
def test_a_file_that_is_no_results_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_earlier(path)
    assert str(path) in str(caught.value)


# ------------------------------------------------------------------------------------------- training logs
def test_a_training_log_is_found_beside_the_artifact_and_read_with_its_gaps(tmp_path):
    model = tmp_path / "run" / "artifact"
    model.mkdir(parents=True)
    assert find_training_log(model) is None
    log = tmp_path / "run" / "log.csv"
    log.write_text("something,else\n1,2\n")
    assert find_training_log(model) is None
    log.write_text("epoch,loss,val_miou,val_loss\n1,2.5,,\n2,2.0,0.4,\n")
    assert find_training_log(model) == log
    curves = read_training_log(log)
    assert curves.columns["loss"].tolist() == [2.5, 2.0]
    assert np.isnan(curves.columns["val_miou"][0])
    assert curves.has("val_miou")
    assert not curves.has("val_loss")
    assert not curves.has("learning_rate")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "epoch,loss\n1,much\n", "epoch,loss\n"])
def test_what_is_no_training_log_is_refused(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"log\.csv"):
        read_training_log(path)


# ------------------------------------------------------------------------------------------- the command
def test_evaluate_prints_both_conventions_and_writes_every_number(tmp_path, tiny_artifact, capsys):
    root, path = write_folder(tmp_path / "set", classes=[0, 3, 4, 5, 6], clutter=True), tmp_path / "numbers.json"
    evaluate(EvaluateConfig(tiny_artifact.path, root, json=path))
    printed = capsys.readouterr().out
    first = json.loads(path.read_text())["passes"][0]
    (headline,) = (line for line in printed.splitlines() if line.startswith("mIoU"))
    assert float(headline.split()[1]) == pytest.approx(first["miou_present"], abs=5e-5)
    assert f"{first['miou_all']:.4f}  over all 7 classes, absent ones as 0" in printed
    assert "with label map falcon7" in printed
    assert "absent from the ground truth: Lush Bushes and Dry Grass" in printed
    assert str(path) in printed
    assert Confusion.of(np.array(first["confusion"])).scores().to_dict()["iou"] == first["iou"]


def test_the_help_of_evaluate_and_benchmark_loads_nothing_heavy():
    code = (
        "import sys; import desert_seg_train.benchmark.config;"
        "assert not {'cv2', 'numpy', 'torch', 'jinja2', 'matplotlib', 'rich'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


class Recorder(Seer):
    """A seer that remembers the sizes of what it was shown."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def scores(self, images):
        self.sizes.append(images.shape[1:3])
        return super().scores(images)


def test_a_pass_at_twice_the_pixels_shows_the_network_twice_the_pixels(tmp_path):
    engine = Recorder()
    segmenter = Segmenter(engine, ModelCard("seer", {}, (256, 448), STONES), "5" * 64)
    test_set = open_test_set(write_folder(tmp_path, frames=2), "", segmenter, lambda items, total: items)
    (found,) = measure(segmenter, test_set, [Setting(scale=2**0.5)], lambda items, total: items)
    assert set(engine.sizes[-2:]) == {(352, 640)}
    assert found.setting.name == "2 x the pixels"


def test_settings_alternate_per_frame_and_their_cost_is_a_median_ratio(tmp_path):
    engine = Recorder()
    segmenter = Segmenter(engine, ModelCard("seer", {}, (256, 448), STONES), "5" * 64)
    test_set = open_test_set(write_folder(tmp_path, frames=2), "", segmenter, silent)
    plain, larger = measure(segmenter, test_set, [Setting(), Setting(scale=2**0.5)], silent)
    assert engine.sizes[-4:] == [(256, 448), (352, 640)] * 2
    times = np.array([[0, 0, 0, 2.0], [0, 0, 0, 8.0], [0, 0, 0, 1.0]])
    slow, fast = replace(larger, latency_ms=times * [[3], [5], [4]]), replace(plain, latency_ms=times)
    assert slow.cost(fast) == 4
