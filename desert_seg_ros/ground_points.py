"""A frame's points on the ground, from its mask, the camera's calibration, and the camera's pose or how it is mounted.

Nothing is guessed: what is missing or does not fit is a GroundError with its cure. Imports no rclpy.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.ground import (
    Floats,
    GroundCamera,
    GroundError,
    Lens,
    free_points,
    obstacle_points,
    pitched_down,
)
from desert_seg.smoothing import Viewpoint
from desert_seg_ros.messages import camera_info_message, is_camera_matrix
from desert_seg_ros.parameters import NodeParameters

_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,), "fisheye": (4,)}
"""How many numbers OpenCV takes for the distortion models of CameraInfo."""


@dataclass(frozen=True)
class Sight:
    """What is known of how a camera saw a frame.

    Attributes:
        topic: Of its images, in full.
        info: Its CameraInfo; None while none has come.
        viewpoint: From where the frame was taken, if that is known.
        problem: Why it is not known though poses are meant to come; else empty.
    """

    topic: str
    info: Any | None
    viewpoint: Viewpoint | None
    problem: str


def ground_points(
    costs: npt.NDArray[np.uint8], sight: Sight, parameters: NodeParameters, wanted: Set[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """Points on the ground for those of `obstacles` and `free_space` that are wanted.

    Args:
        costs: HxW uint8 of a frame, as on ~/traversability.
        sight: Of that frame.
        parameters: The node's.
        wanted: Names of outputs.

    Returns:
        Nx3 float32 points, metres, in the optical frame.

    Raises:
        GroundError: It cannot be told where on the ground the pixels are.
    """
    camera = GroundCamera(
        _lens(sight, (costs.shape[0], costs.shape[1])),
        _down(sight, parameters.camera_pitch_deg),
        parameters.camera_height_m,
    )
    # Below the region nothing is known, no more than below the image.
    costs = costs[: max(1, round(parameters.region[2] * len(costs)))]
    makers = {"obstacles": obstacle_points, "free_space": free_points}
    return {name: make(costs, camera, parameters.obstacles_range_m) for name, make in makers.items() if name in wanted}


def is_rectified(topic: str) -> bool:
    """Whether a topic's images have no distortion, by the names that image_proc and drivers give to such."""
    return not {"rect", "rectified"}.isdisjoint(re.split(r"[/_]", topic))


def _lens(sight: Sight, size: tuple[int, int]) -> Lens:
    """How the pixels of a mask of a size (H, W) look out."""
    if sight.info is None:
        raise GroundError("no camera_info has come: publish the camera's calibration, or remap camera_info to it")
    info = camera_info_message(sight.info, size, sight.info.header)
    if info is None:
        raise GroundError("camera_info is for images of another shape: take that of the images' own stream")
    rectified = is_rectified(sight.topic)
    matrix = np.array(info.p).reshape(3, 4)[:, :3] if rectified else np.array(info.k).reshape(3, 3)
    if not (is_camera_matrix(matrix) and np.isfinite(info.d).all()):
        raise GroundError(
            f"camera_info has no camera matrix in {'P' if rectified else 'K'}, so the camera is not calibrated: run "
            "camera_calibration, and have the driver publish what it finds"
        )
    if rectified or not any(info.d):
        return Lens(matrix)
    model, count = info.distortion_model, len(info.d)
    if count not in _COEFFICIENTS.get(model, ()):
        raise GroundError(
            f"camera_info has {count} coefficients of the distortion model {model[:40]!r}, and only "
            f"{', '.join(_COEFFICIENTS)} are known: give the node rectified images"
        )
    return Lens(matrix, tuple(info.d), model in ("equidistant", "fisheye"))


def _down(sight: Sight, pitch_deg: float) -> Floats:
    """The unit vector towards the ground in the optical frame."""
    if sight.viewpoint is not None:
        return np.asarray(sight.viewpoint.pose[:3, :3].T @ np.array([0.0, 0.0, -1.0]), np.float64)
    if sight.problem:
        raise GroundError(sight.problem)
    return pitched_down(pitch_deg)
