"""The terrain: a height field with a track through it, and the grid of triangles it is drawn as.

World frame as in REP-103: metres, x along the track, y left, z up. The grid is fine near the track and coarser out to
the mountains; things stand on the grid's triangles, not on the underlying height field.

Shape letters: N points, G grid lines per side, B blocks, Q quads per block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desert_seg_train.synth.meshes import mix, unit
from desert_seg_train.synth.noise import Floats, fractal_noise, smoothstep, value_noise
from desert_seg_train.synth.worlds import Ground

_BLOCKS, _QUADS = 14, 35
"""Blocks per side of the grid, and quads per side of a block; a block is drawn or culled as a whole."""

_HALF_WIDTH_M = 1500.0
_FINE_X_M, _FINE_Y_M = 55.0, 28.0
"""Distance from the centre up to which the grid lines are about evenly spaced."""


@dataclass(frozen=True)
class TerrainMesh:
    """The grid as triangles, sorted into blocks.

    Attributes:
        vertices: G*Gx9 float32: position, unit normal, colour.
        faces: Bx(6*Q) uint32, the triangles of each block.
        centres: Bx3, centres of the blocks, metres.
        radii: B, radii of bounding spheres around the centres, metres.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.uint32]
    centres: Floats
    radii: Floats


class Terrain:
    """Heights and slopes anywhere, for one ground, seed and length of track."""

    def __init__(self, ground: Ground, generator: np.random.Generator, length_m: float) -> None:
        self.ground, self.length_m = ground, length_m
        self.noise_seed = int(generator.integers(1 << 16))
        uniform = generator.uniform
        self._bends = [
            (uniform(2, 7), uniform(70, 130), uniform(0, 2 * np.pi)),
            (uniform(0.5, 1.5), uniform(20, 35), uniform(0, 2 * np.pi)),
        ]
        lines = np.linspace(-1, 1, _BLOCKS * _QUADS + 1)
        self._x = _stretch(lines, max(_FINE_X_M, 0.35 * length_m)) + length_m / 2
        self._y = _stretch(lines, _FINE_Y_M)
        self._z = self._field(self._x[:, None], self._y[None, :])

    def track_y(self, x: Floats | float) -> Floats:
        """y of the track's centre line at x, metres."""
        waves = [size * np.sin(2 * np.pi * np.asarray(x) / wave + phase) for size, wave, phase in self._bends]
        return np.asarray(sum(waves), np.float64)

    def off_track(self, x: Floats, y: Floats) -> Floats:
        """Distance from the track's centre line, metres."""
        slope = self.track_y(x + 0.5) - self.track_y(x - 0.5)
        return np.abs(y - self.track_y(x)) / np.sqrt(1 + slope**2)

    def height(self, x: Floats, y: Floats) -> Floats:
        """Height of the drawn ground, metres."""
        corner, right, left, far, a, b = self._cell(x, y)
        lower, upper = (
            corner + a * (right - corner) + b * (far - right),
            corner + b * (left - corner) + a * (far - left),
        )
        return np.where(a >= b, lower, upper)

    def slope(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Rise of the drawn ground per metre of x and of y."""
        corner, right, left, far, a, b = self._cell(x, y)
        i, j = self._index(x, y)
        rise_x = np.where(a >= b, right - corner, far - left) / (self._x[i + 1] - self._x[i])
        rise_y = np.where(a >= b, far - right, left - corner) / (self._y[j + 1] - self._y[j])
        return rise_x, rise_y

    def mesh(self, cover: Floats) -> TerrainMesh:
        """The triangles.

        Args:
            cover: GxG, how much plants darken the soil, 0..1, at the places of `grid`.
        """
        ground, seed = self.ground, self.noise_seed
        x, y = self.grid()
        z = self._z
        rise_x = np.gradient(z, axis=0) / np.gradient(x, axis=0)
        rise_y = np.gradient(z, axis=1) / np.gradient(y, axis=1)
        normals = unit(np.stack([-rise_x, -rise_y, np.ones_like(z)], -1))
        colors = mix(ground.color, ground.second_color, fractal_noise(x / 23, y / 23, seed + 60, 4)[..., None])
        colors = colors * (0.75 + 0.5 * fractal_noise(x / 47, y / 47, seed + 65, 3))[..., None]
        edge = 1.2 * (fractal_noise(x / 1.3, y / 1.3, seed + 70, 3) - 0.5)
        track = ground.track * (1 - smoothstep(0.9, 2.2, self.off_track(x, y) + edge))
        colors = mix(colors, ground.track_color, track[..., None]) * (1 - 0.2 * cover[..., None])
        steep = smoothstep(0.02, 0.35, 1 - normals[..., 2])
        bands = value_noise(z / 3.1, np.zeros_like(z), seed)
        colors = colors * (1 - 0.45 * ground.strata * steep * bands)[..., None]
        vertices = np.concatenate([np.stack([x, y, z], -1), normals, colors], -1).reshape(-1, 9)

        side, last = len(self._x), len(self._x) - 1
        corners = np.arange(last)[:, None] * side + np.arange(last)
        corners = corners.reshape(_BLOCKS, _QUADS, _BLOCKS, _QUADS).transpose(0, 2, 1, 3).reshape(_BLOCKS**2, -1)
        offsets = [0, side, side + 1, 0, side + 1, 1]
        faces = np.stack([corners + offset for offset in offsets], -1).reshape(_BLOCKS**2, -1)
        points = vertices[:, :3][corners]
        centres = (points.min(1) + points.max(1)) / 2
        radii = 1.05 * np.linalg.norm(points - centres[:, None], axis=2).max(1)
        return TerrainMesh(vertices.astype(np.float32), faces.astype(np.uint32), centres, radii)

    def grid(self) -> tuple[Floats, Floats]:
        """x and y of the grid's corners, GxG each."""
        x, y = np.meshgrid(self._x, self._y, indexing="ij")
        return x, y

    def _field(self, x: Floats, y: Floats) -> Floats:
        ground, seed = self.ground, self.noise_seed
        x, y = np.broadcast_arrays(x, y)
        off_track = self.off_track(x, y)
        bumps = 2 * ground.relief_m * (fractal_noise(x / 70, y / 70, seed, 3) - 0.5)
        hills = ground.hills_m * (fractal_noise(x / 420, y / 420, seed + 11, 2) - 0.5)
        hummocks = 0.9 * (fractal_noise(x / 9, y / 9, seed + 20, 3) - 0.5)
        rut = -0.06 * ground.track * np.exp(-(((off_track - 0.85) / 0.5) ** 2))
        far = fractal_noise(x / 300, y / 300, seed + 40, 4)
        if ground.mountains == "mesas":
            far = 0.35 * far + 0.9 * smoothstep(0.50, 0.56, far) + 0.45 * smoothstep(0.60, 0.64, far)
        else:
            far = 1.5 * (1 - np.abs(2 * far - 1)) ** 1.6
        distance = np.hypot(x - self.length_m / 2, y)
        mountains = ground.mountains_m * smoothstep(220, 1000, distance) * far
        return bumps + hills + hummocks * smoothstep(1.2, 5, off_track) + rut + mountains

    def _index(self, x: Floats, y: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        last = len(self._x) - 2
        i = np.clip(np.searchsorted(self._x, x, "right") - 1, 0, last)
        j = np.clip(np.searchsorted(self._y, y, "right") - 1, 0, last)
        return i, j

    def _cell(self, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
        """Corner heights (this, next x, next y, both) of the quad around a place, and the position in it, 0..1."""
        i, j = self._index(x, y)
        a = (x - self._x[i]) / (self._x[i + 1] - self._x[i])
        b = (y - self._y[j]) / (self._y[j + 1] - self._y[j])
        z = self._z
        return z[i, j], z[i + 1, j], z[i, j + 1], z[i + 1, j + 1], a, b


def _stretch(lines: Floats, fine_m: float) -> Floats:
    """Grid lines from -1..1 to metres: evenly spaced in the middle, increasingly wide outside."""
    return np.asarray(fine_m * np.sinh(np.arcsinh(_HALF_WIDTH_M / fine_m) * lines), np.float64)
