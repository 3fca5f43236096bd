"""Evaluates the recorded masks: temporal stability, accuracy, and whether a second run gives the same.

One pass over the masks of a run, after the run. Knows nothing of live topics. Shape letters: H, W.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from desert_seg.errors import DataError, FrameError
from desert_seg.labels import IGNORE, LabelMap
from desert_seg.recordings.drive import DriveFrame
from desert_seg.scoring import Confusion
from desert_seg_ros.bag_benchmark.masks import Mask, Masked
from desert_seg_ros.bag_benchmark.results import Accuracy, Consistency, Determinism
from desert_seg_ros.bag_benchmark.warp import Agreement, Surroundings


@dataclass(frozen=True)
class Judgement:
    """The result of one pass over the masks.

    Attributes:
        sha256: Hash of every mask's pixels, by position in the drive.
        consistency: Their temporal stability.
        accuracy: Their accuracy; None if it cannot be measured.
        accuracy_missing: Why not.
    """

    sha256: Mapping[int, str]
    consistency: Consistency
    accuracy: Accuracy | None
    accuracy_missing: str | None


class Flips:
    """Counts pixels that change their class from one frame of a drive to the next."""

    def __init__(self) -> None:
        self.rates: dict[int, float] = {}
        """By position of the later frame: share of the pixels, known in both, that differ."""

        self.flickers: list[float] = []
        """Share of the pixels, known in three frames in a row, that differ only in the middle one."""

        self._last: list[tuple[int, Mask]] = []

    def add(self, index: int, mask: Mask) -> None:
        """Compare a mask, HxW uint8, with those of the frames just before, if they exist."""
        if self._last and (self._last[-1][0] != index - 1 or self._last[-1][1].shape != mask.shape):
            self._last = []
        before = [each for _, each in self._last]
        if before:
            known = (mask != IGNORE) & (before[-1] != IGNORE)
            if known.any():
                self.rates[index] = float((mask != before[-1])[known].mean())
        if len(before) == 2:
            known &= before[0] != IGNORE
            if known.any():
                self.flickers.append(float(((mask == before[0]) & (mask != before[1]))[known].mean()))
        self._last = [*self._last[-1:], (index, mask)]


def judge(
    frames: Iterable[Masked],
    label_map: LabelMap | None,
    surroundings: Surroundings | str,
) -> Judgement:
    """Evaluate every mask, in one pass.

    Args:
        frames: Positions in the drive, frames, and their masks.
        label_map: What raw values of the ground truth mean; None if the model is unknown.
        surroundings: Depth and poses to compare masks where they show the same places, or why there are none.
    """
    hashes: dict[int, str] = {}
    flips, truth = Flips(), _Truth(label_map)
    agreement = surroundings if isinstance(surroundings, str) else Agreement(surroundings)
    for index, frame, mask in frames:
        hashes[index] = hashlib.sha256(mask.tobytes()).hexdigest()
        flips.add(index, mask)
        truth.add(index, frame, mask)
        if isinstance(agreement, Agreement):
            try:
                agreement.add(index, frame, mask)
            except (DataError, FrameError) as error:
                agreement = str(error)
    accuracy = truth.result()
    return Judgement(
        sha256=hashes,
        consistency=_consistency(flips, truth.flips, agreement),
        accuracy=accuracy if isinstance(accuracy, Accuracy) else None,
        accuracy_missing=accuracy if isinstance(accuracy, str) else None,
    )


def determinism(first: Mapping[int, str], second: Mapping[int, str], indices: Sequence[int]) -> Determinism:
    """Compare the hashes of two runs; `indices` are the frames that were sent."""
    different = [index for index in indices if first.get(index) != second.get(index) or first.get(index) is None]
    return Determinism(
        identical=not different,
        num_frames=len(indices),
        first_difference=different[0] if different else None,
        digest=hashlib.sha256("".join(first[index] for index in sorted(first)).encode()).hexdigest(),
    )


class _Truth:
    """Compares masks with the ground truth, as long as that is possible."""

    def __init__(self, label_map: LabelMap | None) -> None:
        self.flips = Flips()
        self._label_map = label_map
        self._confusion = Confusion(len(label_map.labels)) if label_map else None
        self._num_frames = 0
        self._obstacle = "" if label_map else "the model is not known here; name it with --model"

    def add(self, index: int, frame: DriveFrame, mask: Mask) -> None:
        if self._obstacle or self._label_map is None or self._confusion is None:
            return
        try:
            raw = frame.ground_truth()
            if raw is None:
                return
            target = self._label_map.apply(raw, f"true mask of frame {index}")
        except (DataError, FrameError) as error:
            self._obstacle = str(error)
            return
        if target.shape != mask.shape:
            self._obstacle = f"the true mask of frame {index} does not have the size of its image"
            return
        self._confusion.add(target, mask)
        self.flips.add(index, target)
        self._num_frames += 1

    def result(self) -> Accuracy | str:
        if self._obstacle or self._label_map is None or self._confusion is None:
            return self._obstacle
        if not self._num_frames:
            return "the drive holds no true masks for these frames"
        return Accuracy(
            label_map=self._label_map.name,
            num_frames=self._num_frames,
            classes=self._label_map.labels.names,
            scores=self._confusion.scores().to_dict(),
        )


def _consistency(flips: Flips, truth: Flips, agreement: Agreement | str) -> Consistency:
    rates = list(flips.rates.values())
    true_rates = [rate for index, rate in truth.rates.items() if index in flips.rates]
    warped = agreement if isinstance(agreement, str) else agreement.result()
    return Consistency(
        num_pairs=len(rates),
        flip_rate=float(np.mean(rates)) if rates else None,
        flip_rate_p95=float(np.percentile(rates, 95)) if rates else None,
        flicker_rate=float(np.mean(flips.flickers)) if flips.flickers else None,
        truth_flip_rate=float(np.mean(true_rates)) if true_rates else None,
        warped=None if isinstance(warped, str) else warped,
        warped_missing=warped if isinstance(warped, str) else None,
    )
