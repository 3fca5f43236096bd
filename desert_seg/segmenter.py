"""The inference path: an RGB frame in, a class mask at the frame's own size out.

Robot, command line and evaluation all call `Segmenter.segment`, so a number measured offline is the number of
the robot. Knows nothing of ROS, files or training.

Shape letters: K classes, H, W frame size.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.artifact import ModelCard, load_artifact
from desert_seg.calibration import Calibration, describe
from desert_seg.decode import confidence, decode, enlarge, not_finite, probabilities
from desert_seg.engines.choice import choose_engine
from desert_seg.engines.engine import DeviceEngine, Engine, check_scores
from desert_seg.errors import EngineError
from desert_seg.labels import IGNORE
from desert_seg.views import SIZE_MULTIPLE, View, fuse, view_set

if TYPE_CHECKING:
    from torch import Tensor

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The region that is a whole frame."""


@dataclass(frozen=True)
class SegmentOptions:
    """What may change from frame to frame.

    Attributes:
        views: Name of a view set of `desert_seg.views`.
        bias: K values added to the class scores, or None; see `Segmenter.suppress`.
        confidence_threshold: Pixels with a lower confidence (0..1) become `IGNORE`.
        unknown_threshold: Score above which terrain is unknown; None = the artifact's.
        scale: Network input size relative to the artifact's, above 0; sizes are rounded to multiples of 32.
        region: Top, left, bottom and right of the part that is segmented, 0..1 of the frame; the rest is `IGNORE`.
        want_confidence: Compute `Segmentation.confidence` even if no threshold needs it.
        want_unknown: Compute `Segmentation.unknown`.
        want_probabilities: Compute `Segmentation.probabilities`.
        not_finite_is_unknown: Pixels whose scores are not finite become `IGNORE` and are counted, so that a robot can
            go on; otherwise they are an error.
    """

    views: str = "none"
    bias: npt.NDArray[np.float32] | None = None
    confidence_threshold: float = 0.0
    unknown_threshold: float | None = None
    scale: float = 1.0
    region: tuple[float, float, float, float] = WHOLE
    want_confidence: bool = False
    want_unknown: bool = False
    want_probabilities: bool = False
    not_finite_is_unknown: bool = False


@dataclass(frozen=True)
class ScoredFrame:
    """A frame that has been scored but not decoded.

    Attributes:
        planes: Khw float32 scores, views fused, valid until the network's next call: an array, or a tensor on the
            device of an engine that leaves them there.
        image: The network's input, uint8 RGB.
        size: (H, W) of the frame.
        window: Rows and columns of the frame that were scored.
        resize_ms: Time to bring the frame, and those it was batched with, to network size.
        inference_ms: Time of the batch in the engine, all views.
        not_finite: hw, true where the scores were not finite; the planes are 0 there. None if all were.
    """

    planes: npt.NDArray[np.float32] | Tensor
    image: npt.NDArray[np.uint8]
    size: tuple[int, int]
    window: tuple[slice, slice]
    resize_ms: float
    inference_ms: float
    not_finite: npt.NDArray[np.bool_] | None = None

    @cached_property
    def scores(self) -> npt.NDArray[np.float32]:
        """`planes` as an array; copied from the device once, on first use."""
        return self.planes if isinstance(self.planes, np.ndarray) else np.asarray(self.planes.cpu(), np.float32)


@dataclass(frozen=True)
class Segmentation:
    """The result for one frame; what was not asked for is None.

    Attributes:
        mask: HxW uint8, class indices, `IGNORE` = unknown.
        confidence: HxW uint8, 0..255 for probability 0..1, 0 where the mask is `IGNORE`.
        resize_ms: Time to bring the frame, and those it was batched with, to network size.
        inference_ms: Time of the batch in the engine, all views.
        decode_ms: Time from scores to all that is here.
        unknown: HxW uint8, 255 = terrain the model does not know, also outside the region; else 0. Without a threshold
            only what the mask has as `IGNORE`.
        probabilities: HxWxK float32, 0..1, 0 outside the region and where scores were not finite.
        num_not_finite: Pixels that are `IGNORE` because their scores were not finite.
    """

    mask: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None
    resize_ms: float
    inference_ms: float
    decode_ms: float
    unknown: npt.NDArray[np.uint8] | None = None
    probabilities: npt.NDArray[np.float32] | None = None
    num_not_finite: int = 0


