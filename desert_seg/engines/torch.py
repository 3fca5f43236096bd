"""PyTorch on CUDA or CPU: the engine of a robot with a GPU. Builds the network and loads the artifact's weights.

Both devices run the same network: convolutions fused with the batch norms behind them, in channels_last, with bf16
weights where bf16 is asked for. On CUDA each input size becomes one graph of kernels that is replayed from and into
pinned memory; that part has not run on the project's own machines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

from desert_seg.artifact import Artifact
from desert_seg.engines.engine import choose_precision
from desert_seg.errors import ArtifactError, EngineError
from desert_seg.network import DeployedNetwork, NetworkConfig, SegmentationNetwork
from desert_seg.rounding import BF16_BITS, round_keeping_sums

_WARM_UP_RUNS = 3


class TorchEngine:
    """Runs the network in channels_last."""

    def __init__(self, artifact: Artifact, device: str = "auto", precision: str = "auto", threads: int = 0) -> None:
        """Build the network and load its weights.

        Args:
            artifact: A verified artifact with safetensors weights.
            device: `auto`, `cpu` or `cuda`.
            precision: `auto`, `f32` or `bf16`; `auto` is bf16 on CUDA, unless the artifact's parity report refuses it,
                and f32 on a CPU.
            threads: CPU threads of this process, 0 = torch's default.

        Raises:
            ArtifactError: The weights do not fit the network the artifact describes.
            EngineError: CUDA is asked for and torch sees no CUDA device, int8 is asked for, or bf16 on a CPU that does
                not compute in it.
        """
        if precision == "int8":
            raise EngineError(
                "engine torch has no int8; choose engine openvino or onnxruntime for it, or another precision"
            )
        if device == "cuda" and not torch.cuda.is_available():
            raise EngineError("device cuda was asked for but torch sees no CUDA device; choose device cpu or auto")
        cuda = device != "cpu" and torch.cuda.is_available()
        self._device = torch.device("cuda" if cuda else "cpu")
        precision = choose_precision(artifact, "torch", precision, ("bf16", "f32") if cuda else ("f32",))
        if precision == "bf16" and not cuda and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            # torch would run it all the same, without oneDNN's convolutions, at a sixteenth of the speed of f32.
            raise EngineError("this CPU does not compute in bf16; choose precision auto or f32")
        self._bf16 = precision == "bf16"
        if threads:
            torch.set_num_threads(threads)
        network = SegmentationNetwork(NetworkConfig(**artifact.card.network))
        try:
            network.model.load_state_dict(load_file(artifact.weights))
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ArtifactError(
                f"{artifact.weights}: does not fit the network ({reason}); export the model again"
            ) from error
        deployed = DeployedNetwork(_without_batch_norms(network, rounded=self._bf16)).to(self._device)
        self._network = deployed.to(memory_format=torch.channels_last)
        self._graphs: dict[torch.Size, _CudaGraph] = {}
        self.description = f"torch {precision} on {self._device.type}"

    @torch.inference_mode()
    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`."""
        batch = torch.from_numpy(images)
        if self._device.type == "cpu":
            return np.asarray(self._score(batch), np.float32)
        graph = self._graphs.get(batch.shape)
        if graph is None:
            graph = self._graphs[batch.shape] = _CudaGraph.capture(self._score, batch, self._device)
        return graph.replay(batch)

    def _score(self, batch: Tensor) -> Tensor:
        """NHW3 uint8 on the device to NKhw float32, contiguous."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            scores: Tensor = self._network(batch)
        return scores.contiguous()


@dataclass(frozen=True)
class _CudaGraph:
    """One input size: all its kernels launched at once, from and into buffers that stay where they are."""

    graph: torch.cuda.CUDAGraph
    pinned_input: Tensor
    input: Tensor
    output: Tensor
    pinned_output: Tensor

    @classmethod
    def capture(cls, score: Callable[[Tensor], Tensor], batch: Tensor, device: torch.device) -> _CudaGraph:
        """Run a few times on another stream, as capturing asks for, then record."""
        on_device = batch.to(device)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                score(on_device)
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = score(on_device)
        pinned_output = torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
        return cls(graph, torch.empty_like(batch).pin_memory(), on_device, output, pinned_output)

    def replay(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """NHW3 uint8 to NKhw float32, valid until the next call."""
        self.pinned_input.copy_(batch)
        self.input.copy_(self.pinned_input, non_blocking=True)
        self.graph.replay()
        self.pinned_output.copy_(self.output, non_blocking=True)
        torch.cuda.current_stream(self.output.device).synchronize()
        return np.asarray(self.pinned_output, np.float32)


def _without_batch_norms(network: SegmentationNetwork, rounded: bool) -> SegmentationNetwork:
    """Fold batch norms into the convolutions before them, and bring the weights to bf16 if they are to be rounded.

    A network that torch.fx cannot follow keeps its batch norms; that costs time, not accuracy.
    """
    network.eval()
    network.model.requires_divisible_input_shape = False  # a check of the input's size, which cannot be followed
    with contextlib.suppress(TraceError):
        network.model = fuse(network.model)
    if rounded:
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                _round_weights(module)
    return network


def _round_weights(convolution: torch.nn.Conv2d) -> None:
    """Once and for all, where autocast would in every pass; see `desert_seg.rounding` for those of few inputs."""
    if convolution.groups > 1:
        weights = round_keeping_sums(convolution.weight.detach().numpy(), BF16_BITS)
        convolution.weight.data = torch.from_numpy(weights)
    convolution.bfloat16()
