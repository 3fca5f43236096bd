"""Noise as a pure function of position and seed, for terrain, patches of plants and surfaces.

Value noise on a hashed lattice and its fractal sum; spectral noise that tiles. Arrays of any one shape go in, the
same shape comes out, float64 in [0, 1].
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

_LACUNARITY = 2.03
"""Not exactly 2, so that the lattices of the octaves do not coincide."""


def smoothstep(start: float, end: float, x: Floats) -> Floats:
    """0 below `start`, 1 above `end`, a smooth cubic between."""
    t = np.clip((x - start) / (end - start), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float64)


def value_noise(x: Floats, y: Floats, seed: int) -> Floats:
    """Smoothly interpolated random values on the unit lattice."""
    column, row = np.floor(x), np.floor(y)
    u, v = smoothstep(0, 1, x - column), smoothstep(0, 1, y - row)
    i, j = column.astype(np.int64).astype(np.uint32), row.astype(np.int64).astype(np.uint32)
    one = np.uint32(1)
    low_left, low_right = _hash(i, j, seed), _hash(i + one, j, seed)
    high_left, high_right = _hash(i, j + one, seed), _hash(i + one, j + one, seed)
    low = low_left + (low_right - low_left) * u
    high = high_left + (high_right - high_left) * u
    return low + (high - low) * v


def fractal_noise(x: Floats, y: Floats, seed: int, octaves: int) -> Floats:
    """Sum of `octaves` value noises, each of half the amplitude and about half the wavelength of the one before."""
    total = np.zeros(np.broadcast(x, y).shape)
    for octave in range(octaves):
        zoom = _LACUNARITY**octave
        total += 0.5**octave * value_noise(x * zoom + 17.1 * octave, y * zoom - 9.7 * octave, seed + octave)
    return total / (2.0 - 0.5 ** (octaves - 1))


def spectral_noise(side: int, exponent: float, generator: np.random.Generator) -> Floats:
    """Noise whose amplitude falls with frequency to the power `exponent`: side x side, tiles without a seam."""
    frequency = np.fft.fftfreq(side) * side
    radius = np.hypot(frequency[:, None], frequency[None, :])
    radius[0, 0] = np.inf
    spectrum = np.fft.fft2(generator.standard_normal((side, side))) / radius**exponent
    values = np.fft.ifft2(spectrum).real
    return np.asarray(np.clip(0.5 + values / (5.0 * values.std()), 0.0, 1.0), np.float64)


def _hash(i: npt.NDArray[np.uint32], j: npt.NDArray[np.uint32], seed: int) -> Floats:
    mixed = i * np.uint32(374761393) + j * np.uint32(668265263) + np.uint32(seed * 2246822519 & 0xFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(2654435769)
    return np.asarray((mixed >> np.uint32(8)) / float(1 << 24), np.float64)
