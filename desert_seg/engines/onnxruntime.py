"""ONNX Runtime: any CPU, and NVIDIA GPUs through its CUDA and TensorRT providers. Runs the artifact's ONNX graph.

The GPU providers are chosen and configured here but have not run on the project's own machines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from desert_seg.artifact import Artifact
from desert_seg.engines.engine import backend_errors, choose_precision, graph_file, score_one_by_one
from desert_seg.errors import EngineError
from desert_seg.machine import cache_folder

_LOG_ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """One session for all input sizes."""

    def __init__(self, artifact: Artifact, device: str = "auto", precision: str = "auto", threads: int = 0) -> None:
        """Build the session.

        Args:
            artifact: A verified artifact with an ONNX graph.
            device: `auto`, `cpu` or `cuda`; `auto` is CUDA where the installed ONNX Runtime has a provider for it.
            precision: `auto`, `f32` or `int8`; `auto` is f32.
            threads: CPU threads, 0 = all.

        Raises:
            EngineError: bf16 is asked for, the artifact has no graph for the precision, ONNX Runtime cannot read it, or
                CUDA is not available.
        """
        if precision == "bf16":
            raise EngineError(
                "engine onnxruntime has no bf16; choose precision f32 or int8, or engine openvino or torch"
            )
        precision = choose_precision(artifact, "onnxruntime", precision, ("f32",))
        self.precision, self._graph = precision, graph_file(artifact, precision)
        available = onnxruntime.get_available_providers()
        cuda = device != "cpu" and "CUDAExecutionProvider" in available
        if device == "cuda" and not cuda:
            raise EngineError(
                f"device cuda needs ONNX Runtime's CUDA provider, found only {', '.join(available)}; "
                "pip install onnxruntime-gpu in place of onnxruntime, or choose device cpu"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _LOG_ERRORS_ONLY
        # Threads that spin while they wait take the cores from the rest of the robot, and gain nothing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [*(_gpu_providers(available, precision) if cuda else []), "CPUExecutionProvider"]
        what, cure = f"{self._graph}: ONNX Runtime cannot read it", "export the model again, or use another engine"
        with backend_errors(what, cure):
            self._session = onnxruntime.InferenceSession(self._graph, options, providers=providers)
        in_use = self._session.get_providers()
        if device == "cuda" and in_use == ["CPUExecutionProvider"]:
            raise EngineError(
                "device cuda was asked for but ONNX Runtime could not start its CUDA provider; check the driver and "
                "the CUDA libraries, or choose device cpu"
            )
        name = in_use[0].removesuffix("ExecutionProvider").lower()
        self.description = f"onnxruntime {precision} on {name}" + (
            f", {threads or 'all'} threads" if name == "cpu" else ""
        )

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`."""
        what = f"{self._graph}: ONNX Runtime cannot run it on a frame of {images.shape[1]}x{images.shape[2]}"
        with backend_errors(what, "export the model again, or use another engine"):
            return score_one_by_one(images, self._infer)

    def _infer(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        scores: npt.NDArray[np.float32] = self._session.run(None, {"image": image})[0]
        return scores


def _gpu_providers(available: list[str], precision: str) -> list[tuple[str, dict[str, Any]]]:
    """TensorRT where it is installed, which once builds an engine for minutes and caches it; then CUDA."""
    tensorrt: dict[str, Any] = {"trt_int8_enable": precision == "int8"}
    if "TensorrtExecutionProvider" in available and (folder := cache_folder("tensorrt")) is not None:
        tensorrt |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}
    providers: list[tuple[str, dict[str, Any]]] = [
        ("TensorrtExecutionProvider", tensorrt),
        ("CUDAExecutionProvider", {"use_tf32": 0}),  # TF32 would be less than f32
    ]
    return [provider for provider in providers if provider[0] in available]
