"""The model that an adaptation begins with, as networks to teach and as segmenters to judge."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

import torch

from desert_seg.artifact import Artifact, ModelCard
from desert_seg.labels import LabelMap
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.segmenter import Segmenter
from desert_seg_train.network_engine import NetworkEngine
from desert_seg_train.train.start import start_network


@dataclass(frozen=True)
class Start:
    """The model, and the classes that it is to have afterwards."""

    artifact: Artifact
    label_map: LabelMap

    @property
    def keeps_classes(self) -> bool:
        """False if the last layer is replaced."""
        return self.artifact.card.label_map.labels.names == self.label_map.labels.names

    def network(self) -> SegmentationNetwork:
        """A network with the model's weights."""
        card, labels = self.artifact.card.network, self.label_map.labels
        config = NetworkConfig(**{**card, "num_classes": len(labels)})
        return start_network(config, str(self.artifact.path), labels)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The model as it is."""
        return Segmenter.load(self.artifact.path, engine="torch", precision="f32")

    def segmenter_of(self, network: SegmentationNetwork) -> Segmenter:
        """A taught network, run as the model is."""
        before = self.artifact.card
        calibration = before.calibration if self.keeps_classes else None  # so that both are as sure by the same measure
        card = ModelCard("adapted", asdict(network.config), before.input_size, self.label_map, calibration=calibration)
        return Segmenter(NetworkEngine(network, torch.device("cpu")), card, "")
