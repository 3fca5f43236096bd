"""Validation of a network in training, through the robot's own inference path.

Several processes share the frames and sum their counts, so that no frame counts twice.

Shape letters: N images, K classes, H, W input size, h, w decoder grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import torch
from lightning_fabric import Fabric

from desert_seg.artifact import ModelCard
from desert_seg.labels import LabelMap
from desert_seg.network import SegmentationNetwork
from desert_seg.scoring import Confusion, Scores
from desert_seg.segmenter import Segmenter
from desert_seg_train.data.sources import Source
from desert_seg_train.network_engine import NetworkEngine


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
