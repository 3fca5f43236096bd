"""What can be said about a model in a place whose truth nobody knows, and when it must not be trusted there.

Shape letters: K classes, H, W a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.table import Table

from desert_seg.calibration import entropy
from desert_seg.labels import LabelSet
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.traversability import LETHAL, read_policy
from desert_seg_train.adapt.judgement import PlaceChange

MIN_SHARE = 0.005
"""A class with less of the pixels before adaptation is too rare to be missed by its share."""

KEPT = {True: 0.6, False: 0.25}
"""Share of its pixels that a class must keep, by whether it is an obstacle."""

MIN_FALL = 0.01
"""Fall of the agreement between views that counts as one."""


@dataclass(frozen=True)
class Impression:
    """A model's behaviour on unlabelled frames.

    Attributes:
        agreement: Share of the pixels that have the same class in the frame and in its mirror image.
        entropy: Mean entropy of the class probabilities, 0..1.
        shares: K float64, share of the pixels of each class.
        masks: HxW uint8 class masks of the frames.
    """

    agreement: float
    entropy: float
    shares: npt.NDArray[np.float64]
    masks: tuple[npt.NDArray[np.uint8], ...]

    @classmethod
    def of(cls, segmenter: Segmenter, frames: Sequence[Callable[[], npt.NDArray[np.uint8]]]) -> Impression:
        """Segment at least one frame, each decoded to HxWx3 uint8 RGB."""
        options = SegmentOptions()
        masks, same, doubt = [], [], []
        for read in frames:
            rgb = read()
            (scored,) = segmenter.score([rgb], options)
            doubt.append(float(entropy(scored.scores / np.float32(segmenter.calibration.temperature)).mean()))
            masks.append(segmenter.decode(scored, options).mask)
            mirrored = segmenter.segment(np.ascontiguousarray(rgb[:, ::-1]), options).mask[:, ::-1]
            same.append(float((masks[-1] == mirrored).mean()))
        counts = np.sum([np.bincount(mask.ravel(), minlength=256)[: len(segmenter.labels)] for mask in masks], axis=0)
        return cls(float(np.mean(same)), float(np.mean(doubt)), counts / max(1, counts.sum()), tuple(masks))

    def agreement_with(self, other: Impression) -> float:
        """Share of the pixels that have the same class in both, over the same frames."""
        return float(np.mean([(mine == theirs).mean() for mine, theirs in zip(self.masks, other.masks, strict=True)]))


def signs_of_collapse(before: Impression, after: Impression, labels: LabelSet) -> list[str]:
    """Why the adapted model must not be used, in phrases; none if nothing speaks against it.

    A model that teaches itself can talk itself out of a class: it becomes surer while it is less right. A class of
    obstacles, by the shipped costs, may lose less than another.
    """
    costs = read_policy()
    signs = []
    for name, earlier, later in zip(labels.names, before.shares, after.shares, strict=True):
        is_obstacle = costs.get(name, LETHAL) == LETHAL
        if earlier >= MIN_SHARE and later < KEPT[is_obstacle] * earlier:
            signs.append(f"{name} went from {earlier:.1%} to {later:.1%} of the pixels")
    if after.entropy < before.entropy and after.agreement < before.agreement - MIN_FALL:
        signs.append(
            f"it became surer (entropy {before.entropy:.3f} to {after.entropy:.3f}) while it agrees less with itself "
            f"in the mirror ({before.agreement:.1%} to {after.agreement:.1%})"
        )
    return signs


def place_change(before: Impression, after: Impression, labels: LabelSet) -> PlaceChange:
    """What can be said of a place without labels."""
    shares = zip(before.shares.tolist(), after.shares.tolist(), strict=True)
    return PlaceChange(
        (before.agreement, after.agreement),
        (before.entropy, after.entropy),
        after.agreement_with(before),
        dict(zip(labels.names, shares, strict=True)),
    )


def place_table(change: PlaceChange) -> Table:
    """The same as a table."""
    table = Table("the place, without labels", "before", "after")
    table.add_row("same class in the mirror", *(f"{share:.1%}" for share in change.agreement))
    table.add_row("entropy, 0 sure to 1", *(f"{mean:.3f}" for mean in change.entropy))
    table.add_row("same class as before", "", f"{change.unchanged:.1%}")
    for name, shares in change.shares.items():
        table.add_row(f"pixels of {name}", *(f"{share:.1%}" for share in shares))
    return table
