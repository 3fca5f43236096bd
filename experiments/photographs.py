"""A model of the desert's classes on YCOR's photographs, both merged into what they share.

    python -m experiments.photographs --model light --data ../shared/data/ycor/val

Ground is Rocks and Landscape, or trails; low plants are bushes and dry grass, or YCOR's traversable grass and low
vegetation; trees are Trees, or high vegetation; sky is sky. Everything else of YCOR is not scored. One confusion matrix
over all photographs at their own size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from desert_seg.console import Console
from desert_seg.labels import IGNORE, load_label_map
from desert_seg.scoring import class_iou, count, mean_iou
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.share import find_artifact
from desert_seg.speeds import Speed
from desert_seg_train.folder import SegmentationFolder

MERGED = ("ground", "low plants", "trees", "sky")

OF_THE_MODEL = {
    "Landscape": "ground",
    "Rocks": "ground",
    "Lush Bushes": "low plants",
    "Dry Grass": "low plants",
    "Dry Bushes": "low plants",
    "Trees": "trees",
    "Sky": "sky",
}

OF_YCOR = {
    "Smooth Trail": "ground",
    "Rough Trail": "ground",
    "Traversable Grass": "low plants",
    "Low Vegetation": "low plants",
    "High Vegetation": "trees",
    "Sky": "sky",
}


@dataclass(frozen=True)
class Options:
    """What to judge.

    Attributes:
        data: YCOR's images/ beside labels/.
        model: Model artifact with the classes of falcon7, or the name of a shipped one.
        speed: Input size of the network, as the model recommends it by these names.
        low_vegetation: Score YCOR's low vegetation too.
    """

    data: Path
    model: str = "light"
    speed: Speed = "balanced"
    low_vegetation: bool = True


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    console = Console()
    segmenter = Segmenter.load(find_artifact(options.model))
    photographs = SegmentationFolder(options.data, load_label_map("ycor"))
    truth = {name: merged for name, merged in OF_YCOR.items() if options.low_vegetation or name != "Low Vegetation"}
    ours = _table(segmenter.labels.names, OF_THE_MODEL)
    theirs = _table(photographs.label_map.labels.names, truth)
    counts = np.zeros((len(MERGED), len(MERGED) + 1), np.int64)
    how = SegmentOptions(scale=segmenter.card.speeds[options.speed])
    for index in console.track(range(len(photographs)), "judging", transient=True):
        sample = photographs[index]
        mask = segmenter.segment(sample.image, how).mask
        counts += count(theirs[sample.target], ours[mask], len(MERGED))
    figures = ", ".join(f"{name} {iou:.3f}" for name, iou in zip(MERGED, class_iou(counts), strict=True))
    console.print(f"{options.model} on {len(photographs)} photographs: mIoU {mean_iou(counts):.3f} ({figures})")


def _table(names: tuple[str, ...], merged: dict[str, str]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """256 uint8: the merged class of every class."""
    table = np.full(256, IGNORE, np.uint8)
    for index, name in enumerate(names):
        table[index] = MERGED.index(merged[name]) if name in merged else IGNORE
    return table


if __name__ == "__main__":
    main()
