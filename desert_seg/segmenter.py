"""The inference path: an RGB frame in, a class mask at the frame's own size out.

Robot, command line and evaluation all call `Segmenter.segment`, so a number measured offline is the number of
the robot. Knows nothing of ROS, files or training.

Shape letters: K classes, H, W frame size.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.artifact import ModelCard, load_artifact
from desert_seg.decode import confidence, decode
from desert_seg.engines.engine import Engine, create_engine
from desert_seg.labels import IGNORE
from desert_seg.views import fuse, view_set


@dataclass(frozen=True)
class SegmentOptions:
    """What may change from frame to frame.

    Attributes:
        views: Name of a view set of `desert_seg.views`.
        bias: K values added to the class scores, or None; see `suppress`.
        confidence_threshold: Pixels with a lower confidence (0..1) become `IGNORE`.
        want_confidence: Compute `Segmentation.confidence` even if no threshold needs it.
    """

    views: str = "none"
    bias: npt.NDArray[np.float32] | None = None
    confidence_threshold: float = 0.0
    want_confidence: bool = False


@dataclass(frozen=True)
class Segmentation:
    """The result for one frame.

    Attributes:
        mask: HxW uint8, class indices, `IGNORE` = unknown.
        confidence: HxW uint8, 0..255 for probability 0..1, 0 where the mask is `IGNORE`; None if not asked for.
        resize_ms: Time to bring the frame, and those it was batched with, to network size.
        inference_ms: Time of the batch in the engine, all views.
        decode_ms: Time from scores to mask and confidence.
    """

    mask: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None
    resize_ms: float
    inference_ms: float
    decode_ms: float


class Segmenter:
    """A model ready to run."""

    def __init__(self, engine: Engine, card: ModelCard, digest: str) -> None:
        self.engine, self.card, self.digest = engine, card, digest
        self.labels = card.label_map.labels

    @classmethod
    def load(
        cls,
        artifact: str | Path,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
    ) -> Segmenter:
        """Verify an artifact and build an engine for it; see `create_engine` for the arguments.

        Raises:
            ArtifactError: The artifact is missing or damaged.
            EngineError: The engine cannot be had.
        """
        loaded = load_artifact(artifact)
        return cls(create_engine(loaded, engine, device, precision, threads), loaded.card, loaded.digest)

    def segment(self, rgb: npt.NDArray[np.uint8], options: SegmentOptions = SegmentOptions()) -> Segmentation:
        """Segment one frame.

        Args:
            rgb: HxWx3 uint8 RGB of any size.
            options: What may change from frame to frame.

        Raises:
            DesertSegError: The view set does not exist.
        """
        return self.segment_batch([rgb], options)[0]

    def segment_batch(
        self, frames: Sequence[npt.NDArray[np.uint8]], options: SegmentOptions = SegmentOptions()
    ) -> list[Segmentation]:
        """Segment frames, of one camera or of several, in one call of the engine.

        Args:
            frames: At least one HxWx3 uint8 RGB frame; their sizes may differ.
            options: The same for all.

        Returns:
            A result for each frame, in order.

        Raises:
            DesertSegError: The view set does not exist.
        """
        views = view_set(options.views)
        started = time.perf_counter()
        images = [self._to_network_size(rgb) for rgb in frames]
        resized = time.perf_counter()
        scores = fuse(images, views, self.engine.scores)
        inferred = time.perf_counter()
        times = (resized - started) * 1e3, (inferred - resized) * 1e3
        return [self._decode(planes, rgb, options, times) for planes, rgb in zip(scores, frames, strict=True)]

    def _decode(
        self,
        scores: npt.NDArray[np.float32],
        rgb: npt.NDArray[np.uint8],
        options: SegmentOptions,
        times: tuple[float, float],
    ) -> Segmentation:
        size = (rgb.shape[0], rgb.shape[1])
        started = time.perf_counter()
        mask = decode(scores, size, options.bias)
        certainty = None
        if options.want_confidence or options.confidence_threshold > 0:
            certainty = confidence(scores, size, options.bias)
            mask[certainty < round(options.confidence_threshold * 255)] = IGNORE
            certainty[mask == IGNORE] = 0
        return Segmentation(mask, certainty, *times, (time.perf_counter() - started) * 1e3)

    def warm_up(self, views: str = "none") -> None:
        """Run one black frame through every view, so that the first real frame is not slow."""
        self.segment(np.zeros((*self.card.input_size, 3), np.uint8), SegmentOptions(views, want_confidence=True))

    def suppress(self, names: Collection[str]) -> npt.NDArray[np.float32] | None:
        """Bias that removes classes by name, for `SegmentOptions.bias`; None for no names.

        Raises:
            DataError: A name is not a class of this model.
        """
        if not names:
            return None
        bias = np.zeros(len(self.labels), np.float32)
        bias[[self.labels.index(name) for name in names]] = -np.inf
        return bias

    def _to_network_size(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        height, width = self.card.input_size
        if rgb.shape[:2] == (height, width):
            return np.require(rgb, requirements=["C", "W"])  # engines take no read-only memory
        # Averaging over the area keeps thin things when shrinking by much; near 1:1 it equals linear and is slower.
        shrink = max(rgb.shape[0] / height, rgb.shape[1] / width)
        how = cv2.INTER_AREA if shrink > 1.5 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)
