"""The numbers read off a confusion matrix."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from desert_seg.labels import IGNORE
from desert_seg.scoring import Confusion, class_iou, count, mean_iou

NUM_CLASSES = 4
TARGETS = arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 3, IGNORE]))
MASKS = arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 3, IGNORE]))


def confusion_of(*pairs):
    confusion = Confusion(NUM_CLASSES)
    for target, mask in pairs:
        confusion.add(target, mask)
    return confusion


@given(TARGETS, MASKS)
def test_iou_is_intersection_over_union_of_the_scored_pixels(target, mask):
    scores = confusion_of((target, mask)).scores()
    scored = target != IGNORE
    for index in range(NUM_CLASSES):
        truth, guess = (target == index) & scored, (mask == index) & scored
        union = (truth | guess).sum()
        expected = (truth & guess).sum() / union if union else float("nan")
        assert scores.iou[index] == pytest.approx(expected, nan_ok=True)


@given(TARGETS, MASKS, TARGETS, MASKS)
def test_frames_add_up_whatever_their_order_and_grouping(target_a, mask_a, target_b, mask_b):
    together = confusion_of((np.hstack([target_a, target_b]), np.hstack([mask_a, mask_b])))
    apart = confusion_of((target_b, mask_b), (target_a, mask_a))
    assert np.array_equal(together.counts, apart.counts)


def test_a_perfect_mask_scores_one_and_ignored_pixels_do_not_count():
    target = np.array([[0, 1, IGNORE]], np.uint8)
    scores = confusion_of((target, np.array([[0, 1, 3]], np.uint8))).scores()
    assert scores.miou_present == scores.pixel_accuracy == 1.0
    assert scores.hallucinated_share == 0.0


def test_unknown_pixels_are_misses_of_the_true_class():
    scores = confusion_of((np.zeros((1, 4), np.uint8), np.array([[0, 0, IGNORE, IGNORE]], np.uint8))).scores()
    assert scores.iou[0] == scores.recall[0] == 0.5
    assert scores.precision[0] == 1.0


def test_absent_classes_lower_the_all_class_mean_and_are_reported_as_hallucinated():
    target = np.zeros((1, 10), np.uint8)
    mask = np.array([[0] * 8 + [3, 3]], np.uint8)
    scores = confusion_of((target, mask)).scores()
    assert scores.miou_present == pytest.approx(0.8)
    assert scores.miou_all == pytest.approx(0.8 / NUM_CLASSES)
    assert scores.hallucinated_share == pytest.approx(0.2)


def test_numbers_that_are_not_there_are_none_in_json():
    scores = confusion_of((np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8))).scores()
    written = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert written["iou"] == [1.0, None, None, None]
    assert written["miou_present"] == 1.0


def test_rare_classes_are_left_out_of_the_frequent_mean():
    target = np.zeros((100, 101), np.uint8)
    target[0, 0] = 1
    scores = confusion_of((target, np.zeros_like(target))).scores()
    assert scores.miou_present == pytest.approx(0.5, abs=1e-3)
    assert scores.miou_frequent > 0.99


COUNTS = arrays(np.int64, (3, NUM_CLASSES, NUM_CLASSES + 1), elements=st.integers(0, 1000))


@given(TARGETS, MASKS)
def test_counting_parts_of_a_frame_counts_the_frame(target, mask):
    parts = [count(target[rows], mask[rows], NUM_CLASSES) for rows in (slice(0, 2), slice(2, 3), slice(3, 6))]
    assert np.array_equal(sum(parts), count(target, mask, NUM_CLASSES))


@given(TARGETS, MASKS)
def test_every_scored_pixel_is_counted_once_under_its_true_class(target, mask):
    counts = count(target, mask, NUM_CLASSES)
    assert counts.sum(1).tolist() == [(target == index).sum() for index in range(NUM_CLASSES)]
    assert counts[:, -1].sum() == ((mask == IGNORE) & (target != IGNORE)).sum()


@given(COUNTS)
def test_many_matrices_at_once_score_as_each_by_itself(counts):
    for matrix, iou, mean in zip(counts, class_iou(counts), mean_iou(counts), strict=True):
        scores = Confusion.of(matrix).scores()
        assert np.array_equal(iou, scores.iou, equal_nan=True)
        assert mean == pytest.approx(scores.miou_present, nan_ok=True)


@given(COUNTS)
def test_a_confusion_of_given_counts_leaves_them_alone(counts):
    before = counts[0].copy()
    Confusion.of(counts[0]).add(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    assert np.array_equal(counts[0], before)


@given(COUNTS)
def test_the_mean_over_all_classes_is_that_over_present_ones_with_another_denominator(counts):
    scores = Confusion.of(counts[0]).scores()
    present = (counts[0].sum(1) > 0).sum()
    if present:
        assert scores.miou_all == pytest.approx(scores.miou_present * present / NUM_CLASSES)
