"""What a process needs to use ROS: rclpy, a valid domain, and shared memory that images fit into."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from desert_seg.dds import check_domain, chosen_by_user, has_room, profile_variable
from desert_seg.errors import DesertSegError


def require_ros() -> None:
    """Check that ROS can be started here.

    Raises:
        DesertSegError: rclpy does not load, or ROS_DOMAIN_ID is impossible.
    """
    check_domain()
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
        cure = security_cure(found) or (
            "write what follows --ros-args as -r FROM:=TO for topics, -p NAME:=VALUE for parameters or "
            "--params-file FILE"
        )
        raise DesertSegError(f"ROS did not start ({found}); {cure}") from error


def security_cure(found: str) -> str:
    """What helps where ROS did not start because of SROS 2, by what it said; empty if it was something else."""
    if "security libraries" in found:
        return "use a ROS whose Fast DDS is built with security, as apt's is, or unset ROS_SECURITY_ENABLE"
    if "security" in found.lower():
        return (
            "make the enclave with `ros2 security create_enclave`, and give its path with --enclave and the keystore's "
            "in ROS_SECURITY_KEYSTORE"
        )
    return ""


def use_dds_profile(profile: Path) -> None:
    """Give this process and its children Fast DDS's shared-memory profile, unless the user has chosen otherwise.

    Without it the default shared-memory segment is smaller than a camera frame or a mask, and many are lost. If shared
    memory has no room for it, as in many containers, nothing is changed.
    """
    if chosen_by_user() is None and has_room():
        os.environ[profile_variable()] = str(profile)
