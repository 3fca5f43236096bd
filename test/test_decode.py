"""Scores to mask and confidence, against torch's own interpolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from desert_seg.decode import confidence, decode
from desert_seg.labels import IGNORE

torch = pytest.importorskip("torch")

SCORES = st.tuples(st.integers(1, 7), st.integers(2, 9), st.integers(2, 9)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-20, 20, width=32))
)
SIZES = st.tuples(st.integers(9, 40), st.integers(9, 40))


def upsampled(scores, size):
    return torch.nn.functional.interpolate(torch.from_numpy(scores)[None], size, mode="bilinear", align_corners=False)[
        0
    ].numpy()


@settings(deadline=None)
@given(SCORES, SIZES)
def test_the_mask_is_the_argmax_of_half_pixel_upsampling(scores, size):
    mask, full = decode(scores, size), upsampled(scores, size)
    assert mask.shape == size
    chosen = np.take_along_axis(full, mask[None].astype(int), 0)[0]
    assert (full.max(0) - chosen <= 1e-4).all()


@settings(deadline=None)
@given(SCORES, SIZES)
def test_confidence_is_the_largest_softmax_probability(scores, size):
    expected = torch.from_numpy(upsampled(scores, size)).softmax(0).max(0).values.numpy() * 255
    assert np.abs(confidence(scores, size) - expected).max() <= 0.51 + 0.05


@settings(deadline=None)
@given(SCORES, st.floats(-5, 5, width=32))
def test_adding_the_same_to_all_classes_changes_nothing(scores, amount):
    bias = np.full(len(scores), amount, np.float32)
    plain, shifted = upsampled(scores, (16, 16)), decode(scores, (16, 16), bias)
    chosen = np.take_along_axis(plain, shifted[None].astype(int), 0)[0]
    assert (plain.max(0) - chosen <= 1e-4).all()


def test_ties_go_to_the_lower_class():
    assert not decode(np.zeros((4, 3, 3), np.float32), (6, 6)).any()


@settings(deadline=None)
@given(SCORES, st.data())
def test_a_removed_class_is_replaced_by_the_next_best(scores, data):
    removed = data.draw(st.integers(0, len(scores) - 1))
    bias = np.zeros(len(scores), np.float32)
    bias[removed] = -np.inf
    mask = decode(scores, (12, 12), bias)
    rest = np.delete(scores, removed, axis=0)
    if len(rest) == 0:
        assert (mask == IGNORE).all()
        assert not confidence(scores, (12, 12), bias).any()
    else:
        names = np.delete(np.arange(len(scores)), removed).astype(np.uint8)
        assert (mask == names[decode(rest, (12, 12))]).all()
        assert (confidence(scores, (12, 12), bias) == confidence(rest, (12, 12))).all()


def test_a_finite_bias_moves_the_boundary():
    scores = np.stack([np.tile(np.linspace(-1, 1, 8, dtype=np.float32), (8, 1)), np.zeros((8, 8), np.float32)])
    plain, biased = decode(scores, (32, 32)), decode(scores, (32, 32), np.array([0.5, 0], np.float32))
    assert (biased == 0).sum() > (plain == 0).sum()
