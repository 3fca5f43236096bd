"""A network in memory behind the protocol of engines, so that it goes through the robot's own inference path."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from desert_seg.network import DeployedNetwork, SegmentationNetwork


class NetworkEngine:
    """See `desert_seg.engines.engine.Engine`."""

    description, precision = "torch, the network in training", "f32"

    def __init__(self, network: SegmentationNetwork, device: torch.device) -> None:
        self._network, self._device = DeployedNetwork(network), device

    @torch.inference_mode()
    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """NHW3 uint8 RGB to NKhw float32."""
        scores: npt.NDArray[np.float32] = self._network(torch.from_numpy(images).to(self._device)).cpu().numpy()
        return scores
