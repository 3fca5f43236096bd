"""Validation of a network in training, through the robot's own inference path.

Several processes share the frames and sum their counts, so that no frame counts twice.

Shape letters: N images, K classes, H, W input size, h, w decoder grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric

from desert_seg.artifact import ModelCard
from desert_seg.labels import LabelMap
from desert_seg.network import DeployedNetwork, SegmentationNetwork
from desert_seg.scoring import Confusion, Scores
from desert_seg.segmenter import Segmenter
from desert_seg_train.data.sources import Source


class NetworkEngine:
    """A network in memory as an inference engine; see `desert_seg.engines.engine.Engine`."""

    description = "torch, the network in training"

    def __init__(self, network: SegmentationNetwork, device: torch.device) -> None:
        self._network, self._device = DeployedNetwork(network), device

    @torch.inference_mode()
    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """NHW3 uint8 RGB to NKhw float32."""
        scores: npt.NDArray[np.float32] = self._network(torch.from_numpy(images).to(self._device)).cpu().numpy()
        return scores


def validate(
    fabric: Fabric,
    network: SegmentationNetwork,
    sources: Sequence[Source],
    input_size: tuple[int, int],
    label_map: LabelMap,
) -> Scores:
    """Segment every frame and score the masks at the frames' own size.

    Args:
        fabric: Processes that share the frames.
        network: Is left in evaluation mode.
        sources: The frames.
        input_size: (H, W) of the network's input.
        label_map: Its classes.
    """
    card = ModelCard("in training", asdict(network.config), input_size, label_map)
    segmenter = Segmenter(NetworkEngine(network, fabric.device), card, "")
    confusion = Confusion(len(label_map.labels))
    frames = [(source, index) for source in sources for index in range(len(source))]
    for source, index in frames[fabric.global_rank :: fabric.world_size]:
        sample = source[index]
        confusion.add(sample.target, segmenter.segment(sample.image).mask)
    counts = fabric.all_reduce(torch.from_numpy(confusion.counts).to(fabric.device), reduce_op="sum")
    assert isinstance(counts, torch.Tensor)
    return Confusion.of(counts.cpu().numpy()).scores()
