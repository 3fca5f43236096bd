"""ROS, and DDS below it: what loads, which profile is used, and whether images fit into what carries them."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from xml.etree import ElementTree

from desert_seg import dds
from desert_seg.errors import DesertSegError
from desert_seg.share import share_directory
from desert_seg_train.doctor.finding import Finding, fault, fault_of, ok, warning
from desert_seg_train.doctor.probe import Answer

IMAGE_BYTES = 8 * 2**20
"""A segment of shared memory should hold this: an image of 1920x1080 in rgb8, and some."""

SOCKET_BYTES = 4 * 2**20
"""What a socket should be able to hold, for an image to get here from another computer."""

RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
"""The values of ROS_AUTOMATIC_DISCOVERY_RANGE."""


def ros(answer: Answer | None) -> Finding:
    """Whether rclpy loads; `answer` is its probe's, None where rclpy is not installed."""
    if answer is None:
        sourced = f" although {os.environ['ROS_DISTRO']} is sourced" if "ROS_DISTRO" in os.environ else ""
        cure = "source /opt/ros/DISTRO/setup.bash and use the Python that ROS uses, or run `make setup` in the checkout"
        return warning("ROS", f"this Python has no rclpy{sourced}; only the node, replay and demo need it", cure)
    if not answer.loaded:
        cure = "use the Python that the sourced ROS is made for; in a new shell, unset RMW_IMPLEMENTATION"
        return fault("ROS", f"{distribution()}, but rclpy does not load: {answer.text}", cure)
    return ok("ROS", f"{distribution()}, {answer.text}")


def distribution() -> str:
    """The ROS distribution that is sourced, or whose wheels are installed."""
    if "ROS_DISTRO" in os.environ:
        return f"{os.environ['ROS_DISTRO']}, sourced"
    spec = importlib.util.find_spec("rclpy")
    folder = Path(spec.origin).parent.parent if spec is not None and spec.origin else Path()
    found = (re.match(r"ros_(\w+)_rclpy-", path.name) for path in folder.glob("ros_*_rclpy-*.dist-info"))
    names = [match[1] for match in found if match]
    return f"{names[0]}, from wheels" if names else "unknown distribution"


def domain() -> Finding:
    """The domain, and how far discovery reaches."""
    try:
        number = dds.check_domain()
    except DesertSegError as error:
        return fault_of("ROS domain", error)
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    if reach and reach not in RANGES:
        found = f"ROS_AUTOMATIC_DISCOVERY_RANGE is {reach!r}, so the default counts"
        return warning("ROS domain", found, f"set it to one of: {', '.join(RANGES)}")
    if reach == "OFF":
        cure = "unset ROS_AUTOMATIC_DISCOVERY_RANGE, or set it to LOCALHOST or SUBNET"
        return warning("ROS domain", "ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: no node finds another", cure)
    alone = reach == "LOCALHOST" or os.environ.get("ROS_LOCALHOST_ONLY") == "1"
    return ok("ROS domain", f"{number}, {'this computer alone' if alone else 'the whole subnet'}")


def profile(answer: Answer | None) -> Finding:
    """Which profile Fast DDS takes, and whether there is something in it."""
    if answer is not None and answer.loaded and "fastrtps" not in answer.text:
        return ok("DDS profile", f"none of ours: it is for Fast DDS, and this is {answer.text}")
    chosen, variable = dds.chosen_by_user(), dds.profile_variable()
    if chosen is None:
        return _own_profile(variable)
    value = os.environ[chosen]
    if chosen == dds.TRANSPORTS:
        found, cure = dds.unknown_transports()
        if found:
            return warning("DDS profile", found, cure)
        return ok("DDS profile", f"none, as {chosen} is {value}")
    if answer is not None and variable not in os.environ:
        found = f"{chosen} is set, and the Fast DDS of this ROS reads {variable}"
        return warning("DDS profile", found, f"export {variable}={value}")
    return _read_profile(variable if variable in os.environ else chosen)


def _own_profile(variable: str) -> Finding:
    try:
        shipped = share_directory() / "config" / "fastdds_shm.xml"
    except DesertSegError as error:
        return fault_of("DDS profile", error)
    if not dds.has_room():
        return ok("DDS profile", "that of Fast DDS, as shared memory has no room for ours")
    export = f"export {variable}={shipped}"
    return ok("DDS profile", f"ours, which the node takes by itself; a camera driver is given it by {export}")


def _read_profile(variable: str) -> Finding:
    path = Path(os.environ[variable])
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except OSError as error:
        cure = f"correct {variable}, or unset it: the node then takes its own profile"
        return fault("DDS profile", f"{variable} names {path}, which cannot be read ({error.strerror})", cure)
    except ElementTree.ParseError as error:
        return fault("DDS profile", f"{path} is no XML ({error})", f"mend it, or unset {variable}")
    texts = [(each.text or "").strip() for each in root.findall(".//{*}segment_size")]
    sizes = [int(text) for text in texts if text.isdecimal()]
    if max(sizes, default=0) < IMAGE_BYTES:
        found = f"{path}, whose shared memory has no segment of {IMAGE_BYTES >> 20} MiB: images may be lost"
        return warning("DDS profile", found, f"set segment_size in it, or unset {variable} for ours")
    return ok("DDS profile", f"{path}, segments of {max(sizes) >> 20} MiB")


def shared_memory(folder: Path = dds.SHARED_MEMORY) -> Finding:
    """Whether there is room for images, and whether another user's segments are in the way."""
    cure = "in a container, --ipc=host or --shm-size=512m; else mount a tmpfs there"
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return warning("shared memory", f"{folder} is not there, or not writable: images go through sockets", cure)
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free <= dds.ROOM_BYTES:
        found = f"{free >> 20} MiB free in {folder}, expected more than {dds.ROOM_BYTES >> 20}: images may be lost"
        return warning("shared memory", found, f"remove what is left there (`fastdds shm clean`); {cure}")
    segments = [path for pattern in ("fastrtps_*", "fastdds_*") for path in folder.glob(pattern)]
    others = {path.stat().st_uid for path in segments if path.exists()} - {os.geteuid()}
    if others:
        found = f"{free >> 20} MiB free in {folder}, with segments of user {', '.join(map(str, sorted(others)))}, too"
        cure = (
            "run all nodes as one user: segments are closed to others; if none runs, `fastdds shm clean` as that user"
        )
        return warning("shared memory", found, cure)
    return ok("shared memory", f"{free >> 20} MiB free in {folder}")


def socket_buffers(folder: Path = Path("/proc/sys/net/core")) -> Finding:
    """Whether an image from another computer fits into a socket."""
    try:
        largest = int((folder / "rmem_max").read_text())
    except (OSError, ValueError):
        return ok("socket buffers", "this system does not tell")
    if largest < SOCKET_BYTES:
        found = f"at most {largest >> 10} KiB: raw images from another computer lose pieces"
        cure = f"sudo sysctl -w net.core.rmem_max={4 * SOCKET_BYTES} net.core.rmem_default={4 * SOCKET_BYTES}"
        return warning("socket buffers", found, f"{cure}, or send compressed images; on one computer, nothing")
    return ok("socket buffers", f"at most {largest >> 10} KiB")
