"""From where a camera's frames were taken: the poses on `camera_pose` where they come, else the robot's transforms."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from desert_seg.smoothing import Viewpoint
from desert_seg_ros.messages import is_camera_matrix
from desert_seg_ros.qos_watch import QosWatch, subscription_events
from desert_seg_ros.transform_listener import TransformListener
from desert_seg_ros.transforms import Matrix, TransformError, matrix

TOLERANCE_NS = 50_000_000
"""A pose that is farther in time from a frame does not tell where the frame was taken."""

SKYWARD = 0.7
"""No camera of a vehicle looks up so steeply (the sine of its pitch): its axes are not those of an optical frame."""


class CameraPoses:
    """The attribute `problem` says why the last frame had no viewpoint though poses are meant to come; else empty."""

    def __init__(self, node: Node, topic: str, transforms: TransformListener | None, qos_watch: QosWatch) -> None:
        """Prepare; `subscribe` begins to listen.

        Args:
            node: Who listens.
            topic: Of the PoseStamped messages.
            transforms: Asked where no poses come; None = nothing is known then.
            qos_watch: Finds publishers of poses that cannot be heard.
        """
        self.problem = ""
        self._node, self._topic, self._transforms, self._qos_watch = node, topic, transforms, qos_watch
        self._poses: deque[PoseStamped] = deque(maxlen=200)
        self._subscription: Any = None

    def subscribe(self) -> None:
        """Begin to listen."""
        subscription = self._node.create_subscription(
            PoseStamped, self._topic, self._on_pose, 50, event_callbacks=subscription_events()
        )
        self._subscription = self._qos_watch.watched(subscription)

    def unsubscribe(self) -> None:
        """Stop listening, and forget everything."""
        if self._subscription is not None:
            self._qos_watch.forget(self._subscription)
            self._node.destroy_subscription(self._subscription)
        self._subscription, self.problem = None, ""
        self._poses.clear()

    def viewpoint(self, header: Any, info: Any, height_m: float) -> Viewpoint | None:
        """From where a frame was taken.

        Args:
            header: The frame's.
            info: The camera's CameraInfo; None if none has come.
            height_m: Of the camera over the ground.

        Returns:
            None where that is not known; `problem` says why, unless neither poses nor transforms are asked for.
        """
        poses = list(self._poses)
        self.problem = ""
        if not poses and self._transforms is None:
            return None
        try:
            if info is None or not info.width:
                raise TransformError("no calibration has come; publish camera_info with the intrinsics k")
            intrinsics = np.array(info.k, float).reshape(3, 3)
            if not is_camera_matrix(intrinsics):
                raise TransformError(
                    "camera_info has no camera matrix in K; run camera_calibration and publish its result"
                )
            if not info.roi.do_rectify and (info.roi.width or info.roi.height):
                raise TransformError("camera_info has a region of interest; have the driver publish the whole image")
            pose, world = self._from_messages(poses, header) if poses else self._from_transforms(header)
            if pose[2, 2] > SKYWARD:
                source = "camera_pose" if poses else f"frame {header.frame_id!r}"
                raise TransformError(
                    f"{source} looks at the sky; it must be the camera's optical frame (x right, y down, z forward) in "
                    "a world whose z is up"
                )
        except TransformError as error:
            self.problem = str(error)
            return None
        return Viewpoint(pose, intrinsics, (info.height, info.width), height_m, world)

    def _on_pose(self, message: PoseStamped) -> None:
        self._poses.append(message)

    def _from_messages(self, poses: list[PoseStamped], header: Any) -> tuple[Matrix, str]:
        """The pose nearest in time."""
        stamp_ns = _nanoseconds(header.stamp)
        nearest = min(poses, key=lambda pose: abs(_nanoseconds(pose.header.stamp) - stamp_ns))
        apart_ns = abs(_nanoseconds(nearest.header.stamp) - stamp_ns)
        if apart_ns > TOLERANCE_NS:
            raise TransformError(
                f"the pose on camera_pose nearest to the image is {apart_ns * 1e-9:.3f} s away from it, expected at "
                f"most {TOLERANCE_NS * 1e-9:g} s; publish poses more often, and with the same clock"
            )
        place, turn = nearest.pose.position, nearest.pose.orientation
        translation, rotation = (place.x, place.y, place.z), np.array([turn.x, turn.y, turn.z, turn.w])
        length = np.linalg.norm(rotation)
        if not np.isfinite(translation).all() or not 0 < length < np.inf:
            raise TransformError(
                f"a pose on camera_pose has position {translation} and orientation {tuple(rotation.tolist())}, "
                "expected finite numbers and a quaternion that is not 0; correct its publisher"
            )
        return matrix(translation, rotation / length), nearest.header.frame_id

    def _from_transforms(self, header: Any) -> tuple[Matrix, str]:
        assert self._transforms is not None
        pose = self._transforms.pose(header.frame_id, _nanoseconds(header.stamp), TOLERANCE_NS)
        return pose, self._transforms.world_frame


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)
