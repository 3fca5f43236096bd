"""PyTorch on CUDA or CPU: the engine of a robot with a GPU. Builds the network and loads the artifact's weights.

Both devices run the same network: convolutions fused with the batch norms behind them, in channels_last, with bf16
weights where bf16 is asked for. On CUDA each input size becomes one graph of kernels that is replayed from pinned
memory, and the scores stay there; that part has not run on the project's own machines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
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


def torch_engine(
    artifact: Artifact, device: str = "auto", precision: str = "auto", threads: int = 0
) -> TorchEngine | CudaEngine:
    """Build the network on a device and load its weights.

    Args:
        artifact: A verified artifact with safetensors weights.
        device: `auto`, `cpu` or `cuda`.
        precision: `auto`, `f32` or `bf16`; `auto` is bf16 on CUDA, unless the artifact's parity report refuses it, and
            f32 on a CPU.
        threads: CPU threads of this process, 0 = torch's default.

    Raises:
        ArtifactError: The weights do not fit the network the artifact describes.
        EngineError: CUDA is asked for and torch sees no CUDA device, int8 is asked for, or bf16 on a CPU that does not
            compute in it.
    """
    if precision == "int8":
        raise EngineError(
            "engine torch has no int8; choose engine openvino or onnxruntime for it, or another precision"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("device cuda was asked for but torch sees no CUDA device; choose device cpu or auto")
    cuda = device != "cpu" and torch.cuda.is_available()
    precision = choose_precision(artifact, "torch", precision, ("bf16", "f32") if cuda else ("f32",))
    if precision == "bf16" and not cuda and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        # torch would run it all the same, without oneDNN's convolutions, at a sixteenth of the speed of f32.
        raise EngineError("this CPU does not compute in bf16; choose precision auto or f32")
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
    """Replays one graph of kernels for every input size, and leaves the scores on the device."""

    device_type = "cuda"

    def __init__(self, artifact: Artifact, precision: str) -> None:
        super().__init__(artifact, precision)
        self._graphs: dict[tuple[int, ...], _CudaGraph] = {}

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`."""
        return np.asarray(self.device_scores(images).cpu(), np.float32)

    def device_scores(self, images: npt.NDArray[np.uint8]) -> Tensor:
        """See `desert_seg.engines.engine.DeviceEngine.device_scores`."""
        with self._run_errors(images):
            graph = self._graphs.get(images.shape)
            if graph is None:
                graph = self._graphs[images.shape] = _CudaGraph.capture(self._score, torch.from_numpy(images))
            return graph.replay(torch.from_numpy(images))


@dataclass(frozen=True)
class _CudaGraph:
    """One input size: all its kernels launched at once, from and into buffers that stay where they are."""

    graph: torch.cuda.CUDAGraph
    pinned_input: Tensor
    input: Tensor
    output: Tensor

    @classmethod
    def capture(cls, score: Callable[[Tensor], Tensor], batch: Tensor) -> _CudaGraph:
        """Run a few times on another stream, as capturing requires, then record."""
        on_device = batch.cuda()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                score(on_device)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = score(on_device)
        return cls(graph, torch.empty_like(batch).pin_memory(), on_device, output)

    def replay(self, batch: Tensor) -> Tensor:
        """NHW3 uint8 to NKhw float32 on the device, valid until the next call."""
        self.pinned_input.copy_(batch)
        self.input.copy_(self.pinned_input, non_blocking=True)
        self.graph.replay()
        torch.cuda.current_stream().synchronize()  # the next frame writes into the pinned memory
        return self.output


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
