"""The mesh kit: blades, leaves, tubes, limbs and spheres that plants and stones are made of.

A mesh has its origin on the ground, z up, metres, and a colour per vertex in linear light. Knows nothing of species.

Shape letters: V vertices, F triangles, N pieces added at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from desert_seg_train.synth.noise import Floats

UP = np.array([0.0, 0.0, 1.0])


def unit(vectors: Floats) -> Floats:
    """Vectors along the last axis, scaled to length 1."""
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9), np.float64)


def mix(first: npt.ArrayLike, second: npt.ArrayLike, share: Floats | float) -> Floats:
    """Linear interpolation from `first` at share 0 to `second` at share 1."""
    return np.asarray(first, np.float64) * (1.0 - share) + np.asarray(second, np.float64) * share


class Mesh:
    """Triangles, added piece by piece; every vertex has a position, a normal and a colour."""

    def __init__(self) -> None:
        self._vertices: list[Floats] = []
        self._faces: list[npt.NDArray[np.int64]] = []
        self._num_vertices = 0

    def add(self, points: Floats, normals: Floats, colors: npt.ArrayLike, faces: npt.NDArray[np.int64]) -> Mesh:
        """Add a piece.

        Args:
            points: Vx3, metres.
            normals: Vx3 or 3, of any length.
            colors: Vx3, 1x3 or 3, linear light 0..1.
            faces: Fx3 indices into this piece's points.
        """
        shape = points.shape
        colors = np.broadcast_to(np.asarray(colors, np.float64), shape)
        self._vertices.append(np.concatenate([points, np.broadcast_to(unit(normals), shape), colors], 1))
        self._faces.append(faces + self._num_vertices)
        self._num_vertices += len(points)
        return self

    def add_quads(self, corners: Sequence[Floats], normals: Floats, colors: Floats) -> Mesh:
        """Add N quadrilaterals: four arrays of Nx3 corners in turn, N normals, N colours."""
        n = len(corners[0])
        i = np.arange(n)
        faces = np.concatenate([np.stack([i, i + n, i + 2 * n], 1), np.stack([i, i + 2 * n, i + 3 * n], 1)])
        return self.add(np.concatenate(list(corners)), np.tile(normals, (4, 1)), np.tile(colors, (4, 1)), faces)

    def arrays(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
        """Vx9 vertices (position, unit normal, colour) and Fx3 faces."""
        return np.concatenate(self._vertices).astype(np.float32), np.concatenate(self._faces).astype(np.uint32)


def add_blades(
    mesh: Mesh,
    generator: np.random.Generator,
    count: int,
    radius: float,
    height: float,
    width: float,
    lean: float,
    base: npt.ArrayLike,
    tip: npt.ArrayLike,
    segments: int,
) -> None:
    """Tapered blades that grow out of a disc and bend outwards; `lean` is their reach relative to the height."""
    angle, distance = generator.uniform(0, 2 * np.pi, count), radius * np.sqrt(generator.random(count))
    heading = angle + generator.normal(0, 0.9, count)
    zero = np.zeros(count)
    roots = np.stack([distance * np.cos(angle), distance * np.sin(angle), zero - 0.03], 1)
    outwards = np.stack([np.cos(heading), np.sin(heading), zero], 1)
    side = np.cross(UP, outwards)
    heights, bend = height * generator.uniform(0.5, 1.1, count), lean * generator.uniform(0.2, 1.3, count)
    shade, normals = generator.uniform(0.75, 1.15, (count, 1)), unit(UP + 0.5 * outwards)

    def centre(t: float) -> Floats:
        rise = heights * t * (1 - 0.35 * bend * t)
        return roots + outwards * (bend * heights * t * t)[:, None] + UP * rise[:, None]

    def color(t: float) -> Floats:
        return mix(base, tip, t) * shade * (0.45 + 0.55 * min(1.0, 1.8 * t + 0.15))

    i = np.arange(count)
    for segment in range(segments):
        t0, t1 = segment / segments, (segment + 1) / segments
        half0, half1 = width * (1 - t0) ** 0.7 * side, width * (1 - t1) ** 0.7 * side
        left, right = centre(t0) - half0, centre(t0) + half0
        if segment == segments - 1:
            points, colors = np.concatenate([left, right, centre(1)]), [color(t0), color(t0), color(1)]
            mesh.add(
                points, np.tile(normals, (3, 1)), np.concatenate(colors), np.stack([i, i + count, i + 2 * count], 1)
            )
        else:
            corners = [left, right, centre(t1) + half1, centre(t1) - half1]
            quad_colors = np.concatenate([color(t0), color(t0), color(t1), color(t1)])
            faces = np.concatenate(
                [np.stack([i, i + count, i + 2 * count], 1), np.stack([i, i + 2 * count, i + 3 * count], 1)]
            )
            mesh.add(np.concatenate(corners), np.tile(normals, (4, 1)), quad_colors, faces)


def add_leaves(
    mesh: Mesh,
    generator: np.random.Generator,
    count: int,
    centre: npt.ArrayLike,
    radii: npt.ArrayLike,
    size: float,
    dark: npt.ArrayLike,
    light: npt.ArrayLike,
    lumps: float = 0.35,
    aspect: float = 0.6,
    floor: float = -9.0,
) -> None:
    """A lumpy ellipsoid of bent leaves, darker inside and below; their normals follow the crown."""
    direction, bumps = unit(generator.normal(size=(count, 3))), unit(generator.normal(size=(9, 3)))
    reach = (1 - lumps) + lumps * np.max(np.clip(direction @ bumps.T, 0, 1) ** 3, 1)
    depth = generator.random(count) ** 0.45
    points = np.asarray(centre) + direction * np.asarray(radii) * (reach * (0.35 + 0.65 * depth))[:, None]
    points[:, 2] = np.maximum(points[:, 2], floor)
    along = unit(generator.normal(size=(count, 3)))
    across = unit(np.cross(along, generator.normal(size=(count, 3))))
    scale = size * generator.uniform(0.6, 1.3, (count, 1))
    fold = np.cross(along, across) * scale * 0.35
    brightness = 0.55 * depth + 0.45 * (direction[:, 2] * 0.5 + 0.5) + generator.normal(0, 0.12, count)
    colors = mix(dark, light, np.clip(brightness, 0, 1)[:, None])
    corners = [
        points - along * scale,
        points + across * scale * aspect + fold,
        points + along * scale,
        points - across * scale * aspect + fold,
    ]
    mesh.add_quads(corners, unit(direction + 0.55 * generator.normal(size=(count, 3)) + 0.35 * UP), colors)


def add_tube(
    mesh: Mesh,
    generator: np.random.Generator,
    path: npt.ArrayLike,
    radii: npt.ArrayLike,
    color: npt.ArrayLike,
    sides: int,
) -> None:
    """A tube of `sides` faces around a path of Nx3 points with N radii."""
    path = np.asarray(path, np.float64)
    direction = unit(np.asarray(np.gradient(path, axis=0), np.float64))
    across = unit(np.cross(direction, [0.31, 0.77, 0.55]))
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    ring = np.cos(angle) * across[:, None] + np.sin(angle) * np.cross(direction, across)[:, None]
    start, side = (grid.ravel() for grid in np.meshgrid(np.arange(len(path) - 1) * sides, np.arange(sides)))
    following = (side + 1) % sides
    faces = np.concatenate(
        [
            np.stack([start + side, start + following, start + following + sides], 1),
            np.stack([start + side, start + following + sides, start + side + sides], 1),
        ]
    )
    points = path[:, None] + ring * np.asarray(radii, np.float64)[:, None, None]
    colors = np.asarray(color) * generator.uniform(0.75, 1.2, (len(path) * sides, 1))
    mesh.add(points.reshape(-1, 3), ring.reshape(-1, 3), colors, faces)


def add_limbs(
    mesh: Mesh,
    generator: np.random.Generator,
    start: npt.ArrayLike,
    direction: npt.ArrayLike,
    length: float,
    radius: float,
    depth: int,
    color: npt.ArrayLike,
    spread: float,
    rise: float,
    thinnest: int,
) -> list[tuple[Floats, Floats, int]]:
    """A limb and its branches.

    Args:
        mesh: The mesh to add it to.
        generator: Randomness of its shape.
        start: Its foot, metres.
        direction: Initial direction, unit vector.
        length: Metres.
        radius: At the foot, metres.
        depth: Levels of branching, 0 = a bare limb.
        color: Colour of the bark.
        spread: How far branches turn away from their limb.
        rise: How far branches turn upwards.
        thinnest: Limbs of a smaller depth are not drawn; their random numbers are still consumed, so that every level
            of detail is the same tree.

    Returns:
        Start, end and depth of every limb.
    """
    points, heading = [np.asarray(start, np.float64)], np.asarray(direction, np.float64)
    for _ in range(4):
        heading = unit(heading + generator.normal(0, 0.18, 3) + UP * rise * 0.3)
        points.append(points[-1] + heading * length / 4)
    target = mesh if depth >= thinnest else Mesh()
    add_tube(target, generator, points, np.linspace(radius, radius * 0.55, 5), color, 6 if depth > 1 else 4)
    limbs = [(points[0], points[-1], depth)]
    for _ in range(generator.integers(2, 4) if depth else 0):
        branch = unit(heading + spread * unit(generator.normal(size=3)) + UP * rise)
        origin, reach = points[generator.integers(2, 5)], length * generator.uniform(0.55, 0.8)
        limbs += add_limbs(
            mesh, generator, origin, branch, reach, radius * 0.5, depth - 1, color, spread, rise, thinnest
        )
    return limbs


@cache
def icosphere(subdivisions: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """A unit sphere of 20 x 4^subdivisions triangles: Vx3 points, Fx3 faces."""
    golden = (1 + 5**0.5) / 2
    corners = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0)]
    points = unit(np.array([p[k:] + p[:k] for k in (0, 2, 1) for p in corners], np.float64))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = distance < 1.1
    triples = [
        (a, b, c) for a in range(12) for b in range(12) for c in range(12) if near[a, b] and near[b, c] and near[a, c]
    ]
    outward = [t for t in triples if len(set(t)) == 3 and t[0] == min(t) and np.linalg.det(points[list(t)]) > 0]
    faces = np.array(outward, np.int64)
    for _ in range(subdivisions):
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = inverse.reshape(3, -1) + len(points)
        points = np.concatenate([points, unit(points[unique[:, 0]] + points[unique[:, 1]])])
        a, b, c = faces.T
        faces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    return points, faces
