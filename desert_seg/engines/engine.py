"""What an engine is, and how one is chosen for this machine.

An engine maps a frame at network size to class scores on the decoder's grid. It knows nothing of views, masks,
labels or ROS; normalisation and channel layout are inside the graph it runs.
"""

from __future__ import annotations

import importlib.util
from typing import Protocol

import numpy as np
import numpy.typing as npt

from desert_seg.artifact import Artifact
from desert_seg.errors import EngineError

ENGINES = ("auto", "openvino", "torch")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "f32", "bf16")


class Engine(Protocol):
    """Runs one network on one device."""

    description: str
    """For people: backend, precision, device."""

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Score a batch.

        Args:
            images: NHW3 uint8 RGB, contiguous, writable; H and W multiples of 32. The first call with a new size is
                slow.

        Returns:
            NKhw float32 scores; valid until the next call.
        """
        ...


def create_engine(
    artifact: Artifact, engine: str = "auto", device: str = "auto", precision: str = "auto", threads: int = 0
) -> Engine:
    """Build an engine for an artifact.

    Args:
        artifact: A verified artifact.
        engine: One of `ENGINES`. `auto`: torch if a CUDA device is to be had, else OpenVINO, else torch.
        device: One of `DEVICES`. `auto`: CUDA if torch sees one and the engine is not OpenVINO.
        precision: One of `PRECISIONS`. `auto`: bf16 where the device computes in it, except torch on a CPU.
        threads: CPU threads, 0 = as many as there are cores.

    Raises:
        EngineError: A name is unknown, a package is missing, or the device is not there.
    """
    for name, value, allowed in (
        ("engine", engine, ENGINES),
        ("device", device, DEVICES),
        ("precision", precision, PRECISIONS),
    ):
        if value not in allowed:
            raise EngineError(f"there is no {name} {value!r}; choose one of: {', '.join(allowed)}")
    if engine == "auto":
        engine = _best_engine(device)
    if not _is_installed(engine):
        other = "torch" if engine == "openvino" else "openvino"
        raise EngineError(
            f"engine {engine} needs the package {engine}, which is not installed; pip install {engine}, or use {other}"
        )
    if engine == "torch":
        from desert_seg.engines.torch import TorchEngine

        return TorchEngine(artifact, device, precision, threads)
    if device == "cuda":
        raise EngineError("OpenVINO has no CUDA device; choose engine torch for device cuda, or device cpu")
    from desert_seg.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(artifact, precision, threads)


def _best_engine(device: str) -> str:
    """Torch where a CUDA device is wanted and there, else OpenVINO, else whatever is installed."""
    if device == "cuda":
        return "torch"
    if device == "auto" and _is_installed("torch"):
        import torch

        if torch.cuda.is_available():
            return "torch"
    return "openvino" if _is_installed("openvino") or not _is_installed("torch") else "torch"


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
