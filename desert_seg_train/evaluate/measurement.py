"""The result of one pass over a labelled folder: counts, from which every number is computed.

No number needs a second pass over the folder. Knows nothing of files, models or pages.

Shape letters: N frames, K classes, B bands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from desert_seg.scoring import Confusion, Scores, mean_iou
from desert_seg_train.evaluate.boundary import BoundaryCounts
from desert_seg_train.evaluate.reliability import Reliability

NUM_BANDS = 8
"""Horizontal bands of equal height that a frame is cut into; the ground in the lower ones is nearer."""

WORST_SHARE = 0.05
"""Of the frames, by their own mIoU."""

STAGES = ("resize", "inference", "decode", "total")
"""Of a frame: to network size; all views through the engine; scores to mask and confidence; all of it."""

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Setting:
    """How the frames of a pass were segmented: with which views, without which classes, at which input size.

    The input size is relative to the model's own, above 0.
    """

    views: str = "none"
    suppressed: tuple[str, ...] = ()
    scale: float = 1.0

    @property
    def name(self) -> str:
        """For people."""
        size = "" if self.scale == 1.0 else f"{self.scale**2:.2g} x the pixels"
        views = f"views {self.views}" if self.views != "none" else "" if size else "single view"
        without = f"without {', '.join(self.suppressed)}" if self.suppressed else ""
        return ", ".join(filter(None, (views, size, without)))


@dataclass(frozen=True)
class Measurement:
    """One pass over a folder.

    Attributes:
        setting: How the frames were segmented.
        names: N file stems.
        sizes: N pairs of width and height, pixels.
        confusions: NxKx(K+1) int64, see `desert_seg.scoring.count`.
        beside: Kx(K+1) int64 of all frames under other readings of the same masks, by label map.
        bands: BxKx(K+1) int64 of all frames, topmost band first.
        boundary: Along the outlines.
        reliability: By confidence.
        latency_ms: Nx4 milliseconds, the stages of `STAGES`.
    """

    setting: Setting
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    confusions: npt.NDArray[np.int64]
    beside: Mapping[str, npt.NDArray[np.int64]]
    bands: npt.NDArray[np.int64]
    boundary: BoundaryCounts
    reliability: Reliability
    latency_ms: npt.NDArray[np.float64]

    @cached_property
    def total(self) -> npt.NDArray[np.int64]:
        """Kx(K+1) int64: the confusion of all frames together."""
        return np.asarray(self.confusions.sum(0))

    @cached_property
    def scores(self) -> Scores:
        """Of all frames together."""
        return Confusion.of(self.total).scores()

    @cached_property
    def band_scores(self) -> tuple[Scores, ...]:
        """Of each band, topmost first."""
        return tuple(Confusion.of(counts).scores() for counts in self.bands)

    @cached_property
    def frame_miou(self) -> npt.NDArray[np.float64]:
        """N mean IoUs, each over the classes present in that frame's truth; NaN for a frame without a scored pixel."""
        return mean_iou(self.confusions)

    @cached_property
    def worst(self) -> tuple[int, ...]:
        """Places of the worst frames, worst first: `WORST_SHARE` of them, at least one."""
        scored = np.flatnonzero(~np.isnan(self.frame_miou))
        order = scored[np.argsort(self.frame_miou[scored], kind="stable")]
        return tuple(order[: math.ceil(len(scored) * WORST_SHARE)].tolist())

    @property
    def worst_miou(self) -> float:
        """Mean of the worst frames' own mIoUs, 0..1."""
        return float(self.frame_miou[list(self.worst)].mean())

    @property
    def absent(self) -> tuple[int, ...]:
        """Classes that the truth does not hold."""
        return tuple(np.flatnonzero(self.total.sum(1) == 0).tolist())

    def latency(self, stage: str, percentile: float) -> float:
        """A percentile of a stage's times, milliseconds."""
        return float(np.percentile(self.latency_ms[:, STAGES.index(stage)], percentile))

    def cost(self, other: Measurement) -> float:
        """Time of a frame over that of the same frame in another pass of the same run, median over frames."""
        total = STAGES.index("total")
        return float(np.median(self.latency_ms[:, total] / other.latency_ms[:, total]))
