"""Compares the masks of two frames where they show the same place, from depth and the camera's poses.

Every pixel of a frame is unprojected with its depth, transformed by the camera's motion and looked up in the frame
before; it counts where the depth there agrees, so that occluded places do not count. (Like the warping error of Lai et
al., "Learning Blind Video Temporal Consistency", ECCV 2018, with rigid motion instead of optical flow.)

Knows nothing of live topics. Shape letters: H, W; N points.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError, FrameError
from desert_seg.labels import IGNORE
from desert_seg.recordings.bag import Bag, deserialize
from desert_seg.recordings.drive import DriveFrame
from desert_seg.recordings.image_codec import decode_mask
from desert_seg.recordings.image_topic import COMPRESSED_IMAGE, IMAGE
from desert_seg_ros.bag_benchmark.results import Warped

ODOMETRY = "nav_msgs/msg/Odometry"
STRIDE = 2
"""Every second row and column is compared: a quarter of the work for the same share."""

DEPTH_TOLERANCE = 0.05
"""Relative difference that two depths of one place may have."""

NEAREST_M = 0.1
LONGEST_GAP_NS = 250_000_000
"""Poses are only interpolated between odometry messages this close."""

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Poses:
    """The camera's poses over time.

    Attributes:
        stamps_ns: N, ascending.
        positions: Nx3, metres.
        quaternions: Nx4: x, y, z, w.
    """

    stamps_ns: npt.NDArray[np.int64]
    positions: Floats
    quaternions: Floats

    def at(self, stamp_ns: int) -> Floats | None:
        """The pose at a time, 4x4, camera to world; None if no two messages are close enough around it."""
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        if after < len(self.stamps_ns) and self.stamps_ns[after] == stamp_ns:
            return _matrix(self.positions[after], self.quaternions[after])
        if after in (0, len(self.stamps_ns)):
            return None
        gap = int(self.stamps_ns[after] - self.stamps_ns[after - 1])
        if gap > LONGEST_GAP_NS:
            return None
        share = (stamp_ns - int(self.stamps_ns[after - 1])) / gap
        position = (1 - share) * self.positions[after - 1] + share * self.positions[after]
        first, second = self.quaternions[after - 1], self.quaternions[after]
        sign = -1.0 if first @ second < 0 else 1.0  # q and -q are the same rotation; take the shorter path
        return _matrix(position, (1 - share) * first + share * sign * second)


@dataclass(frozen=True)
class Surroundings:
    """The camera's motion, and the depth of the scene on `depth_topic` of the bag at `path`."""

    path: Path
    depth_topic: str
    poses: Poses

    def depths(self) -> Iterator[tuple[int, Floats]]:
        """Stamp in nanoseconds and HxW depths along the optical axis in metres, 0 where unknown."""
        with Bag(self.path) as bag:
            for message in _readable(bag, self.depth_topic):
                yield _nanoseconds(message), _depth(message)


def _readable(bag: Bag, topic: str) -> Iterator[Any]:
    """The messages of a topic beside the images, as far as they can be read."""
    with suppress(DataError):
        for stored in bag.messages([topic]):
            with suppress(DataError):
                yield deserialize(stored)


def find_surroundings(path: Path, image_topic: str, frame_id: str) -> Surroundings | str:
    """Look for depth and poses in a bag; if something is missing, a phrase says what.

    Args:
        path: The bag.
        image_topic: The camera's images.
        frame_id: The images' frame id, which the odometry must have.
    """
    with Bag(path) as bag:
        depth = [
            topic.name
            for topic in bag.topics()
            if topic.type in (IMAGE, COMPRESSED_IMAGE) and "depth" in topic.name and topic.name != image_topic
        ]
        odometry = [topic.name for topic in bag.topics() if topic.type == ODOMETRY]
        for what, found in (("depth", depth), ("odometry", odometry)):
            if len(found) != 1:
                return f"the bag has {f'several topics of {what}: ' + ', '.join(found) if found else f'no {what}'}"
        messages = list(_readable(bag, odometry[0]))
    children = sorted({message.child_frame_id for message in messages})
    if children != [frame_id]:
        return f"{odometry[0]} tells where {', '.join(children) or 'nothing'} is, not the camera {frame_id!r}"
    return Surroundings(path, depth[0], _poses(messages))


