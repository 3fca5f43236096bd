"""What a process needs to use ROS: rclpy, a valid domain, and shared memory that images fit into."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from desert_seg.dds import (
    PROFILES,
    check_domain,
    check_middleware,
    chosen_by_user,
    has_room,
    profile_variable,
    unknown_transports,
)
from desert_seg.errors import DesertSegError

_log = logging.getLogger(__name__)


def require_ros() -> None:
    """Check that ROS can be started here.

    Raises:
        DesertSegError: rclpy does not load, ROS_DOMAIN_ID is impossible, or RMW_IMPLEMENTATION is not installed.
    """
    check_domain()
    check_middleware()  # rclpy would end the process
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
        cure = security_cure(found) or start_cure(found)
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


def start_cure(found: str) -> str:
    """What helps where ROS did not start, by what it said."""
    return next((cure for words, cure in _START_CURES.items() if words in found), _ARGUMENTS)


def node_cure(found: str) -> str:
    """What helps where ROS started and its node did not, by what it said."""
    return _NAMESPACE if "namespace" in found else "check ROS_DOMAIN_ID and the network set-up"


_NAMESPACE = "begin a namespace with /, end it with none, and use letters, digits and _ only, like -r __ns:=/front"
_ARGUMENTS = (
    "write what follows --ros-args as -r FROM:=TO for topics, -p NAME:=VALUE for parameters or --params-file FILE"
)
_START_CURES = {
    "initialize logging": "set ROS_LOG_DIR to a folder that can be written to",
    "Error opening YAML file": "give --params-file the path of a file that exists",
    "Error: No value": "write a value behind every name in the file, or leave its line out",
    "should be of same type": "write the items of a list in the file alike, all as texts or all as numbers",
    "Couldn't parse params file": (
        "write the file as config/segment.yaml is: the node's name or /**, below it ros__parameters, below that the "
        "parameters, each two blanks further in"
    ),
    "Couldn't parse log level": "choose debug, info, warn, error or fatal, like --log-level debug",
    "__ns:=": _NAMESPACE,
    "__node:=": "use letters, digits and _ only, like -r __node:=front",
    "Couldn't parse remap rule": "use letters, digits, _ and / only, no / at the end, like -r image:=/camera/image_raw",
    "Couldn't parse parameter override rule": (
        "write -p NAME:=VALUE with a name of those in docs/reference/parameters.md, like -p image_transport:=compressed"
    ),
    "['": f"{_ARGUMENTS}, and the command's own options before --ros-args",
    "surrogates not allowed": "choose a locale of UTF-8, like export LC_ALL=C.UTF-8",
}
"""By a part of what ROS says, the first that fits."""


def use_dds_profile(profile: Path) -> None:
    """Give this process and its children Fast DDS's shared-memory profile, unless the user has chosen otherwise.

    Without it the default shared-memory segment is smaller than a camera frame or a mask, and many are lost. If shared
    memory has no room for it, as in many containers, nothing is changed. Transports that Fast DDS does not know are
    warned of.

    Raises:
        DesertSegError: The user has chosen a profile that is not there or no XML; Fast DDS would go on without.
    """
    for name in filter(os.environ.get, PROFILES):
        if not Path(os.environ[name]).is_file():
            raise DesertSegError(f"{name} is {os.environ[name]!r}, and there is no such file; correct or unset it")
        try:
            ElementTree.parse(os.environ[name])
        except (ElementTree.ParseError, OSError) as error:
            raise DesertSegError(
                f"{name} is {os.environ[name]!r}, which is no profile in XML ({error}); correct or unset it"
            ) from error
    found, cure = unknown_transports()
    if found and "fastrtps" in os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"):
        _log.warning("warning: %s; %s", found, cure)
    if chosen_by_user() is None and has_room():
        os.environ[profile_variable()] = str(profile)
