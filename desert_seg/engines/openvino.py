"""OpenVINO on CPU cores: the engine of a robot without a GPU. Runs the artifact's ONNX graph."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino

from desert_seg.artifact import Artifact
from desert_seg.errors import EngineError


class OpenVinoEngine:
    """Compiles the graph once per input size; compiled graphs are cached in the user's cache folder."""

    def __init__(self, artifact: Artifact, precision: str = "auto", threads: int = 0) -> None:
        """Read the graph.

        Args:
            artifact: A verified artifact with an ONNX graph.
            precision: `auto`, `f32` or `bf16`; `auto` is bf16 where the CPU computes in it.
            threads: CPU threads, 0 = all.

        Raises:
            EngineError: The artifact has no ONNX graph, or the CPU has no bf16.
        """
        if not artifact.onnx.is_file():
            raise EngineError(
                f"{artifact.path}: found no {artifact.onnx.name}; export the artifact again, or use torch"
            )
        self._core = openvino.Core()
        has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not has_bf16:
            raise EngineError("this CPU does not compute in bf16; choose precision auto or f32")
        # OpenVINO would pick bf16 silently where the CPU has it, so the choice is always stated.
        precision = ("bf16" if has_bf16 else "f32") if precision == "auto" else precision
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "desert_seg" / "openvino"
        self._options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "CACHE_DIR": str(cache),
            **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
        }
        self._model = self._core.read_model(artifact.onnx)
        self._requests: dict[tuple[int, ...], openvino.InferRequest] = {}
        self.description = f"openvino {precision} on cpu, {threads or 'all'} threads"

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`; one image after the other, a CPU gains nothing from batches."""
        if len(images) == 1:
            return self._infer(images)
        return np.concatenate([self._infer(images[i : i + 1]).copy() for i in range(len(images))])

    def _infer(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        request = self._requests.get(image.shape)
        if request is None:
            self._model.reshape(image.shape)
            compiled = self._core.compile_model(self._model, "CPU", self._options)
            request = self._requests[image.shape] = compiled.create_infer_request()
        request.infer({0: openvino.Tensor(image, shared_memory=True)})
        scores: npt.NDArray[np.float32] = request.get_output_tensor().data
        return scores
