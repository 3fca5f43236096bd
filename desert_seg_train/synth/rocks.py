"""Rocks: their material (a geology), and stones, gravel and boulders of it.

Shape and colour variation are made here; the surface (speckles, bands, veins, pits, varnish) is drawn by
`shaders/rock.frag` from the same geology. Knows nothing of where stones lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from desert_seg_train.synth.meshes import Mesh, icosphere, mix, unit
from desert_seg_train.synth.noise import Floats, fractal_noise, smoothstep
from desert_seg_train.synth.species import Color

_STONE_LEVELS, _STONE_ANGLES = (4, 3, 2, 1, 0), (0.25, 0.06, 0.02, 0.006)
"""Subdivisions of the sphere at each level of detail, and the angles in radians at which the next level begins."""

_GRAVEL_LEVELS, _GRAVEL_ANGLES = (2, 1, 0, None), (0.035, 0.012, 0.005)
"""The same for gravel; None is a pyramid."""

_GRAVEL_SHAPES = 7
"""Number of different stones in one patch of gravel."""

_FAR_GRAVEL_SHARE, _FAR_GRAVEL_GROWTH = 0.15, 2.2
"""The furthest level of gravel has fewer, larger stones."""

_PYRAMID = (
    np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 0.9]]),
    np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]),
)


@dataclass(frozen=True)
class Geology:
    """A kind of rock.

    Attributes:
        name: Display name.
        color: Albedo, linear light.
        accent: Colour of speckles, veins and light bands.
        angularity: 0 = worn round, 1 = blocks cut by planes.
        lumpiness: How far the surface departs from a sphere or block.
        height: Height relative to the width: 0.2 is a slab, 1 a block.
        length: Largest length relative to the width.
        speckles: Grains of the accent colour, as in granite: 0..1.
        bands: Layers, as in sandstone: 0..1.
        bands_per_m: Layers per metre.
        veins: Thin lines of the accent colour, as in marble: 0..1.
        pits: Dark holes, as in basalt: 0..1.
        varnish: Dark coating of surfaces that face the sky, as on old desert stones: 0..1.
        roughness: Depth of the small relief: 0..1.
        soil: Share of the soil's colour in its own, from weathering: 0..1.
    """

    name: str
    color: Color
    accent: Color = (0.5, 0.5, 0.5)
    angularity: float = 0.5
    lumpiness: float = 0.5
    height: float = 0.7
    length: float = 1.5
    speckles: float = 0.0
    bands: float = 0.0
    bands_per_m: float = 8.0
    veins: float = 0.0
    pits: float = 0.0
    varnish: float = 0.0
    roughness: float = 0.5
    soil: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.soil <= 1:
            raise ValueError(f"soil is {self.soil}, expected a share, 0 to 1")

    def on_soil(self, color: Color) -> Geology:
        """The same rock on soil of this colour, linear light."""
        return replace(self, color=_blend(self.color, color, self.soil), accent=_blend(self.accent, color, self.soil))

    def surface(self) -> dict[str, float | Color]:
        """Uniforms of `shaders/rock.frag` by name."""
        return {
            "accent": self.accent,
            "angularity": self.angularity,
            "speckles": self.speckles,
            "bands": self.bands,
            "bands_per_m": self.bands_per_m,
            "veins": self.veins,
            "pits": self.pits,
            "varnish": self.varnish,
            "roughness": self.roughness,
        }


@dataclass(frozen=True)
class Rock:
    """One stone, or gravel: a patch of small stones. The layer's scale is the radius of the largest, metres.

    Attributes:
        stones: Number of stones in one patch.
        spread: Radius of the patch in radii of its largest stone; 0 for a single stone.
        smallest: Radius of the smallest stone in radii of the largest.
        tilt_deg: Largest tilt of a stone of gravel.
    """

    stones: int = 1
    spread: float = 0.0
    smallest: float = 0.35
    tilt_deg: float = 0.0

    @property
    def lod_angles(self) -> tuple[float, ...]:
        """Angles (size over distance) at which the next level of detail begins."""
        return _STONE_ANGLES if self.stones == 1 else tuple(a * (1 + self.spread) for a in _GRAVEL_ANGLES)

    @property
    def solid(self) -> bool:
        """True if a camera must not be inside it."""
        return self.stones == 1

    def build(self, generator: np.random.Generator, lod: int, geology: Geology) -> Mesh:
        """Make one stone, or one patch of gravel."""
        mesh = Mesh()
        if self.stones == 1:
            stone = _make_stone(generator, geology, _STONE_LEVELS[lod])
            return mesh.add(stone.points, stone.normals, stone.colors, stone.faces)
        far = _GRAVEL_LEVELS[lod] is None
        stones = [_make_stone(_fork(generator), geology, _GRAVEL_LEVELS[lod]) for _ in range(_GRAVEL_SHAPES)]
        growth = _FAR_GRAVEL_GROWTH if far else 1.0
        for number in range(max(round(self.stones * _FAR_GRAVEL_SHARE), 1) if far else self.stones):
            angle, distance = generator.uniform(0, 2 * np.pi), self.spread * np.sqrt(generator.random())
            radius = self.smallest ** generator.random() * growth
            place = np.array([distance * np.cos(angle), distance * np.sin(angle), -0.1 * radius])
            stone, turn = stones[number % _GRAVEL_SHAPES], _turn(generator.uniform(0, 2 * np.pi))
            if self.tilt_deg:
                turn = _lean(np.radians(generator.uniform(0, self.tilt_deg))) @ turn
            shade = generator.uniform(0.8, 1.2)
            mesh.add(stone.points @ turn * radius + place, stone.normals @ turn, stone.colors * shade, stone.faces)
        return mesh


@dataclass(frozen=True)
class _Stone:
    points: Floats
    normals: Floats
    colors: Floats
    faces: npt.NDArray[np.int64]


def _make_stone(generator: np.random.Generator, geology: Geology, subdivisions: int | None) -> _Stone:
    """A lumpy sphere of radius 1, cut by planes: many and deep if the geology is angular, few and shallow if not."""
    points, faces = _PYRAMID if subdivisions is None else icosphere(subdivisions)
    tilted = points @ unit(generator.normal(size=(3, 3)))
    seed = int(generator.integers(1 << 20))
    bumps = fractal_noise(tilted[:, 0] * 1.3 + 7, tilted[:, 1] * 1.3 + tilted[:, 2] * 2.1, seed, 4)
    bumps += fractal_noise(tilted[:, 2] * 1.7 - 3, tilted[:, 0] * 1.1 - tilted[:, 1] * 1.4, seed + 9, 4) - 1
    angular = geology.angularity
    points = points * (1 + bumps * geology.lumpiness * (1.5 - 0.9 * angular))[:, None]
    for _ in range(4 + round(10 * angular)):
        normal = unit(generator.normal(size=3))
        reach = generator.uniform(0.75 - 0.3 * angular, 1.0 - 0.2 * angular)
        points = points - np.maximum(points @ normal - reach, 0)[:, None] * normal * (0.7 + 0.28 * angular)
    height = geology.height * generator.uniform(0.75, 1.25)
    points = points * [generator.uniform(1.0, geology.length), 1.0, height] + [0, 0, 0.3 * height]
    shade = generator.uniform(0.85, 1.15) * (0.6 + 0.4 * smoothstep(-0.15, 0.4 * height, points[:, 2:]))
    return _Stone(points, _vertex_normals(points, faces), np.asarray(geology.color) * shade, faces)


def _vertex_normals(points: Floats, faces: npt.NDArray[np.int64]) -> Floats:
    """Sum of the normals of the faces around each vertex, weighted by area."""
    across = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    normals = np.zeros_like(points)
    np.add.at(normals, faces.T.ravel(), np.tile(across, (3, 1)))
    return normals


def _turn(angle: float) -> Floats:
    """3x3 rotation about the vertical."""
    return np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def _lean(angle: float) -> Floats:
    """3x3 rotation about the x axis."""
    return np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])


def _blend(first: Color, second: Color, share: float) -> Color:
    red, green, blue = mix(first, second, share).tolist()
    return red, green, blue


def _fork(generator: np.random.Generator) -> np.random.Generator:
    """A child generator, so that the parent advances equally however much it is used."""
    return np.random.default_rng(generator.integers(1 << 32))
