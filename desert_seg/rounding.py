"""Rounds weights to fewer bits without changing the sum of a filter.

Rounding every tap of a filter to the nearest number changes the filter's sum. Neighbouring pixels are similar in
images, so that shifts the filter's whole output plane; in depthwise layers, which have few taps and no other filter to
average with, these shifts are the largest error of half precision (Nagel et al., Data-Free Quantization Through Weight
Equalization and Bias Correction, 2019, who correct them afterwards). Here a few taps are rounded the other way, so that
the sum is kept. Knows nothing of engines or files.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BF16_BITS = 7
"""Explicit mantissa bits of bfloat16."""

F16_BITS = 10
"""Explicit mantissa bits of IEEE half precision."""


def round_keeping_sums(weights: npt.NDArray[np.floating], mantissa_bits: int) -> npt.NDArray[np.float32]:
    """Round every weight to one of its two neighbours of fewer bits, so that each filter's sum changes least.

    Args:
        weights: One filter per row: any shape, the first axis is the rows. Finite.
        mantissa_bits: Explicit mantissa bits to keep, at most 23; the exponent keeps its range.

    Returns:
        float32 of the same shape; each number has at most that many mantissa bits.
    """
    rows = np.ascontiguousarray(weights, np.float32).reshape(len(weights), -1)
    unit = np.uint32(1 << (23 - mantissa_bits))
    towards_zero = rows.view(np.uint32) & ~(unit - np.uint32(1))
    small, large = towards_zero.view(np.float32), (towards_zero + unit).view(np.float32)
    small_is_near = np.abs(rows - small) <= np.abs(large - rows)
    rounded = np.asarray(np.where(small_is_near, small, large), np.float32)
    step = np.where(small_is_near, large, small).astype(np.float64) - rounded
    shift = rounded.sum(1, dtype=np.float64) - rows.sum(1, dtype=np.float64)
    everyone = np.arange(len(rows))
    while True:
        # Per row, the tap that takes most off the shift by being rounded the other way; each tap changes once at most.
        gain = np.abs(shift)[:, None] - np.abs(shift[:, None] + step)
        best = gain.argmax(1)
        (better,) = np.nonzero(gain[everyone, best] > 0)
        if not len(better):
            return rounded.reshape(np.shape(weights))
        taps = better, best[better]
        rounded[taps] += step[taps].astype(np.float32)
        shift[better] += step[taps]
        step[taps] = 0.0
