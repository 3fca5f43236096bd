"""Where on the ground the pixels of a mask are, told from the camera's height and attitude alone.

Assumes that the ground is one plane, at right angles to `down` and a known height below the camera. A pixel's ray then
meets it at one place. Where the ground rises or falls, or the attitude is wrong by an angle, distances are wrong, the
farther the more; docs/readers.md has figures. Only the foot of a thing stands on the ground: what is above a foot
in its column would be projected far behind it, and is left out. Knows nothing of ROS, of classes, or of where an
attitude comes from.

Shape letters: H, W mask; N pixels; B bins, each of neighbouring columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DesertSegError
from desert_seg.traversability import LETHAL

LIFT_M = 0.3
"""Points are this high over the ground: within what Nav2's layers (0 to 2 m) and its collision monitor (0.05 to 0.5 m)
take for an obstacle unless told otherwise."""

MAX_BINS = 480
"""Columns of a wider mask are taken together, so that a cloud has at most MAX_BINS x MAX_FEET points."""

MAX_FEET = 4
"""Of a bin, the nearest ones."""

MAX_TILT_DEG = 60.0
"""Of the image's columns from the vertical. Beyond it, lower in the image no longer means nearer."""

Floats = npt.NDArray[np.float64]


class GroundError(DesertSegError):
    """It cannot be told where on the ground pixels are."""


@dataclass(frozen=True)
class Lens:
    """From pixels to rays.

    Attributes:
        intrinsics: 3x3, for pixels of the mask whose centres are at whole numbers.
        distortion: OpenCV's coefficients, as many as the model has; empty = none.
        is_fisheye: Whether they are those of cv2.fisheye (`equidistant`), else `plumb_bob` or `rational_polynomial`.
    """

    intrinsics: Floats
    distortion: tuple[float, ...] = ()
    is_fisheye: bool = False

    def rays(self, columns: Floats, rows: Floats) -> Floats:
        """Nx3 rays with z = 1 in the optical frame of N pixels; NaN where the distortion has no inverse."""
        pixels = np.stack([columns, rows], -1).astype(np.float64)
        if not any(self.distortion) or not len(pixels):
            homogeneous = np.column_stack([pixels, np.ones(len(pixels))])
            return np.asarray(homogeneous @ np.linalg.inv(self.intrinsics).T, np.float64)
        coefficients, zeros = np.array(self.distortion), np.zeros(3)
        if self.is_fisheye:
            straight = cv2.fisheye.undistortPoints(pixels[:, None], self.intrinsics, coefficients)
        else:
            until = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 40, 1e-6)
            straight = cv2.undistortPointsIter(
                pixels[:, None], self.intrinsics, coefficients, np.eye(3), np.eye(3), until
            )
        rays = np.column_stack([straight[:, 0], np.ones(len(pixels))])
        project = cv2.fisheye.projectPoints if self.is_fisheye else cv2.projectPoints
        again, _ = project(rays[:, None], zeros, zeros, self.intrinsics, coefficients)
        with np.errstate(invalid="ignore"):
            rays[~(np.abs(again.reshape(-1, 2) - pixels).max(axis=1) <= 1)] = np.nan
        return rays


