"""What this machine is, and where results are cached on it."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path


def cache_folder() -> Path:
    """This project's folder in the user's cache; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "desert_seg"


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