class Segmenter:
    """A model ready to run."""

    def __init__(self, engine: Engine, card: ModelCard, digest: str) -> None:
        self.engine, self.card, self.digest = engine, card, digest
        self.labels = card.label_map.labels
        self.calibration = card.calibration or Calibration()
        self._warm: set[tuple[str, tuple[int, int]]] = set()

    @classmethod
    def load(
        cls,
        artifact: str | Path,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        self_test: bool = True,
    ) -> Segmenter:
        """Verify an artifact, build an engine for it, and try it on one frame, which makes the next ones fast.

        Args:
            artifact: Its folder.
            engine: See `choose_engine`, as for the next three.
            device: See there.
            precision: See there.
            threads: See there.
            self_test: Compare the result of that frame with the artifact's self-test, if it has one.

        Raises:
            ArtifactError: The artifact is missing or damaged.
            EngineError: The engine cannot be had or cannot run the graph, its scores are not finite or not those of
                the artifact's classes, or it misses the bar of its precision on the self-test.
        """
        loaded = load_artifact(artifact)
        segmenter = cls(choose_engine(loaded, engine, device, precision, threads), loaded.card, loaded.digest)
        if not self_test or loaded.self_test is None:
            segmenter.warm_up()
            return segmenter
        mask = segmenter._run_everything(loaded.self_test.frame, SegmentOptions()).mask
        if missed := loaded.self_test.shortfall(mask, segmenter.engine.precision):
            raise EngineError(
                f"{loaded.path}: on {segmenter.engine.description} {missed}; use another engine or precision, or "
                "export the model again"
            )
        return segmenter

    def segment(self, rgb: npt.NDArray[np.uint8], options: SegmentOptions = SegmentOptions()) -> Segmentation:
        """Segment one frame.

        Args:
            rgb: HxWx3 uint8 RGB of any size.
            options: What may change from frame to frame.

        Raises:
            DesertSegError: The view set does not exist.
            EngineError: Scores are not finite, and the options do not allow for it.
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
            EngineError: Scores are not finite, and the options do not allow for it.
        """
        return [self.decode(scored, options) for scored in self.score(frames, options)]

    def score(self, frames: Sequence[npt.NDArray[np.uint8]], options: SegmentOptions) -> list[ScoredFrame]:
        """Frames to low-resolution scores: the first half of `segment_batch`, with the same arguments and errors."""
        views = view_set(options.views)
        started = time.perf_counter()
        windows = [_window(rgb, options.region) for rgb in frames]
        size = self.network_size(options)
        images = [_resized(rgb[window], size) for rgb, window in zip(frames, windows, strict=True)]
        resized = time.perf_counter()
        scores = self._fused(images, views)
        check_scores(scores, images, len(self.labels), f"{self.card.name}: on {self.engine.description}")
        times = (resized - started) * 1e3, (time.perf_counter() - resized) * 1e3
        checked = [self._finite(planes, options) for planes in scores]
        return [
            ScoredFrame(planes, image, (rgb.shape[0], rgb.shape[1]), window, *times, lost)
            for (planes, lost), image, rgb, window in zip(checked, images, frames, windows, strict=True)
        ]

    def _finite(
        self, planes: npt.NDArray[np.float32] | Tensor, options: SegmentOptions
    ) -> tuple[npt.NDArray[np.float32] | Tensor, npt.NDArray[np.bool_] | None]:
        """Scores Khw with 0 where they were not finite, and where that was; raises EngineError if it is not allowed."""
        lost = _not_finite(planes)
        if lost is None:
            return planes, None
        if not options.not_finite_is_unknown:
            raise EngineError(
                f"{self.engine.description} gave scores that are not finite for {lost.mean():.1%} of a frame, expected "
                f"numbers; run {self.card.name} on another engine or at another precision, or use another model"
            )
        return _without(planes, lost), lost

    def _fused(
        self, images: Sequence[npt.NDArray[np.uint8]], views: tuple[View, ...]
    ) -> npt.NDArray[np.float32] | Tensor:
        """NKhw scores of images of network size, where the engine leaves them."""
        if isinstance(self.engine, DeviceEngine):
            from desert_seg import device

            return device.fuse(images, views, self.engine.device_scores)
        return fuse(images, views, self.engine.scores)

    def decode(self, scored: ScoredFrame, options: SegmentOptions) -> Segmentation:
        """The second half of `segment_batch`: scores to a mask of the frame's size, and what else is wanted."""
        started = time.perf_counter()
        rows, columns = scored.window
        size = (rows.stop - rows.start, columns.stop - columns.start)
        mask = _mask(scored.planes, size, options.bias)
        temperature = self.calibration.temperature
        certainty = unknown = likely = lost = None
        if scored.not_finite is not None:  # every pixel that is interpolated from such a cell is lost
            lost = enlarge(scored.not_finite.astype(np.float32), size) > 0
            mask[lost] = IGNORE
        if options.want_confidence or options.confidence_threshold > 0:
            certainty = _certainty(scored.planes / temperature, size, options.bias)
            mask[certainty < round(options.confidence_threshold * 255)] = IGNORE
            certainty[mask == IGNORE] = 0
        if options.want_unknown:
            unknown = self._unknown(scored.scores, mask, options.unknown_threshold)
        if options.want_probabilities:
            likely = probabilities(scored.scores / np.float32(temperature), size, options.bias)
            if lost is not None:
                likely[lost] = 0.0
        if size != scored.size:
            mask = _framed(mask, scored, IGNORE)
            certainty = None if certainty is None else _framed(certainty, scored, 0)
            unknown = None if unknown is None else _framed(unknown, scored, 255)
            likely = None if likely is None else _framed(likely, scored, 0.0)
        times = scored.resize_ms, scored.inference_ms, (time.perf_counter() - started) * 1e3
        num_lost = 0 if lost is None else int(np.count_nonzero(lost))
        return Segmentation(mask, certainty, *times, unknown, likely, num_lost)

    def _unknown(
        self, scores: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8], threshold: float | None
    ) -> npt.NDArray[np.uint8]:
        threshold = self.calibration.unknown_threshold if threshold is None else threshold
        unknown = cv2.compare(mask, np.full_like(mask, IGNORE), cv2.CMP_EQ)
        if threshold is not None:
            plane = enlarge(self.calibration.unknown(scores), (mask.shape[0], mask.shape[1]))
            unknown[plane > threshold] = 255
        return np.asarray(unknown, np.uint8)

    def domain_shift(self, scored: ScoredFrame) -> float | None:
        """How unlike the frames that the model knows this one is; 1 = as their 95th percentile.

        None if that was never measured, or if scores of the frame were not finite.
        """
        frames = self.calibration.frames
        if frames is None or scored.not_finite is not None:
            return None
        return frames.shift(describe(scored.image, scored.scores))

    def network_size(self, options: SegmentOptions) -> tuple[int, int]:
        """(H, W) of the network's input, multiples of 32."""
        top, left, bottom, right = options.region
        height, width = self.card.input_size
        return _multiple(height * options.scale * (bottom - top)), _multiple(width * options.scale * (right - left))

    def warm_up(self, options: SegmentOptions = SegmentOptions()) -> None:
        """Run one black frame through every view to every output, so that no real frame is slow or the first to fail.

        Nothing is done where a frame has been run so before, at this size and with these views.

        Raises:
            EngineError: Scores are not finite.
        """
        if (options.views, self.network_size(options)) not in self._warm:
            self._run_everything(np.zeros((*self.card.input_size, 3), np.uint8), options)

    def _run_everything(self, rgb: npt.NDArray[np.uint8], options: SegmentOptions) -> Segmentation:
        """Segment a frame with every output there is."""
        everything = replace(
            options, want_confidence=True, want_unknown=True, want_probabilities=True, not_finite_is_unknown=False
        )
        (scored,) = self.score([rgb], everything)
        self.domain_shift(scored)
        segmentation = self.decode(scored, everything)
        self._warm.add((options.views, self.network_size(options)))
        return segmentation

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


