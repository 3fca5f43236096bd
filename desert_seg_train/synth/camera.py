"""The camera: its intrinsics, and its pose on a vehicle that follows the ground. Knows nothing of scenes.

The camera frame is ROS's optical frame: x right, y down, z forward. Pixel centres are at whole numbers, as in OpenCV.

Shape letters: N points, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from desert_seg_train.synth.meshes import UP, unit
from desert_seg_train.synth.noise import Floats
from desert_seg_train.synth.terrain import Terrain

_WHEELBASE_M, _TRACK_WIDTH_M = 2.6, 1.6
_PITCH_FOLLOWS, _ROLL_FOLLOWS = 0.6, 0.5
"""Share of the ground's slope that passes through the suspension."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        width: Pixels.
        height: Pixels.
        fov_deg: Horizontal field of view.
    """

    width: int
    height: int
    fov_deg: float

    @property
    def focal_px(self) -> float:
        """Focal length, pixels."""
        return float(self.width / 2 / np.tan(np.radians(self.fov_deg) / 2))

    def matrix(self) -> Floats:
        """3x3 camera matrix K."""
        f = self.focal_px
        return np.array([[f, 0, (self.width - 1) / 2], [0, f, (self.height - 1) / 2], [0, 0, 1]])

    def project(self, pose: Floats, points: Floats) -> tuple[Floats, Floats]:
        """Project points of the world into the image.

        Args:
            pose: 4x4, camera to world.
            points: Nx3, metres.

        Returns:
            Nx2 pixels (column, row), and N depths along the optical axis, metres, negative behind the camera.
        """
        seen = (points - pose[:3, 3]) @ pose[:3, :3]
        pixels = seen @ self.matrix().T
        return pixels[:, :2] / pixels[:, 2:], seen[:, 2]

    def unproject(self, pose: Floats, depth: Floats) -> Floats:
        """Inverse of `project` for whole images: HxW depths along the axis, metres, to HxWx3 points of the world."""
        columns, rows = np.meshgrid(np.arange(self.width), np.arange(self.height))
        rays = np.stack([columns, rows, np.ones_like(columns)], -1) @ np.linalg.inv(self.matrix()).T
        return np.asarray(rays * depth[..., None] @ pose[:3, :3].T + pose[:3, 3], np.float64)

    def clip_matrix(self, near_m: float, far_m: float) -> Floats:
        """4x4 projection into OpenGL's clip space, from a frame with y up that looks along -z."""
        f, depth = self.focal_px, far_m - near_m
        return np.array(
            [
                [2 * f / self.width, 0, 0, 0],
                [0, 2 * f / self.height, 0, 0],
                [0, 0, -(far_m + near_m) / depth, -2 * far_m * near_m / depth],
                [0, 0, -1, 0],
            ]
        )


@dataclass(frozen=True)
class Stance:
    """Position of a vehicle and pose of its camera: metres along and left of the track, radians, metres."""

    along_m: float
    left_m: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    height_m: float = 1.7


def vehicle_pose(terrain: Terrain, stance: Stance) -> Floats:
    """4x4 pose, camera to world, on a vehicle whose four wheels stand on the ground."""
    x, y = stance.along_m, float(terrain.track_y(stance.along_m)) + stance.left_m
    ahead_y, behind_y = terrain.track_y(np.array([x + 1.5, x - 1.5]))
    heading = np.arctan2(ahead_y - behind_y, 3.0) + stance.yaw
    ahead, left = np.array([np.cos(heading), np.sin(heading), 0]), np.array([-np.sin(heading), np.cos(heading), 0])
    half_base, half_width = _WHEELBASE_M / 2 * ahead, _TRACK_WIDTH_M / 2 * left
    contacts = np.array([x, y, 0]) + np.stack([half_base, -half_base, half_width, -half_width])
    front, rear, port, starboard = terrain.height(contacts[:, 0], contacts[:, 1])
    pitch = np.arctan2(front - rear, _WHEELBASE_M) * _PITCH_FOLLOWS + stance.pitch
    roll = np.arctan2(port - starboard, _TRACK_WIDTH_M) * _ROLL_FOLLOWS + stance.roll
    forward = unit(ahead + UP * np.tan(pitch))
    left = left + UP * np.tan(roll)
    left = unit(left - forward * (left @ forward))
    pose = np.eye(4)
    pose[:3, :3] = np.stack([-left, -np.cross(forward, left), forward], 1)
    pose[:3, 3] = [x, y, (front + rear + port + starboard) / 4 + stance.height_m]
    return pose
