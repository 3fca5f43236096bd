"""Pack a rendered drive into a bag, as a robot would have recorded it: JPEG images, camera_info, odometry, masks.

The drive is a dataset folder with a `camera.json` (width, height, K, distortion, and a pose for every frame); the same
folder gives the same bytes. Knows nothing of how it was rendered. Used by `desert-seg synth --bag`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Point as Point
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Pose as Pose
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__PoseWithCovariance as PoseWithCovariance
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Quaternion as Quaternion
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Twist as Twist
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__TwistWithCovariance as TwistWithCovariance
from rosbags.typesys.stores.ros2_kilted import geometry_msgs__msg__Vector3 as Vector3
from rosbags.typesys.stores.ros2_kilted import nav_msgs__msg__Odometry as Odometry
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__RegionOfInterest as RegionOfInterest
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header

from desert_seg.errors import DataError
from desert_seg.files import writing
from desert_seg.json_file import parse_json
from desert_seg.recordings.bag import BagWriter
from desert_seg.recordings.drive import Drive, DriveFrame, open_drive

IMAGE_TOPIC = "/camera/image_raw/compressed"
INFO_TOPIC = "/camera/camera_info"
ODOMETRY_TOPIC = "/camera/odometry"
TRUTH_TOPIC = "/camera/ground_truth/compressed"
WORLD_FRAME_ID = "odom"
QUALITIES = range(95, 49, -1)
BAG_OVERHEAD_BYTES = 100_000
"""Generous estimate for headers, indices and camera_info."""

# Unfiltered rows: for flat areas of 16-bit values, files become a quarter smaller than with the default.
PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, 0, cv2.IMWRITE_PNG_FILTER, 8]


def pack_drive(folder: Path, out: Path, hz: float = 10.0, max_mb: float | None = None) -> None:
    """Write a drive as a bag, completely or not at all.

    Args:
        folder: Dataset folder with `camera.json`.
        out: Bag folder to write, replacing an older bag; or a bare file, if it ends in `.mcap`.
        hz: Frames per second.
        max_mb: Limit in 10^6 bytes; JPEG quality is lowered from 95 until the bag is within it.

    Raises:
        DataError: No quality fits, the folder is not a rendered drive, or `out` cannot be written.
    """
    camera = _read_camera(folder / "camera.json")
    drive = open_drive(folder, hz=hz)
    if len(camera["frames"]) != drive.num_frames:
        raise DataError(
            f"{folder}: found {drive.num_frames} images and {len(camera['frames'])} poses in camera.json; "
            "render the drive again"
        )
    quality = QUALITIES[0] if max_mb is None else _best_quality(drive, max_mb)
    bare = out.suffix == ".mcap"
    bag_path = out.with_name(f".{out.stem}.bag") if bare else out
    with BagWriter(bag_path, overwrite=True) as bag:
        for frame, view in zip(drive.frames(), camera["frames"], strict=True):
            header, stamp_ns = frame.image.header, frame.stamp_ns
            bag.write_message(IMAGE_TOPIC, stamp_ns, _jpeg(frame, quality))
            bag.write_message(INFO_TOPIC, stamp_ns, _camera_info(header, camera))
            bag.write_message(ODOMETRY_TOPIC, stamp_ns, _odometry(header, np.array(view["T_world_camera"])))
            bag.write_message(TRUTH_TOPIC, stamp_ns, _truth(frame))
    if bare:
        with writing(out):
            try:
                (bag_path / f"{bag_path.name}.mcap").replace(out)
            finally:
                shutil.rmtree(bag_path, ignore_errors=True)


def _best_quality(drive: Drive, max_mb: float) -> int:
    """The highest JPEG quality at which the whole bag stays within a size."""
    fixed = BAG_OVERHEAD_BYTES + sum(_truth(frame).data.size for frame in drive.frames())
    for quality in QUALITIES:
        if fixed + sum(_jpeg(frame, quality).data.size for frame in drive.frames()) <= max_mb * 1e6:
            return quality
    raise DataError(f"{drive.path}: is more than {max_mb} MB even at JPEG quality {quality}; render fewer frames")


def _read_camera(path: Path) -> dict[str, Any]:
    try:
        camera = parse_json(path.read_text(encoding="utf-8"))
        return {name: camera[name] for name in ("width", "height", "K", "distortion", "frames")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is not a renderer's camera file ({error}); render the drive again") from error


def _odometry(header: Header, pose: npt.NDArray[np.float64]) -> Odometry:
    """The camera's pose, 4x4, camera to world, as position and quaternion, without a velocity."""
    x, y, z, w = _quaternion(pose[:3, :3])
    where = Pose(Point(*pose[:3, 3].tolist()), Quaternion(x, y, z, w))
    still = Twist(Vector3(0.0, 0.0, 0.0), Vector3(0.0, 0.0, 0.0))
    zeros = np.zeros(36)
    return Odometry(
        header=Header(header.stamp, WORLD_FRAME_ID),
        child_frame_id=header.frame_id,
        pose=PoseWithCovariance(where, zeros),
        twist=TwistWithCovariance(still, zeros),
    )


def _quaternion(rotation: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation matrix, w not negative.

    The quaternion is the eigenvector, to the largest eigenvalue, of the symmetric matrix of Bar-Itzhack (2000), which
    has no special cases.
    """
    m = rotation
    symmetric = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1]
    sign = -1.0 if w < 0 else 1.0
    return float(sign * x), float(sign * y), float(sign * z), float(sign * w)


def _jpeg(frame: DriveFrame, quality: int) -> CompressedImage:
    bgr = cv2.cvtColor(frame.rgb(), cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return CompressedImage(frame.image.header, "jpeg", cv2.imencode(".jpg", bgr, options)[1].reshape(-1))


def _truth(frame: DriveFrame) -> CompressedImage:
    mask = frame.ground_truth()
    if mask is None:
        raise DataError(f"the frame at {frame.stamp_ns} ns has no mask; render the drive again")
    png = cv2.imencode(".png", mask.astype(np.uint16), PNG_OPTIONS)[1]
    return CompressedImage(frame.image.header, "png", png.reshape(-1))


def _camera_info(header: Header, camera: dict[str, Any]) -> CameraInfo:
    matrix = np.array(camera["K"], np.float64)
    return CameraInfo(
        header=header,
        height=camera["height"],
        width=camera["width"],
        distortion_model="plumb_bob",
        d=np.array(camera["distortion"], np.float64),
        k=matrix.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack([matrix, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=RegionOfInterest(0, 0, 0, 0, False),
    )
