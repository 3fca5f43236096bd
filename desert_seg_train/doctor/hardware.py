"""Processor, memory, GPU, disk, caches and terminal."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import tempfile
from pathlib import Path

from desert_seg.engines.engine import is_installed
from desert_seg.machine import accelerator, cache_root, has_cuda_driver, processor
from desert_seg_train.doctor.finding import Finding, fault, ok, warning
from desert_seg_train.doctor.probe import Answer, Probe

MEMORY_BYTES = 2**30
"""The node with its model takes less than half of this."""

DISK_BYTES = 2**30
"""The room below which a recording or a training does not get far."""

PCI = Path("/sys/bus/pci/devices")


def cpu() -> Finding:
    """The processor, what of it we may use, and how busy it is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0]
    found = f"{processor()}, {cores} of them ours; load {load:.1f}"
    if load > 2 * cores:
        return warning("processor", found, "see in `top` what takes the cores: masks come late beside it")
    return ok("processor", found)


def memory(file: Path = Path("/proc/meminfo")) -> Finding:
    """Whether a model fits in."""
    try:
        pairs = (line.split(":", 1) for line in file.read_text().splitlines())
        available = {name: int(rest.split()[0]) << 10 for name, rest in pairs}["MemAvailable"]
    except (OSError, ValueError, KeyError):
        return ok("memory", "this system does not tell")
    found = f"{available >> 20} MiB available"
    if available < MEMORY_BYTES:
        return warning("memory", found, "end other programs: the node takes about 400 MiB, a training several GiB")
    return ok("memory", found)


def start_gpu() -> Probe | None:
    """Begin to ask torch for the GPU, where both are there."""
    return Probe("torch") if has_cuda_driver() and is_installed("torch") else None


def gpu(answer: Answer | None, pci: Path = PCI) -> Finding:
    """The GPU, its driver, and whether torch can use it; `answer` is torch's, None where it was not asked."""
    if not has_cuda_driver():
        if not _has_nvidia_hardware(pci):
            return ok("GPU", "none of NVIDIA's; engines run on the processor")
        cure = "install NVIDIA's driver (Ubuntu: sudo ubuntu-drivers install); in a container, run it with --gpus all"
        return warning("GPU", "there is an NVIDIA GPU, and no driver (libcuda.so.1)", cure)
    found = f"{accelerator()}, driver {_driver_version()}"
    if answer is None:
        cure = "pip install '.[train]' in the checkout, which brings torch, or pip install onnxruntime-gpu"
        return warning("GPU", f"{found}; torch, which uses it, is not installed", cure)
    if not answer.loaded:
        cure = "install the torch that this driver can run: https://pytorch.org/get-started/locally"
        return warning("GPU", f"{found}; {answer.text}", cure)
    return ok("GPU", f"{answer.text}, driver {_driver_version()}")


def _has_nvidia_hardware(pci: Path) -> bool:
    for device in pci.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False


def _driver_version() -> str:
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        return "of unknown version"


def disk() -> Finding:
    """Room here and for temporary files."""
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:
        cure = "set TMPDIR to a folder that has room and may be written to"
        return fault("disk", "there is no folder for temporary files", cure)
    places = {"here": Path.cwd(), f"in {temporary}": temporary}
    free = {place: shutil.disk_usage(path).free for place, path in places.items()}
    found = ", ".join(f"{amount / 2**30:.1f} GiB free {place}" for place, amount in free.items())
    if min(free.values()) < DISK_BYTES:
        return warning("disk", found, "free some, or work in another folder (--out, TMPDIR)")
    return ok("disk", found)


def cache() -> Finding:
    """Whether the engines' choice and compiled graphs are kept from one start to the next."""
    root = cache_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        found = f"{root} cannot be written: every start takes a second or two longer"
        return warning("cache", found, "set XDG_CACHE_HOME to a folder that can be written to")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    return ok("cache", f"{size >> 20} MiB in {root}; it may be deleted, the next start then takes longer")


def terminal() -> Finding:
    """What can be printed, and whether a window can be opened."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    display = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    found = f"{encoding}, {'a' if display else 'no'} display for windows"
    if codecs.lookup(encoding).name != "utf-8":
        return warning("terminal", f"{found}: some characters are replaced", "export LC_ALL=C.UTF-8")
    return ok("terminal", found)
