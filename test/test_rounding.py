"""Rounding weights to fewer bits: the laws that make it harmless."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from desert_seg.rounding import BF16_BITS, F16_BITS, round_keeping_sums

WEIGHTS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=4, max_side=6),
    elements=st.floats(-8, 8, width=32, allow_subnormal=False),
)
BITS = st.sampled_from([BF16_BITS, F16_BITS])


def to_nearest(weights, bits):
    unit = 2.0 ** (np.floor(np.log2(np.abs(weights), where=weights != 0, out=np.zeros(weights.shape))) - bits)
    return np.round(weights / unit) * unit


@given(WEIGHTS, BITS)
def test_a_rounded_number_has_no_more_bits_and_is_a_neighbour_of_the_number(weights, bits):
    rounded = round_keeping_sums(weights, bits)
    assert rounded.dtype == np.float32
    assert rounded.shape == weights.shape
    assert not (rounded.view(np.uint32) & ((1 << (23 - bits)) - 1)).any()
    assert (np.abs(rounded - weights) <= np.maximum(np.abs(weights), 1e-30) * 2.0**-bits).all()


@given(WEIGHTS, BITS)
def test_no_filter_s_sum_moves_further_than_by_rounding_to_the_nearest(weights, bits):
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    kept, nearest = (
        np.abs(each.reshape(len(weights), -1).astype(np.float64).sum(1) - rows.sum(1))
        for each in (round_keeping_sums(weights, bits), to_nearest(weights.astype(np.float64), bits))
    )
    assert (kept <= nearest + 1e-9).all()


@given(WEIGHTS, BITS)
def test_rounding_twice_changes_nothing(weights, bits):
    once = round_keeping_sums(weights, bits)
    assert np.array_equal(round_keeping_sums(once, bits), once)


def test_the_sums_of_edge_filters_move_much_less_than_by_rounding_to_the_nearest():
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(200, 1, 3, 3)).astype(np.float32)
    weights -= weights.mean((2, 3), keepdims=True)
    kept, nearest = (
        np.abs(each.sum((1, 2, 3))).mean()
        for each in (round_keeping_sums(weights, BF16_BITS), to_nearest(weights, BF16_BITS))
    )
    assert kept < nearest / 5
