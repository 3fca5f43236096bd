"""PyTorch on CUDA or CPU: the engine of a robot with a GPU. Builds the network and loads the artifact's weights.

Both devices run the same network: convolutions fused with the batch norms behind them, in channels_last, with bf16
weights where bf16 is asked for. On CUDA each input size becomes one graph of kernels that is replayed from pinned
memory, and the scores stay there; that part has not run on a GPU yet. `make gpu` runs it.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

from desert_seg.artifact import Artifact
from desert_seg.engines.engine import backend_errors, choose_precision
from desert_seg.errors import ArtifactError, EngineError
from desert_seg.network import DeployedNetwork, NetworkConfig, SegmentationNetwork
from desert_seg.rounding import BF16_BITS, round_keeping_sums

_WARM_UP_RUNS = 3

_capturing = threading.Lock()
"""One capture at a time in a process, as torch demands: each begins by waiting for the device, which breaks another."""


def torch_engine(
    artifact: Artifact, device: str = "auto", precision: str = "auto", threads: int = 0
) -> TorchEngine | CudaEngine:
    """Build the network on a device and load its weights.

    Args:
        artifact: A verified artifact with safetensors weights.
        device: `auto`, `cpu` or `cuda`.
        precision: `auto`, `f32` or `bf16`; `auto` is bf16 on a GPU that computes in it, unless the artifact's parity
            report refuses it, else f32.
        threads: CPU threads of this process, 0 = torch's default.

    Raises:
        ArtifactError: The weights do not fit the network the artifact describes.
        EngineError: CUDA is asked for and torch sees no CUDA device, int8 is asked for, or bf16 on a processor or GPU
            that does not compute in it.
    """
    if precision == "int8":
        raise EngineError(
            "engine torch has no int8; choose engine openvino or onnxruntime for it, or another precision"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("device cuda was asked for but torch sees no CUDA device; choose device cpu or auto")
    cuda = device != "cpu" and torch.cuda.is_available()
    has_bf16 = _gpu_computes_in_bf16() if cuda else bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    precision = choose_precision(artifact, "torch", precision, ("bf16", "f32") if cuda and has_bf16 else ("f32",))
    if precision == "bf16" and not has_bf16:
        # torch would run it all the same, on a CPU without oneDNN's convolutions at a sixteenth of the speed of f32.
        raise EngineError(f"this {'GPU' if cuda else 'CPU'} does not compute in bf16; choose precision auto or f32")
    if threads:
        torch.set_num_threads(threads)
    return (CudaEngine if cuda else TorchEngine)(artifact, precision)


class TorchEngine:
    """Runs the network in channels_last on a CPU."""

    device_type = "cpu"

    def __init__(self, artifact: Artifact, precision: str) -> None:
        """Build the network; `precision` is `f32` or `bf16`. Raises ArtifactError if the weights do not fit it."""
        self.precision, self._bf16, self._weights = precision, precision == "bf16", artifact.weights
        network = SegmentationNetwork(NetworkConfig(**artifact.card.network))
        try:
            network.model.load_state_dict(load_file(artifact.weights))
        except (OSError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ArtifactError(
                f"{artifact.weights}: does not fit the network ({reason}); export the model again"
            ) from error
        deployed = DeployedNetwork(_without_batch_norms(network, rounded=self._bf16)).to(self.device_type)
        self._network = deployed.to(memory_format=torch.channels_last)
        self.description = f"torch {precision} on {self.device_type}"

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`."""
        with self._run_errors(images):
            return np.asarray(self._score(torch.from_numpy(images)), np.float32)

    def _run_errors(self, images: npt.NDArray[np.uint8]) -> contextlib.AbstractContextManager[None]:
        what = f"{self._weights}: torch cannot run the network on a frame of {images.shape[1]}x{images.shape[2]}"
        return backend_errors(what, "export the model again, or use another engine")

    @torch.inference_mode()
    def _score(self, batch: Tensor) -> Tensor:
        """NHW3 uint8 on the device to NKhw float32, contiguous."""
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            scores: Tensor = self._network(batch)
        return scores.contiguous()


class CudaEngine(TorchEngine):
    """Replays one graph of kernels for every input size, and leaves the scores on the device.

    The graphs share one pool of memory, so that many sizes need no more of it than the largest: a graph may overwrite
    the scores of another, which are valid only until the next call. They are captured on one stream, as sharing asks.
    """

    device_type = "cuda"

    def __init__(self, artifact: Artifact, precision: str) -> None:
        with backend_errors(f"{artifact.weights}: torch cannot bring the network to the GPU", "use device cpu"):
            super().__init__(artifact, precision)
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()
        self._graphs: dict[tuple[int, ...], _CudaGraph] = {}

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`."""
        return np.asarray(self.device_scores(images).cpu(), np.float32)

    @torch.inference_mode()  # whoever calls: a buffer that is made in this mode cannot be written to outside of it
    def device_scores(self, images: npt.NDArray[np.uint8]) -> Tensor:
        """See `desert_seg.engines.engine.DeviceEngine.device_scores`."""
        with self._run_errors(images):
            graph = self._graphs.get(images.shape)
            if graph is None:
                graph = self._graphs[images.shape] = self._capture(torch.from_numpy(images))
            return graph.replay(torch.from_numpy(images))

    def _capture(self, batch: Tensor) -> _CudaGraph:
        """Record the kernels for batches of this shape, after a few runs on the same stream, as capturing requires.

        Only this thread's calls are restricted meanwhile, because another may be segmenting with the model before.
        """
        with _capturing, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 is float32
            pinned = torch.empty(batch.shape, dtype=torch.uint8, pin_memory=True)
            on_device = batch.to(self.device_type)
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UP_RUNS):
                    self._score(on_device)
            torch.cuda.current_stream().wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                output = self._score(on_device)
        return _CudaGraph(graph, pinned, on_device, output)


@dataclass(frozen=True)
class _CudaGraph:
    """One input size: all its kernels launched at once, from and into buffers that stay where they are."""

    graph: torch.cuda.CUDAGraph
    pinned_input: Tensor
    input: Tensor
    output: Tensor

    def replay(self, batch: Tensor) -> Tensor:
        """NHW3 uint8 to NKhw float32 on the device, valid until the next call of the engine."""
        self.pinned_input.copy_(batch)
        self.input.copy_(self.pinned_input, non_blocking=True)
        self.graph.replay()
        torch.cuda.current_stream().synchronize()  # the next frame writes into the pinned memory
        return self.output


def _gpu_computes_in_bf16() -> bool:
    """Whether the GPU has units for it: from compute capability 8 on; older ones emulate it, slowly."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _without_batch_norms(network: SegmentationNetwork, rounded: bool) -> SegmentationNetwork:
    """Fold batch norms into the convolutions before them, and bring the weights to bf16 if they are to be rounded.

    A network that torch.fx cannot trace keeps its batch norms; that costs time, not accuracy.
    """
    network.eval()
    network.model.requires_divisible_input_shape = False  # a check of the input's size, which cannot be traced
    with contextlib.suppress(TraceError):
        network.model = fuse(network.model)
    if rounded:
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                _round_weights(module)
    return network


def _round_weights(convolution: torch.nn.Conv2d) -> None:
    """Round once, where autocast would in every pass; see `desert_seg.rounding` for depthwise convolutions."""
    if convolution.groups > 1:
        weights = round_keeping_sums(convolution.weight.detach().numpy(), BF16_BITS)
        convolution.weight.data = torch.from_numpy(weights)
    convolution.bfloat16()