@dataclass(frozen=True)
class GroundCamera:
    """A camera over level ground.

    Attributes:
        lens: Of the mask's pixels.
        down: 3 floats, the unit vector towards the ground in the optical frame (x right, y down, z forward).
        height_m: Of the camera over the ground.
    """

    lens: Lens
    down: Floats
    height_m: float

    def __post_init__(self) -> None:
        tilt = np.degrees(np.arccos(np.clip(self.down[1], -1, 1)))
        if not tilt <= MAX_TILT_DEG + 1e-3:
            raise GroundError(
                f"the camera's y axis is {tilt:.0f} degrees away from pointing down, expected at most "
                f"{MAX_TILT_DEG:.0f}: mount it upright, and give the pose of its optical frame (x right, y down, "
                "z forward)"
            )

    def ground(self, columns: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Where N pixels are.

        Returns:
            N distances over the ground from below the camera, metres, infinite at and above the horizon; and Nx3
            bearings, unit vectors along the ground in the optical frame. NaN where the lens has no ray.
        """
        rays = self.lens.rays(columns, rows)
        falling = rays @ self.down
        along = rays - falling[:, None] * self.down
        length = np.linalg.norm(along, axis=1)
        level = length[:, None]
        bearings = np.divide(along, level, out=np.zeros_like(along), where=level != 0)  # straight down there is none
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(falling <= 0, np.inf, self.height_m * length / falling), bearings

    def points(self, distances: Floats, bearings: Floats) -> npt.NDArray[np.float32]:
        """Nx3 float32 points, metres, in the optical frame, `LIFT_M` over the ground at N distances and bearings."""
        points = bearings * distances[:, None] + (self.height_m - LIFT_M) * self.down
        return np.asarray(points, np.float32)


def pitched_down(pitch_deg: float) -> Floats:
    """What `down` is for a camera without roll that is pitched down by some degrees."""
    pitch = np.radians(pitch_deg)
    return np.array([0.0, np.cos(pitch), np.sin(pitch)])


def obstacle_points(costs: npt.NDArray[np.uint8], camera: GroundCamera, range_m: float) -> npt.NDArray[np.float32]:
    """Where obstacles stand.

    A foot is a lethal pixel over one that is not, or at the mask's lower edge. Of a bin the nearest `MAX_FEET` count:
    something else is seen between two of them, so they are taken for different obstacles.

    Args:
        costs: HxW uint8, `LETHAL` = obstacle.
        camera: That saw it.
        range_m: What is farther away, along the ground, is left out.

    Returns:
        Nx3 float32 points, metres, in the optical frame, `LIFT_M` over the ground.
    """
    lethal, centres = _binned(costs == LETHAL)
    upwards = lethal[::-1]
    feet = upwards.copy()
    feet[1:] &= ~upwards[:-1]
    heights, bins = np.nonzero(feet)
    order = np.argsort(bins, kind="stable")  # bin by bin, the lowest first
    heights, bins = heights[order], bins[order]
    nearest = np.arange(len(bins)) - np.searchsorted(bins, bins) < MAX_FEET
    heights, bins = heights[nearest], bins[nearest]
    distances, bearings = camera.ground(centres[bins], (len(costs) - 1 - heights).astype(np.float64))
    near = distances <= range_m
    return camera.points(distances[near], bearings[near])


def free_points(costs: npt.NDArray[np.uint8], camera: GroundCamera, range_m: float) -> npt.NDArray[np.float32]:
    """How far the ground is seen to be free, in every direction.

    From the lower edge of the mask up to the first pixel that is lethal or unknown, or up to the range.

    Args:
        costs: HxW uint8, `LETHAL` and above = not free.
        camera: That saw it.
        range_m: Along the ground; nothing is said beyond.

    Returns:
        Nx3 float32 points, metres, in the optical frame, `LIFT_M` over the ground: one for each bin that is free at
        the lower edge.
    """
    blocked, centres = _binned(costs >= LETHAL)
    free_rows = (~np.logical_or.accumulate(blocked[::-1])).sum(axis=0)
    seen = free_rows > 0
    distances, bearings = camera.ground(centres[seen], (len(costs) - free_rows[seen]).astype(np.float64))
    known = np.isfinite(bearings[:, 0])
    return camera.points(np.minimum(distances[known], range_m), bearings[known])


def _binned(flags: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], Floats]:
    """HxW to HxB, true where any column of the bin is, and the B columns in the middle of the bins."""
    width = flags.shape[1]
    step = -(-width // MAX_BINS)
    any_of = flags[:, ::step].copy()
    for offset in range(1, step):
        columns = flags[:, offset::step]
        any_of[:, : columns.shape[1]] |= columns  # the last bin may have fewer
    starts = np.arange(0, width, step)
    return any_of, (starts + np.minimum(starts + step, width) - 1) / 2
