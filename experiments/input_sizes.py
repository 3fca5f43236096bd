"""One model at several input sizes: how well it sees, and how long it takes.

    python -m experiments.input_sizes --model light --data ../shared/data/falcon/val RENDERED

Sizes are relative to the model's own. The mIoU is over the classes present, all frames of a folder together. Times are
of OpenVINO from frame to mask; sizes and precisions take turns, and the fastest frame of each counts, because other
load can only add to it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.table import Table

from desert_seg.console import Console
from desert_seg.errors import EngineError
from desert_seg.scoring import count, mean_iou
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.share import find_artifact
from desert_seg_train.folder import SegmentationFolder
from desert_seg_train.profile.command import test_picture

CAMERA = (540, 960)
"""(H, W) of the frames that are timed."""


@dataclass(frozen=True)
class Options:
    """What to try.

    Attributes:
        data: Labelled folders, read with the model's label map.
        model: Model artifact, or the name of a shipped one.
        sizes: Height and width of the network's input, relative to the model's own.
        precisions: What to time; the first that runs here is also what is judged.
        rounds: Frames to time of each.
    """

    data: tuple[Path, ...]
    model: str = "light"
    sizes: tuple[float, ...] = (0.375, 0.5, 0.625, 0.75, 1.0, 1.25, 1.5)
    precisions: tuple[str, ...] = ("bf16", "int8", "f32")
    rounds: int = 12


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    console = Console()
    segmenters = _segmenters(options, console)
    judge = next(iter(segmenters.values()))
    folders = [SegmentationFolder(root, judge.card.label_map) for root in options.data]
    fastest = _times(segmenters, options, console)
    table = Table("input", *(f"{each} ms" for each in segmenters), *(folder.root.name for folder in folders), box=None)
    scores = [_scores(judge, folder, options, console) for folder in folders]
    for index, size in enumerate(options.sizes):
        height, width = judge.network_size(SegmentOptions(scale=size))
        times = (f"{fastest[name, size]:.1f}" for name in segmenters)
        table.add_row(f"{width}x{height}", *times, *(f"{each[index]:.3f}" for each in scores))
    console.print(table)


def _segmenters(options: Options, console: Console) -> dict[str, Segmenter]:
    """Those that run here, by precision."""
    found = {}
    for precision in options.precisions:
        try:
            found[precision] = Segmenter.load(find_artifact(options.model), "openvino", precision=precision)
        except EngineError as error:
            console.print(f"not run: {error}")
    return found


def _times(segmenters: dict[str, Segmenter], options: Options, console: Console) -> dict[tuple[str, float], float]:
    """Milliseconds from frame to mask, by precision and size."""
    picture = test_picture(CAMERA)
    fastest: dict[tuple[str, float], float] = {}
    for _ in console.track(range(options.rounds), "timing", transient=True):
        for name, segmenter in segmenters.items():
            for size in options.sizes:
                how = SegmentOptions(scale=size)
                segmenter.segment(picture, how)  # what was used last by another is not in the caches
                began = time.perf_counter()
                segmenter.segment(picture, how)
                taken = (time.perf_counter() - began) * 1e3
                fastest[name, size] = min(taken, fastest.get((name, size), taken))
    return fastest


def _scores(segmenter: Segmenter, folder: SegmentationFolder, options: Options, console: Console) -> list[float]:
    """The mIoU at each size."""
    num_classes = len(segmenter.labels)
    counts = np.zeros((len(options.sizes), num_classes, num_classes + 1), np.int64)
    for index in console.track(range(len(folder)), f"judging on {folder.root.name}", transient=True):
        sample = folder[index]
        for row, size in zip(counts, options.sizes, strict=True):
            row += count(sample.target, segmenter.segment(sample.image, SegmentOptions(scale=size)).mask, num_classes)
    return [float(mean_iou(row)) for row in counts]


if __name__ == "__main__":
    main()
