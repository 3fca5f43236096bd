"""A scene: a world with everything placed, drawn from a seed. Knows nothing of cameras or of OpenGL.

Shape letters: N things of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desert_seg_train.synth.meshes import Mesh
from desert_seg_train.synth.noise import Floats, fractal_noise, smoothstep
from desert_seg_train.synth.rocks import Geology, Rock
from desert_seg_train.synth.terrain import Terrain, TerrainMesh
from desert_seg_train.synth.worlds import Layer, World

TRACK_M = 160.0
"""Length of the track of a scene for unordered frames."""

_BEHIND_M = 25.0
_THINNED_FROM_M = 12.0
_STEEPEST = 0.6
_OBSTACLE_M = 0.3


@dataclass(frozen=True)
class Things:
    """The instances of a layer.

    Attributes:
        places: Nx12 float32: x, y, z, yaw; scale along x, y, z, brightness; slope of the ground along x and y,
            hue -0.5..0.5, and an unused 0.
        variants: N indices of the layer's meshes.
    """

    places: npt.NDArray[np.float32]
    variants: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Variant:
    """One mesh of a layer in all its levels of detail, nearest first, and its instances (Nx12)."""

    layer: Layer
    geology: Geology | None
    levels: list[Mesh]
    places: npt.NDArray[np.float32]


class Scene:
    """A world as one seed places it.

    Attributes:
        world: Its world.
        seed: Its seed.
        terrain: The ground.
        sun: Unit vector to the sun.
        exposure: Exposure of the camera.
        clouds: Share of the sky that clouds cover.
        haze_per_m: Share of a surface's light lost per metre of air.
        things: The instances of every layer, in the world's order.
    """

    def __init__(self, world: World, seed: int, length_m: float = TRACK_M) -> None:
        self.world, self.seed = world, seed
        generator = np.random.default_rng([seed, 0])
        self.terrain = Terrain(world.ground, generator, length_m)
        azimuth = generator.uniform(0, 2 * np.pi)
        elevation = np.radians(generator.uniform(*world.light.elevation_deg))
        flat = np.cos(elevation)
        self.sun = np.array([np.cos(azimuth) * flat, np.sin(azimuth) * flat, np.sin(elevation)])
        self.exposure = world.light.exposure * generator.uniform(0.9, 1.1)
        self.clouds = float(np.clip(world.weather.clouds + generator.normal(0, 0.12), 0, 1))
        self.haze_per_m = world.weather.haze_per_m * generator.uniform(0.7, 1.4)
        picked = generator.permutation(len(world.geologies))[: world.geologies_per_scene]
        self._geologies = [world.geologies[i].on_soil(world.ground.color) for i in picked]
        self.things = [self._scatter(i, layer) for i, layer in enumerate(world.layers)]

    def terrain_mesh(self) -> TerrainMesh:
        """The ground, darker under the patches of the first layer, which is the one that covers most."""
        x, y = self.terrain.grid()
        return self.terrain.mesh(self._patches(0, x, y) if self.world.layers else np.zeros_like(x))

    def variants(self) -> Iterator[Variant]:
        """Build the meshes of every layer, one variant at a time; those without an instance are left out."""
        for i, (layer, things) in enumerate(zip(self.world.layers, self.things, strict=True)):
            for variant in range(layer.variants):
                places = things.places[things.variants == variant]
                if not len(places):
                    continue
                geology = self._geologies[variant % len(self._geologies)] if isinstance(layer.shape, Rock) else None
                levels = [self._mesh(i, variant, lod, geology) for lod in range(len(layer.shape.lod_angles) + 1)]
                yield Variant(layer, geology, levels, places)

    def is_free(self, x: float, y: float) -> bool:
        """True if a camera at this place is not inside a rock, bush, tree or log."""
        for layer, things in zip(self.world.layers, self.things, strict=True):
            size = things.places[:, 4]
            clearance = np.where(size > _OBSTACLE_M, 1.1 * size + 0.8, 0.0)
            distance = np.hypot(things.places[:, 0] - x, things.places[:, 1] - y)
            if layer.shape.solid and (distance < clearance).any():
                return False
        return True

    def _mesh(self, layer: int, variant: int, lod: int, geology: Geology | None) -> Mesh:
        generator = np.random.default_rng([self.seed, 2, layer, variant])
        shape = self.world.layers[layer].shape
        if isinstance(shape, Rock):
            assert geology is not None
            return shape.build(generator, lod, geology)
        return shape.build(generator, lod)

    def _patches(self, index: int, x: Floats, y: Floats) -> Floats:
        """Density of the patches of a layer at each place, 0..1."""
        layer = self.world.layers[index]
        noise_seed = self.terrain.noise_seed + 100 + 13 * index
        return smoothstep(*layer.patch, fractal_noise(x / layer.patch_m, y / layer.patch_m, noise_seed, 4))

    def _scatter(self, index: int, layer: Layer) -> Things:
        generator, terrain = np.random.default_rng([self.seed, 1, index]), self.terrain
        length, width = _BEHIND_M + terrain.length_m + layer.reach_m, 2 * layer.reach_m + 20
        count = generator.poisson(layer.per_m2 * length * width)
        x = generator.uniform(-_BEHIND_M, length - _BEHIND_M, count)
        y = generator.uniform(-width / 2, width / 2, count)
        off_track = terrain.off_track(x, y)
        distance = np.maximum(off_track, x - terrain.length_m)
        beyond = np.maximum(distance - _THINNED_FROM_M, 0)
        likely = generator.random(count) < np.exp(-layer.thin_per_m * beyond)
        keep = np.flatnonzero(likely & (distance < layer.reach_m) & (off_track > layer.clear_m))
        keep = keep[generator.random(len(keep)) < self._patches(index, x[keep], y[keep])]
        x, y, beyond, count = x[keep], y[keep], beyond[keep], len(keep)

        smallest, largest = layer.size
        size = smallest * (largest / smallest) ** (generator.random(count) ** 1.3)
        wider = np.exp(layer.thin_per_m / 2 * np.minimum(beyond, 60))[:, None] ** [1.0, 1.0, 0.4]
        scale = size[:, None] * wider * generator.uniform(0.88, 1.12, (count, 3))
        slope = np.clip(np.stack(terrain.slope(x, y), 1), -_STEEPEST, _STEEPEST)
        columns = [
            *(x, y, terrain.height(x, y) - layer.sink * size, generator.uniform(0, 2 * np.pi, count)),
            *(scale, np.exp(generator.normal(0, 0.1, count))),
            *(slope, generator.uniform(-0.5, 0.5, count), np.zeros(count)),
        ]
        return Things(np.column_stack(columns).astype(np.float32), generator.integers(0, layer.variants, count))
