"""What a process needs to use ROS: rclpy, a valid domain, and shared memory that images fit into."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from desert_seg.errors import DesertSegError

MAX_DOMAIN_ID = 232
"""DDS has no UDP ports for higher ones."""


SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 64 * 2**20
"""Enough for the segments of a few processes."""


def require_ros() -> None:
    """Check that ROS can be started here.

    Raises:
        DesertSegError: rclpy does not load, or ROS_DOMAIN_ID is impossible.
    """
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not domain.isdecimal() or int(domain) > MAX_DOMAIN_ID:
        raise DesertSegError(f"ROS_DOMAIN_ID is {domain!r}; it must be a number from 0 to {MAX_DOMAIN_ID}")
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise DesertSegError(
            f"ROS 2's Python library does not load ({error}); source a ROS 2 installation, or run `make setup`"
        ) from error


def split_ros_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and those of `ros2 run` and launch files for rclpy: all from `--ros-args` on."""
    end = arguments.index("--ros-args") if "--ros-args" in arguments else len(arguments)
    return list(arguments[:end]), list(arguments[end:])


def start_ros(arguments: Sequence[str], **options: Any) -> None:
    """Start ROS in this process.

    Args:
        arguments: For rclpy, from `--ros-args` on.
        options: Of `rclpy.init`.

    Raises:
        DesertSegError: ROS does not understand the arguments, or does not start.
    """
    import rclpy

    try:
        rclpy.init(args=list(arguments), **options)
    except (RuntimeError, ValueError) as error:  # what rclpy raises is of one of these, by whatever name
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise DesertSegError(
            f"ROS did not start ({found}); write what follows --ros-args as -r FROM:=TO for topics, -p NAME:=VALUE for "
            "parameters or --params-file FILE"
        ) from error


def use_dds_profile(profile: Path) -> None:
    """Give this process and its children Fast DDS's shared-memory profile, unless the user has chosen otherwise.

    Without it the default shared-memory segment is smaller than a camera frame or a mask, and many are lost. If shared
    memory has no room for it, as in many containers, nothing is changed.
    """
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    is_chosen = any(name in os.environ for name in (*names, "FASTDDS_BUILTIN_TRANSPORTS"))
    if not is_chosen and SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ROOM_BYTES:
        os.environ[names[0] if _has_fast_dds_2() else names[1]] = str(profile)


def _has_fast_dds_2() -> bool:
    """Whether this ROS has Fast DDS 2, once Fast RTPS, whose environment variables still have that name."""
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    return any(library for prefix in prefixes for library in Path(prefix, "lib").glob("libfastrtps.so*"))
