"""The model as the node uses it: a segmenter, and the painters of its masks and costs. Imports no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.painter import Painter
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.share import find_artifact
from desert_seg.traversability import CostPainter, class_costs
from desert_seg_ros.budget import Effort, efforts
from desert_seg_ros.parameters import NodeParameters


@dataclass(frozen=True)
class Model:
    """See the module; `path` is the artifact's folder."""

    path: Path
    segmenter: Segmenter
    painter: Painter
    costs: CostPainter

    @classmethod
    def load(cls, parameters: NodeParameters) -> Model:
        """Load and verify the artifact and build its engine; call `warm_up` before the first frame.

        Raises:
            DesertSegError: Any of that fails, or a suppressed class or one with a cost is not a class of the model.
        """
        path = find_artifact(parameters.artifact)
        policy = Path(parameters.traversability_policy) if parameters.traversability_policy else None
        segmenter = Segmenter.load(
            path,
            parameters.engine,
            parameters.device,
            parameters.precision,
            parameters.threads,
            parameters.self_test,
        )
        costs = CostPainter(segmenter.labels, class_costs(segmenter.labels, policy))
        model = cls(path, segmenter, Painter(segmenter.labels), costs)
        Settings.of(parameters, model)
        return model

    def warm_up(self, parameters: NodeParameters) -> None:
        """Run the engine once at every size it may be asked for."""
        settings = Settings.of(parameters, self)
        for effort in efforts(parameters.tta) if parameters.latency_budget_ms else (Effort(parameters.tta),):
            self.segmenter.warm_up(settings.options(effort, frozenset()))


@dataclass(frozen=True)
class Settings:
    """What frames are processed with; replaced as a whole, between two frames.

    Attributes:
        parameters: The node's.
        model: The model that processes them.
        bias: Score bias of the suppressed classes.
    """

    parameters: NodeParameters
    model: Model
    bias: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, parameters: NodeParameters, model: Model) -> Settings:
        """Resolve class names; raises DataError if a suppressed class is not one of the model's."""
        return cls(parameters, model, model.segmenter.suppress(parameters.suppressed()))

    def options(self, effort: Effort, wanted: frozenset[str]) -> SegmentOptions:
        """How to segment if some of the outputs `confidence`, `unknown` and `probabilities` are wanted."""
        top, left, bottom, right = self.parameters.region
        return SegmentOptions(
            views=effort.views,
            bias=self.bias,
            confidence_threshold=self.parameters.confidence_threshold,
            unknown_threshold=self.parameters.unknown_threshold or None,
            scale=effort.scale * self.model.segmenter.card.speeds[self.parameters.speed],
            region=(top, left, bottom, right),
            want_confidence="confidence" in wanted,
            want_unknown="unknown" in wanted,
            want_probabilities="probabilities" in wanted,
            not_finite_is_unknown=True,
        )
