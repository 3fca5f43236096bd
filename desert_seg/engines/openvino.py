"""OpenVINO on CPU cores: the engine of a robot without a GPU. Runs the artifact's ONNX graph."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import openvino

from desert_seg.artifact import Artifact
from desert_seg.engines.engine import backend_errors, choose_precision, graph_file, score_one_by_one
from desert_seg.errors import EngineError
from desert_seg.machine import cache_folder
from desert_seg.rounding import BF16_BITS, round_keeping_sums


class OpenVinoEngine:
    """Compiles the graph once per input size; compiled graphs are cached in the user's cache folder."""

    def __init__(self, artifact: Artifact, precision: str = "auto", threads: int = 0) -> None:
        """Read the graph.

        Args:
            artifact: A verified artifact with an ONNX graph.
            precision: `auto`, `f32`, `bf16` or `int8`; `auto` is bf16 where the CPU computes in it and the artifact's
                parity report does not refuse it, else f32. What an int8 graph keeps in floating point runs in f32.
            threads: CPU threads, 0 = all.

        Raises:
            EngineError: The artifact has no ONNX graph for the precision, OpenVINO cannot read it, or the CPU has no
                bf16.
        """
        self._core = shared_core()
        has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not has_bf16:
            raise EngineError("this CPU does not compute in bf16; choose precision auto, f32 or int8")
        precision = choose_precision(artifact, "openvino", precision, ("bf16", "f32") if has_bf16 else ("f32",))
        self.precision = precision
        self._options = {
            # OpenVINO would pick bf16 silently where the CPU has it, so the choice is always stated.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            **_cache(),
            **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
        }
        self._graph = graph_file(artifact, precision)
        with backend_errors(f"{self._graph}: OpenVINO cannot read it", "export the model again, or use another engine"):
            self._model = self._core.read_model(self._graph)
            if precision == "bf16":
                _round_depthwise_weights(self._model)
        self._requests: dict[tuple[int, ...], openvino.InferRequest] = {}
        self.description = f"openvino {precision} on cpu, {threads or 'all'} threads"

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`."""
        what = f"{self._graph}: OpenVINO cannot run it on a frame of {images.shape[1]}x{images.shape[2]}"
        with backend_errors(what, "export the model again, or use another engine"):
            return score_one_by_one(images, self._infer)

    def _infer(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        request = self._requests.get(image.shape)
        if request is None:
            self._model.reshape(image.shape)
            compiled = self._core.compile_model(self._model, "CPU", self._options)
            request = self._requests[image.shape] = compiled.create_infer_request()
        request.infer({0: openvino.Tensor(image, shared_memory=True)})
        scores: npt.NDArray[np.float32] = request.get_output_tensor().data
        return scores


@functools.cache
def shared_core() -> openvino.Core:
    """OpenVINO's runtime, one for the whole process and never ended.

    Each sets the alternate stack on which signals are handled, and ending one sets that of the one before, whose memory
    may be gone: after the first of two had ended and then the second, the next signal killed the process (2026.4).
    """
    return openvino.Core()


def _cache() -> dict[str, str]:
    """The option that keeps compiled graphs; none where there is no place to write, as in some containers."""
    folder = cache_folder("openvino")
    return {} if folder is None else {"CACHE_DIR": str(folder)}


def _round_depthwise_weights(model: openvino.Model) -> None:
    """Round to bf16 what OpenVINO would round to nearest; see `desert_seg.rounding` for the difference it makes."""
    for operation in model.get_ops():
        if operation.get_type_name() != "GroupConvolution":
            continue
        weights = operation.input_value(1).get_node()
        while weights.get_type_name() in ("Convert", "Reshape"):
            weights = weights.input_value(0).get_node()
        if weights.get_type_name() == "Constant":
            rounded = round_keeping_sums(weights.data, BF16_BITS).astype(weights.data.dtype)
            weights.output(0).replace(openvino.op.Constant(rounded).output(0))
