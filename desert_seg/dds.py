"""What DDS, over which ROS sends messages, is told by the environment, and the shared memory it finds here.

Reads variables and folders only; knows nothing of rclpy.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from desert_seg.errors import DesertSegError

MAX_DOMAIN_ID = 232
"""DDS has no UDP ports for higher ones."""

SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 64 * 2**20
"""Enough for the segments of a few processes."""

PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""The variables that name a profile: of Fast DDS 2, once Fast RTPS, and of Fast DDS 3."""

_CHOOSER = "rmw_implementation"
"""The package that chooses among the others."""

TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"

_TRANSPORTS = ("NONE", "DEFAULT", "DEFAULTv6", "SHM", "UDPv4", "UDPv6", "LARGE_DATA", "LARGE_DATAv6", "P2P")
"""Its values, up to Fast DDS 3; behind a question mark come options."""


def check_domain() -> int:
    """The ROS domain that the environment asks for.

    Raises:
        DesertSegError: There can be no such domain.
    """
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not domain.isdecimal() or int(domain) > MAX_DOMAIN_ID:
        raise DesertSegError(f"ROS_DOMAIN_ID is {domain!r}; it must be a number from 0 to {MAX_DOMAIN_ID}")
    return int(domain)


def check_middleware() -> None:
    """Check that the middleware that the environment asks for is installed.

    Raises:
        DesertSegError: It is not among those of the ament index.
    """
    wanted = os.environ.get("RMW_IMPLEMENTATION")
    prefixes = list(filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)))
    index = [Path(prefix, "share", "ament_index", "resource_index", "rmw_typesupport") for prefix in prefixes]
    installed = sorted({file.name for folder in index if folder.is_dir() for file in folder.iterdir()} - {_CHOOSER})
    if wanted and installed and wanted not in installed:
        raise DesertSegError(
            f"RMW_IMPLEMENTATION is {wanted!r}, and installed are {', '.join(installed)}; install "
            f"ros-$ROS_DISTRO-{wanted.replace('_', '-')}, or unset it"
        )


def chosen_by_user() -> str | None:
    """The variable by which the user has chosen a profile or transports; None if none is set."""
    return next((name for name in (*PROFILES, TRANSPORTS) if name in os.environ), None)


def unknown_transports() -> tuple[str, str]:
    """What is wrong with the transports that the user has chosen, and the cure; two empty texts if nothing is.

    Of a value that it does not know, Fast DDS says nothing where its log is compiled out, as in ROS.
    """
    value = os.environ.get(TRANSPORTS, "")
    if not value or value.partition("?")[0] in _TRANSPORTS:
        return "", ""
    found = f"{TRANSPORTS} is {value!r}, for which Fast DDS takes DEFAULT, without a word, unless it knows more names"
    return found, f"choose one of {', '.join(_TRANSPORTS)}, or unset it"


def profile_variable() -> str:
    """The variable from which the Fast DDS of this ROS takes a profile."""
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    is_2 = any(library for prefix in prefixes for library in Path(prefix, "lib").glob("libfastrtps.so*"))
    return PROFILES[0] if is_2 else PROFILES[1]


def has_room() -> bool:
    """Whether shared memory has room for segments that images fit into, which a container's often has not."""
    return SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ROOM_BYTES