def _not_finite(planes: npt.NDArray[np.float32] | Tensor) -> npt.NDArray[np.bool_] | None:
    """Where scores Khw are not finite, hw; None if they all are."""
    if isinstance(planes, np.ndarray):
        return not_finite(planes)
    from desert_seg import device

    return device.not_finite(planes)


def _without(
    planes: npt.NDArray[np.float32] | Tensor, cells: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32] | Tensor:
    """Scores Khw, where they are, with 0 in some cells hw."""
    if isinstance(planes, np.ndarray):
        return np.where(cells, np.float32(0), planes)
    from desert_seg import device

    return device.without(planes, cells)


def _mask(
    planes: npt.NDArray[np.float32] | Tensor, size: tuple[int, int], bias: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.uint8]:
    """Khw scores to HxW classes, where the scores are."""
    if isinstance(planes, np.ndarray):
        return decode(planes, size, bias)
    from desert_seg import device

    return device.decode(planes, size, bias)


def _certainty(
    planes: npt.NDArray[np.float32] | Tensor, size: tuple[int, int], bias: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.uint8]:
    """Khw scores, divided by the temperature, to HxW confidence, where the scores are."""
    if isinstance(planes, np.ndarray):
        return confidence(planes, size, bias)
    from desert_seg import device

    return device.confidence(planes, size, bias)


def _multiple(side: float) -> int:
    return max(1, round(side / SIZE_MULTIPLE)) * SIZE_MULTIPLE


def _window(rgb: npt.NDArray[np.uint8], region: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Rows and columns of a region, at least one of each."""
    height, width = rgb.shape[:2]
    (top, bottom), (left, right) = (
        (min(round(low * side), side - 1), max(round(high * side), round(low * side) + 1))
        for low, high, side in ((region[0], region[2], height), (region[1], region[3], width))
    )
    return slice(top, bottom), slice(left, right)


def _framed(part: npt.NDArray[Any], scored: ScoredFrame, outside: float) -> npt.NDArray[Any]:
    """A window's result in an array of the frame's size."""
    whole = np.full((*scored.size, *part.shape[2:]), outside, part.dtype)
    whole[scored.window] = part
    return whole


def _resized(rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A frame at network size, contiguous and writable, as engines take it."""
    height, width = size
    if rgb.shape[:2] == size:
        return np.require(rgb, requirements=["C", "W"])
    # Averaging over the area keeps thin things when shrinking by much; near 1:1 it equals linear and is slower.
    shrink = max(rgb.shape[0] / height, rgb.shape[1] / width)
    how = cv2.INTER_AREA if shrink > 1.5 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)
