"""PyTorch on CUDA or CPU: the engine of a robot with a GPU. Builds the network and loads the artifact's weights.

The CUDA path is the CPU path with another device and bf16 autocast; it has not run on the project's own machines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from desert_seg.artifact import Artifact
from desert_seg.engines.engine import choose_precision
from desert_seg.errors import ArtifactError, EngineError
from desert_seg.network import DeployedNetwork, NetworkConfig, SegmentationNetwork
from desert_seg.rounding import BF16_BITS, round_keeping_sums


class TorchEngine:
    """Runs the network eagerly in channels_last."""

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
            EngineError: CUDA is asked for and torch sees no CUDA device, or int8 is asked for.
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
        if self._bf16:
            _round_depthwise_weights(network)
        deployed = DeployedNetwork(network).to(self._device)
        self._network = deployed.to(memory_format=torch.channels_last)
        self.description = f"torch {precision} on {self._device.type}"

    @torch.inference_mode()
    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `desert_seg.engines.engine.Engine.scores`."""
        batch = torch.from_numpy(images).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            scores = self._network(batch)
        result: npt.NDArray[np.float32] = scores.contiguous().cpu().numpy()
        return result


def _round_depthwise_weights(network: SegmentationNetwork) -> None:
    """Round to bf16 what torch would round to nearest; see `desert_seg.rounding` for the difference it makes."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.groups > 1:
            module.weight.data = torch.from_numpy(round_keeping_sums(module.weight.detach().numpy(), BF16_BITS))
