"""What this machine is, and where results are cached on it."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
from pathlib import Path

_log = logging.getLogger(__name__)


def cache_folder(name: str) -> Path | None:
    """A folder in the user's cache, by the XDG base directory specification; it is made if need be.

    Where there is none, as in some containers, it is None, and said once.
    """
    folder = cache_root() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _say_not_kept(cache_root().parent, error.strerror)
        return None
    return folder


def cache_root() -> Path:
    """Where all caches of ours are; the folder need not exist."""
    ensure_home()
    given = Path(os.environ.get("XDG_CACHE_HOME") or ".")  # one that is not absolute is to be ignored
    return (given if given.is_absolute() else Path.home() / ".cache") / "desert_seg"


def ensure_home() -> None:
    """Give a user without a home, as containers have them, the home that Docker gives: libraries fail without one."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


@functools.cache
def _say_not_kept(cache: Path, reason: str) -> None:
    """Warn, once for each folder and reason, that nothing is kept from one start to the next."""
    _log.warning(
        "what was worked out cannot be kept, so that every start takes a second or two longer (%s: %s); set "
        "XDG_CACHE_HOME to a folder that can be written to",
        cache,
        reason,
    )


def processor() -> str:
    """The processor's model name and number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{next(names, platform.processor() or 'unknown processor')}, {os.cpu_count()} cores"


def accelerator() -> str:
    """The names of the NVIDIA devices, or `no GPU`; read from the driver's files, so no library is loaded."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(encoding="utf-8").splitlines()
        names += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model")]
    try:  # a Jetson's device is part of its chip
        board = Path("/proc/device-tree/model").read_text(encoding="utf-8").strip("\0")
    except OSError:
        board = ""
    return ", ".join(names) or (board if "Jetson" in board else "no GPU")


def has_cuda_driver() -> bool:
    """Whether NVIDIA's driver can be loaded; without it there is no CUDA device, with it there may be one."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