class Agreement:
    """Compares each mask with the one of the frame before."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._poses, self._depths = surroundings.poses, surroundings.depths()
        self._next_depth = next(self._depths, None)
        self._previous: tuple[int, Mask, Floats, Floats] | None = None
        self._last_stamp_ns: int | None = None
        self._num_pairs = self._num_compared = self._num_equal = self._num_pixels = 0

    def add(self, index: int, frame: DriveFrame, mask: Mask) -> None:
        """Compare a frame's mask with the one before, if that belongs to the preceding frame of the drive.

        Raises:
            DataError: Depth and images do not have the same size, images share a stamp, or there is no camera_info.
        """
        if frame.stamp_ns == self._last_stamp_ns:
            raise DataError("found several images of one stamp, so their depth and pose cannot be told")
        self._last_stamp_ns = frame.stamp_ns
        depth, pose = self._depth_at(frame.stamp_ns), self._poses.at(frame.stamp_ns)
        previous, self._previous = self._previous, None
        if depth is None or pose is None:
            return
        if depth.shape != mask.shape:
            raise DataError(
                f"found depth of {depth.shape[1]}x{depth.shape[0]} pixels for images of {mask.shape[1]}x"
                f"{mask.shape[0]}; record depth that is registered to the images"
            )
        if frame.camera_info is None or not frame.camera_info.k[0]:
            raise DataError("found no calibrated camera_info beside the images; record it with them")
        self._previous = (index, mask, depth, pose)
        if previous is not None and previous[0] == index - 1 and previous[1].shape == mask.shape:
            info = frame.camera_info
            camera = np.reshape(info.k, (3, 3)).astype(np.float64), np.asarray(info.d, np.float64)
            equal, compared = compare(mask, depth, pose, *previous[1:], *camera)
            self._num_pairs += 1
            self._num_equal += equal
            self._num_compared += compared
            self._num_pixels += mask[::STRIDE, ::STRIDE].size

    def result(self) -> Warped | str:
        """The agreement over all pairs so far, or why there is none."""
        if not self._num_compared:
            return "no two consecutive frames with depth and pose show the same places"
        share = self._num_equal / self._num_compared
        return Warped(self._num_pairs, share, self._num_compared / self._num_pixels)

    def _depth_at(self, stamp_ns: int) -> Floats | None:
        while self._next_depth is not None and self._next_depth[0] < stamp_ns:
            self._next_depth = next(self._depths, None)
        return self._next_depth[1] if self._next_depth is not None and self._next_depth[0] == stamp_ns else None


def compare(
    mask: Mask,
    depth: Floats,
    pose: Floats,
    earlier_mask: Mask,
    earlier_depth: Floats,
    earlier_pose: Floats,
    matrix: Floats,
    distortion: Floats,
) -> tuple[int, int]:
    """Compare two masks where they show the same places.

    Args:
        mask: HxW uint8 classes; `IGNORE` is not compared.
        depth: HxW, metres along the optical axis; 0 where unknown.
        pose: 4x4, camera to world; x right, y down, z ahead.
        earlier_mask: The mask of another frame, as `mask`.
        earlier_depth: As `depth`.
        earlier_pose: As `pose`.
        matrix: 3x3 camera matrix of both frames.
        distortion: Coefficients as in camera_info, in the order of OpenCV.

    Returns:
        How many pixels have the same class, and how many were compared.
    """
    height, width = mask.shape
    rows, columns = np.mgrid[0:height:STRIDE, 0:width:STRIDE].reshape(2, -1)
    usable = (depth[rows, columns] > NEAREST_M) & (mask[rows, columns] != IGNORE)
    rows, columns = rows[usable], columns[usable]
    if not len(rows):
        return 0, 0
    pixels = np.stack([columns, rows], -1).astype(np.float64)
    rays = cv2.undistortPoints(pixels[:, None], matrix, distortion).reshape(-1, 2)
    points = np.column_stack([rays, np.ones(len(rays))]) * depth[rows, columns, None]
    motion = np.linalg.inv(earlier_pose) @ pose
    seen = points @ motion[:3, :3].T + motion[:3, 3]
    ahead = seen[:, 2] > NEAREST_M
    rows, columns, seen = rows[ahead], columns[ahead], seen[ahead]
    if not len(rows):
        return 0, 0
    projected = cv2.projectPoints(seen, np.zeros(3), np.zeros(3), matrix, distortion)[0].reshape(-1, 2)
    there = np.rint(np.clip(projected, -1e6, 1e6)).astype(np.int64)
    inside = (there >= 0).all(1) & (there[:, 0] < width) & (there[:, 1] < height)
    rows, columns, seen, there = rows[inside], columns[inside], seen[inside], there[inside]
    depth_there, class_there = earlier_depth[there[:, 1], there[:, 0]], earlier_mask[there[:, 1], there[:, 0]]
    same_place = np.abs(depth_there - seen[:, 2]) <= DEPTH_TOLERANCE * seen[:, 2]
    same_place &= class_there != IGNORE
    equal = (class_there == mask[rows, columns]) & same_place
    return int(equal.sum()), int(same_place.sum())


def _poses(messages: list[Any]) -> Poses:
    ordered = sorted(messages, key=_nanoseconds)
    where = [message.pose.pose for message in ordered]
    return Poses(
        np.array([_nanoseconds(message) for message in ordered], np.int64),
        np.array([[each.position.x, each.position.y, each.position.z] for each in where], np.float64),
        np.array([[getattr(each.orientation, axis) for axis in "xyzw"] for each in where], np.float64),
    )


def _matrix(position: Floats, quaternion: Floats) -> Floats:
    """4x4 from a position and a quaternion of any length but 0."""
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = position
    return pose


def _depth(message: Any) -> Floats:
    """Depths in metres of a depth image by REP 118: 32FC1 in metres, or 16 bits in millimetres."""
    if getattr(message, "encoding", "") == "32FC1":
        rows = np.frombuffer(message.data, np.uint8)[: message.height * message.step].reshape(message.height, -1)
        order = ">f4" if message.is_bigendian else "<f4"
        metres = np.ascontiguousarray(rows[:, : message.width * 4]).view(order).astype(np.float64)
        return np.where(np.isfinite(metres), metres, 0.0)
    values = decode_mask(message)
    if values.dtype != np.uint16:
        raise FrameError("found depth of 8 bits; record depth as 32FC1 or 16UC1")
    return values / 1000.0


def _nanoseconds(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
