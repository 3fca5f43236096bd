"""Calmer masks: class scores averaged over time, each frame's moved to where the camera looks now.

The average is exponential. Between two frames with known poses the older scores are moved as the picture of a plane
moves: what is below the horizon as the ground at the camera's height under it, what is above as things far away
(Hartley and Zisserman, "Multiple View Geometry", 2004, chapter 13). Without poses nothing is moved. A large motion, a
gap in time, another world or another grid begins anew. Knows nothing of ROS or of networks.

Shape letters: K classes, h, w score grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

MAX_GAP_S = 0.5
MAX_TRANSLATION_M = 2.0
MAX_ROTATION_DEG = 15.0
"""Beyond any of these the past says nothing about the present frame."""


@dataclass(frozen=True)
class Viewpoint:
    """From where a frame was taken.

    Attributes:
        pose: 4x4 float, camera to world; the camera's optical frame (x right, y down, z forward), the world's z is up.
        intrinsics: 3x3 float, for pixels of a frame of `size`.
        size: (H, W) of the frames that the intrinsics are for.
        height_m: Of the camera over the ground.
        world: Its name; poses in different worlds tell no motion.
    """

    pose: npt.NDArray[np.float64]
    intrinsics: npt.NDArray[np.float64]
    size: tuple[int, int]
    height_m: float
    world: str = ""


class Smoother:
    """The average of one camera's scores."""

    def __init__(self) -> None:
        self._average: npt.NDArray[np.float32] | None = None
        self._stamp_s = 0.0
        self._viewpoint: Viewpoint | None = None

    def update(
        self, scores: npt.NDArray[np.float32], stamp_s: float, weight: float, viewpoint: Viewpoint | None = None
    ) -> npt.NDArray[np.float32]:
        """Add a frame to the average.

        Args:
            scores: Khw float32.
            stamp_s: When the frame was taken, seconds.
            weight: Of the past, 0 to below 1.
            viewpoint: From where it was taken, if that is known.

        Returns:
            Khw float32, the averaged scores.
        """
        past, average = self._average, scores.copy()  # the engine's buffer is not ours
        if past is not None and past.shape == scores.shape and 0 <= stamp_s - self._stamp_s <= MAX_GAP_S:
            if viewpoint is None or self._viewpoint is None:
                average = np.asarray(weight * past + (1 - weight) * scores, np.float32)
            elif (places := _where_it_was(self._viewpoint, viewpoint, scores.shape[1:])) is not None:
                average = _blend(past, scores, weight, places)
        self._average, self._stamp_s, self._viewpoint = average, stamp_s, viewpoint
        return self._average


def _blend(
    past: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    weight: float,
    places: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
) -> npt.NDArray[np.float32]:
    columns, rows = places
    height, width = columns.shape
    seen = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    share = np.where(seen, np.float32(weight), np.float32(0))
    moved = np.stack([cv2.remap(np.ascontiguousarray(plane), columns, rows, cv2.INTER_LINEAR) for plane in past])
    return np.asarray(share * moved + (1 - share) * scores, np.float32)


def _where_it_was(
    before: Viewpoint, now: Viewpoint, grid: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """Column and row on the earlier grid of every place on the present one, hw each; None if nothing leads there."""
    if before.world != now.world:
        return None
    motion = np.linalg.inv(before.pose) @ now.pose
    rotation, translation = motion[:3, :3], motion[:3, 3]
    angle = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    if np.linalg.norm(translation) > MAX_TRANSLATION_M or angle > MAX_ROTATION_DEG:
        return None
    height, width = grid
    # Centres of grid cells as rays of the present camera; the half-pixel grid throughout.
    columns, rows = np.meshgrid(
        (np.arange(width) + 0.5) * now.size[1] / width - 0.5, (np.arange(height) + 0.5) * now.size[0] / height - 0.5
    )
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
    rays = np.linalg.inv(now.intrinsics) @ pixels
    down = now.pose[:3, :3].T @ np.array([0.0, 0.0, -1.0])
    inverse_depth = np.maximum(down @ rays, 0.0) / now.height_m  # 0 at and above the horizon
    earlier = before.intrinsics @ (rotation @ rays + np.outer(translation, inverse_depth))
    behind = earlier[2] <= 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(behind, -1e6, earlier[:2] / earlier[2])
    scale = np.array([[width / before.size[1]], [height / before.size[0]]])
    found = (found + 0.5) * scale - 0.5
    return found[0].reshape(grid).astype(np.float32), found[1].reshape(grid).astype(np.float32)
