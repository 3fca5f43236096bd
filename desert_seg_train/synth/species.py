"""Plants and what falls from them: grass, bushes, trees, flowers, litter and logs, each a few numbers that make a mesh.

A species is data, and `build` turns it into one plant; level of detail 0 is the nearest, higher ones have fewer and
larger pieces for the same cover. Sizes are for a plant of scale 1. Knows nothing of where plants stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from desert_seg_train.synth.meshes import UP, Mesh, add_blades, add_leaves, add_limbs, add_tube, mix, unit

Color: TypeAlias = tuple[float, float, float]
"""RGB, linear light, 0..1 each."""

_ONE_PIECE_IN = (1, 4, 28, 90)
"""At each level of detail one leaf in this many remains, enlarged so that the cover does not change."""

_LEAF_GROWTH = 0.48


@dataclass(frozen=True)
class Grass:
    """A tuft of bent blades.

    Attributes:
        base: Colour at the root.
        tip: Colour at the tip.
        height_m: Height of the longest blades.
        blades: Number of blades.
        lean: Sideways reach of a blade relative to its height.
        radius_m: Radius of the tuft at the ground.
        width_m: Half the width of a blade at its root.
    """

    base: Color
    tip: Color
    height_m: float = 0.48
    blades: int = 46
    lean: float = 0.6
    radius_m: float = 0.22
    width_m: float = 0.009
    lod_angles: ClassVar[tuple[float, ...]] = (0.09, 0.033)
    solid: ClassVar[bool] = False

    def build(self, generator: np.random.Generator, lod: int) -> Mesh:
        """Make one tuft."""
        mesh, blades = Mesh(), self.blades // (1, 3, 9)[lod]
        radius, width = self.radius_m * (1, 1.1, 1.2)[lod], self.width_m * (1, 2.2, 5.2)[lod]
        segments = (2, 1, 1)[lod]
        add_blades(mesh, generator, blades, radius, self.height_m, width, self.lean, self.base, self.tip, segments)
        return mesh


@dataclass(frozen=True)
class Bush:
    """Clumps of leaves over twigs.

    Attributes:
        dark: Leaf colour inside and below.
        light: Leaf colour outside and above.
        wood: Colour of the twigs.
        radii_m: Half axes of the crown.
        leaves: Number of leaves.
        leaf_m: Half the length of a leaf.
        twigs: Number of twigs, which stick out of the leaves.
        leaf_aspect: Width of a leaf relative to its length.
    """

    dark: Color
    light: Color
    wood: Color
    radii_m: tuple[float, float, float] = (0.6, 0.6, 0.5)
    leaves: int = 2400
    leaf_m: float = 0.04
    twigs: int = 6
    leaf_aspect: float = 0.6
    lod_angles: ClassVar[tuple[float, ...]] = (0.09, 0.032, 0.014)
    solid: ClassVar[bool] = True

    def build(self, generator: np.random.Generator, lod: int) -> Mesh:
        """Make one bush."""
        mesh, radii = Mesh(), np.asarray(self.radii_m)
        for _ in range((self.twigs, self.twigs // 3, self.twigs // 12, 0)[lod]):
            angle = generator.uniform(0, 2 * np.pi)
            end = unit(np.array([np.cos(angle), np.sin(angle), generator.uniform(0.5, 1.8)]))
            end = end * radii * generator.uniform(1, 1.45)
            path = np.stack([[0, 0, -0.05], end * 0.5 + generator.normal(0, 0.06, 3), end])
            add_tube(mesh, generator, path, np.array([0.014, 0.009, 0.004]) * (1, 1.8, 3, 1)[lod], self.wood, 3)
        for _ in range(3):
            x, y = generator.normal(0, 0.28, 2) * radii[:2]
            centre = [x, y, radii[2] * generator.uniform(0.6, 0.85)]
            add_leaves(
                mesh,
                generator,
                max(self.leaves // 3 // _ONE_PIECE_IN[lod], 4),
                centre,
                radii * generator.uniform(0.6, 0.9),
                self.leaf_m * _ONE_PIECE_IN[lod] ** _LEAF_GROWTH,
                self.dark,
                self.light,
                aspect=self.leaf_aspect,
                floor=0.02,
            )
        return mesh


@dataclass(frozen=True)
class BroadTree:
    """A trunk, limbs that branch three times, and leaves around their ends; about 4 m high."""

    dark: Color
    light: Color
    bark: Color
    leaves: int = 3400
    lod_angles: ClassVar[tuple[float, ...]] = (0.15, 0.05, 0.02)
    solid: ClassVar[bool] = True

    def build(self, generator: np.random.Generator, lod: int) -> Mesh:
        """Make one tree."""
        mesh = Mesh()
        lean_x, lean_y = generator.normal(0, 0.15, 2)
        limbs = add_limbs(
            mesh, generator, [0, 0, -0.2], [lean_x, lean_y, 1], 1.7, 0.15, 3, self.bark, 1.1, 0.12, thinnest=lod
        )
        tips = [end for _, end, depth in limbs if depth <= 1]
        leaves = max(self.leaves // len(tips) // _ONE_PIECE_IN[lod], 5)
        size = 0.058 * _ONE_PIECE_IN[lod] ** _LEAF_GROWTH
        for tip in tips:
            add_leaves(mesh, generator, leaves, tip, [0.75, 0.75, 0.42], size, self.dark, self.light)
        return mesh


@dataclass(frozen=True)
class JoshuaTree:
    """Thick limbs in a shaggy coat of spikes; with `branchings` 0 it is a single column. About 3 m high.

    Attributes:
        dark: Colour at the root of a spike.
        light: Colour at its tip.
        bark: Colour of trunk and limbs.
        branchings: How often limbs branch.
        spikes: Number of spikes on each limb.
    """

    dark: Color
    light: Color
    bark: Color
    branchings: int = 2
    spikes: int = 260
    lod_angles: ClassVar[tuple[float, ...]] = (0.15, 0.05, 0.02)
    solid: ClassVar[bool] = True

    def build(self, generator: np.random.Generator, lod: int) -> Mesh:
        """Make one tree."""
        mesh, height = Mesh(), (1.5 if self.branchings else 3.0)
        limbs = add_limbs(
            mesh,
            generator,
            [0, 0, -0.2],
            UP,
            height,
            0.17,
            self.branchings,
            self.bark,
            1.0,
            0.55,
            thinnest=(0, 0, 1, 1)[lod],
        )
        for start, end, depth in limbs:
            if depth == self.branchings and self.branchings:
                continue
            count = max(self.spikes // (1, 3, 8, 24)[lod], 6)
            along = generator.uniform(0.25, 1.05, (count, 1))
            axis = unit(end - start)
            roots = start + (end - start) * along + generator.normal(0, 0.04, (count, 3))
            direction = unit(generator.normal(size=(count, 3)) + 0.7 * axis)
            half = unit(np.cross(direction, generator.normal(size=(count, 3)))) * (0.016, 0.032, 0.06, 0.11)[lod]
            reach = direction * generator.uniform(0.2, 0.36, (count, 1))
            colors = mix(self.dark, self.light, generator.random((count, 1)))
            corners = [roots - half, roots + half, roots + reach + half * 0.15, roots + reach - half * 0.15]
            mesh.add_quads(corners, unit(direction + 0.4 * UP), colors)
        return mesh


@dataclass(frozen=True)
class Flowers:
    """A low green plant under a cloud of petals."""

    petal: Color
    stem: Color
    petals: int = 300
    lod_angles: ClassVar[tuple[float, ...]] = (0.07, 0.025, 0.012)
    solid: ClassVar[bool] = False

    def build(self, generator: np.random.Generator, lod: int) -> Mesh:
        """Make one plant."""
        mesh, stem, petal = Mesh(), np.asarray(self.stem), np.asarray(self.petal)
        blades, width = (40, 14, 5, 3)[lod], (0.010, 0.02, 0.03, 0.05)[lod]
        add_blades(mesh, generator, blades, 0.32, 0.34, width, 0.35, stem * 0.7, stem, 1)
        count, size = self.petals // (1, 3, 12, 40)[lod], (0.019, 0.032, 0.065, 0.12)[lod]
        add_leaves(
            mesh, generator, count, [0, 0, 0.26], [0.42, 0.42, 0.13], size, petal * 0.6, petal, lumps=0.1, aspect=0.9
        )
        return mesh


@dataclass(frozen=True)
class Litter:
    """Dead leaves and twigs in a patch of about a metre.

    Attributes:
        colors: Colours of the leaves; twigs have the first.
        leaves: Number of leaves of each colour.
        twigs: Number of twigs.
    """

    colors: tuple[Color, ...]
    leaves: int = 60
    twigs: int = 14
    lod_angles: ClassVar[tuple[float, ...]] = (0.12, 0.04)
    solid: ClassVar[bool] = False

    def build(self, generator: np.random.Generator, lod: int) -> Mesh:
        """Make one spot."""
        mesh, count, growth = Mesh(), max(self.leaves // (1, 4, 12)[lod], 1), (1.0, 1.8, 3.2)[lod]
        for color in self.colors:
            heights = 0.02 + generator.random((count, 1)) * 0.04
            points = np.concatenate([generator.normal(0, 0.36, (count, 2)), heights], 1)
            angle = generator.uniform(0, 2 * np.pi, count)
            along = np.stack([np.cos(angle), np.sin(angle), generator.normal(0, 0.25, count)], 1)
            across = np.stack([-np.sin(angle), np.cos(angle), generator.normal(0, 0.25, count)], 1)
            along *= generator.uniform(0.02, 0.05, (count, 1)) * growth
            across *= generator.uniform(0.008, 0.02, (count, 1)) * growth
            corners = [points - along, points + across, points + along, points - across]
            shades = np.asarray(color) * generator.uniform(0.6, 1.2, (count, 1))
            mesh.add_quads(corners, np.tile(UP, (count, 1)), shades)
        for _ in range((self.twigs, self.twigs // 2, self.twigs // 5)[lod]):
            x, y = generator.normal(0, 0.3, 2)
            bearing = generator.uniform(0, 2 * np.pi)
            start, heading = np.array([x, y, 0.03]), np.array([np.cos(bearing), np.sin(bearing), 0.08])
            path = np.stack([start, start + heading * 0.2, start + heading * 0.4 + generator.normal(0, 0.03, 3)])
            add_tube(mesh, generator, path, np.array([0.012, 0.009, 0.005]) * growth, self.colors[0], 4)
        return mesh


@dataclass(frozen=True)
class Log:
    """A fallen trunk with a stub; about 2 m long."""

    bark: Color
    lod_angles: ClassVar[tuple[float, ...]] = (0.033, 0.011)
    solid: ClassVar[bool] = True

    def build(self, generator: np.random.Generator, lod: int) -> Mesh:
        """Make one log."""
        mesh, sides = Mesh(), (11, 7, 5)[lod]
        x = np.linspace(-1, 1, 7) * generator.uniform(0.6, 1.0)
        path = np.stack([x, 0.06 * np.sin(x * 2 + generator.random()), np.full(7, 0.11)], 1)
        add_tube(mesh, generator, path, [0.01, 0.15, 0.138, 0.125, 0.112, 0.1, 0.01], self.bark, sides)
        add_tube(
            mesh, generator, [[0.2, 0, 0.15], [0.35, 0.12, 0.4], [0.4, 0.2, 0.6]], [0.05, 0.035, 0.02], self.bark, 5
        )
        return mesh
