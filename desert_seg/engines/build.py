"""Builds one engine by name. A backend is imported only when it is needed."""

from __future__ import annotations

from desert_seg.artifact import Artifact
from desert_seg.engines.engine import ENGINES, Engine, is_installed
from desert_seg.errors import EngineError
from desert_seg.machine import ensure_home


def build_engine(artifact: Artifact, engine: str, device: str, precision: str, threads: int) -> Engine:
    """Build an engine by name.

    Arguments and errors are those of `choose_engine`, but `auto` is not an engine.
    """
    if not is_installed(engine):
        others = [name for name in ENGINES[1:] if is_installed(name)]
        raise EngineError(
            f"engine {engine} needs the package {engine}, which is not installed; pip install {engine}"
            + (f", or use {' or '.join(others)}" if others else "")
        )
    ensure_home()  # which OpenVINO looks for as it is imported
    if engine == "torch":
        from desert_seg.engines.torch import torch_engine

        return torch_engine(artifact, device, precision, threads)
    if engine == "onnxruntime":
        from desert_seg.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(artifact, device, precision, threads)
    if device == "cuda":
        raise EngineError("OpenVINO has no CUDA device; choose engine torch for device cuda, or device cpu")
    from desert_seg.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(artifact, precision, threads)
