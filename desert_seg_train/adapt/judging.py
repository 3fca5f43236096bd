"""What an adaptation gained and cost on labelled frames, and how sure that is.

Shape letters: N frames, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.table import Table

from desert_seg.console import Console
from desert_seg.labels import LabelSet
from desert_seg.scoring import class_iou, count, mean_iou
from desert_seg.segmenter import Segmenter
from desert_seg_train.adapt.judgement import Gain
from desert_seg_train.data.sources import Source
from desert_seg_train.evaluate.comparison import compare

Counts = npt.NDArray[np.int64]

MIN_FRAMES = 5
"""Fewer frames give no interval that means anything: the bootstrap would draw the same few again and again."""

FOLDS = 3


def folds(frames: Source) -> list[tuple[Source, Source]]:
    """Divide at least two frames into those to learn from and those to judge by, so that each is judged by once."""
    number = min(FOLDS, len(frames))
    held_out = [frames.names[first::number] for first in range(number)]
    return [(frames.without(names), frames.only(names)) for names in held_out]


def confusions(segmenter: Segmenter, source: Source, console: Console) -> Counts:
    """Segment every frame of a source; NxKx(K+1), see `desert_seg.scoring.count`."""
    counts = []
    for index in console.track(range(len(source)), f"judging {source.folder.root.name}", transient=True):
        sample = source[index]
        counts.append(count(sample.target, segmenter.segment(sample.image).mask, len(segmenter.labels)))
    return np.stack(counts)


class Gains:
    """Counts of a model before and after, collected by what it was judged on."""

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self._before: dict[str, list[Counts]] = {}
        self._after: dict[str, list[Counts]] = {}

    def add(self, name: str, before: Counts | None, after: Counts) -> None:
        """Add frames of a name; NxKx(K+1) counts, None for a model that had other classes before."""
        self._after.setdefault(name, []).append(after)
        if before is not None:
            self._before.setdefault(name, []).append(before)

    def judged(self) -> tuple[tuple[Gain, ...], tuple[str, ...]]:
        """The gain on each name, and what is doubtful about them."""
        gains: list[Gain] = []
        doubts: list[str] = []
        for name, counts in self._after.items():
            after = np.concatenate(counts)
            score = float(mean_iou(after.sum(0)))
            if name not in self._before:
                gains.append(Gain(name, len(after), None, score, "had other classes"))
                continue
            before = np.concatenate(self._before[name])
            change, doubts_about_it = _change(name, before, after)
            gains.append(Gain(name, len(after), float(mean_iou(before.sum(0))), score, change))
            doubts += doubts_about_it
        return tuple(gains), tuple(doubts)

    def print(self, gains: Sequence[Gain], doubts: Sequence[str], console: Console) -> None:
        """Print what `judged` gave as a table and warnings; nothing if nothing was judged."""
        if not self._after:
            return
        table = Table("judged on", "frames", "mIoU before", "after", "change, 95 % interval")
        for gain in gains:
            before = "" if gain.before is None else f"{gain.before:.3f}"
            table.add_row(gain.name, str(gain.num_frames), before, f"{gain.after:.3f}", gain.change)
        console.print(table)
        if not self._before:
            self._print_classes(console)
        for doubt in doubts:
            console.print(f"warning: {doubt}")

    def _print_classes(self, console: Console) -> None:
        table = Table("class", "IoU")
        total = np.concatenate([each for group in self._after.values() for each in group]).sum(0)
        for label, iou in zip(self._labels.names, class_iou(total), strict=True):
            table.add_row(label, f"{iou:.3f}")
        console.print(table)


def _change(name: str, before: Counts, after: Counts) -> tuple[str, list[str]]:
    """The change in words, and what is doubtful about it."""
    is_replayed = name.endswith("replayed")
    if len(before) < MIN_FRAMES:
        change = mean_iou(after.sum(0)) - mean_iou(before.sum(0))
        better = sum(mean_iou(later) > mean_iou(earlier) for earlier, later in zip(before, after, strict=True))
        return f"{change:+.3f}, better on {better} of {len(before)}: too few for an interval", []
    interval = compare(after, before, np.random.default_rng(0)).miou
    said = f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
    if is_replayed and interval.verdict == "worse":
        return said, ["the model has become worse at what is replayed; give the replayed data more weight"]
    if not is_replayed and interval.verdict != "better":
        return said, ["the gain on frames of the place is not significant; label more frames, or give it more time"]
    return said, []
