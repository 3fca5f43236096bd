"""Gain and lag of averaging scores over time, on a rendered drive with known camera poses.

    desert-seg synth --world mojave --drive --hz 10 --seconds 5 --seed 77 --out out/drive
    python -m experiments.smoothing --drive out/drive

For every weight, with and without poses: mIoU against the ground truth of the same frame, mIoU against that of the
frame before (if this is higher, masks lag), and the share of pixels whose class changes from one frame to the next.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from rich.table import Table

from desert_seg.console import Console
from desert_seg.labels import load_label_map
from desert_seg.scoring import count, mean_iou
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.smoothing import Smoother, Viewpoint
from desert_seg_train.folder import SegmentationFolder


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        drive: Folder of a rendered drive.
        model: Artifact.
        weights: Weights of the past.
        height_m: Height of the camera above the ground, as in the node's parameter.
    """

    drive: Path
    model: Path = Path("models/light")
    weights: tuple[float, ...] = (0.0, 0.3, 0.5, 0.7, 0.9)
    height_m: float = 1.8


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    camera = json.loads((options.drive / "camera.json").read_text())
    segmenter = Segmenter.load(options.model, precision="f32")
    folder = SegmentationFolder(options.drive, load_label_map(segmenter.card.label_map.name))
    samples = [folder[index] for index in range(len(folder))]
    scored = [
        replace(each, planes=each.scores.copy())
        for sample in Console().track(samples, "scoring")
        for each in segmenter.score([sample.image], SegmentOptions())
    ]
    views = viewpoints(camera, samples[0].target.shape, options.height_m)
    changes = np.mean([(one.target != two.target).mean() for one, two in itertools.pairwise(samples)])
    table = Table(title=f"{options.drive}: {len(samples)} frames; the truth changes in {changes:.3f} of the pixels")
    for heading in ("weight", "poses", "mIoU", "mIoU, frame before", "pixels that change"):
        table.add_column(heading, justify="right")
    for weight in options.weights:
        for poses in (False, True) if weight else (False,):
            smoother, masks = Smoother(), []
            for number, frame in enumerate(scored):
                scores = smoother.update(frame.scores, number * 0.1, weight, views[number] if poses else None)
                masks.append(segmenter.decode(replace(frame, planes=scores), SegmentOptions()).mask)
            same = np.sum(
                [count(each.target, mask, 7) for each, mask in zip(samples[1:], masks[1:], strict=True)], axis=0
            )
            late = np.sum([count(each.target, mask, 7) for each, mask in zip(samples, masks[1:], strict=False)], axis=0)
            flips = np.mean([(one != two).mean() for one, two in itertools.pairwise(masks)])
            row = (f"{weight:g}", "yes" if poses else "no", *(f"{mean_iou(each):.4f}" for each in (same, late)))
            table.add_row(*row, f"{flips:.4f}")
    Console().print(table)


def viewpoints(camera: dict, size: tuple[int, int], height_m: float) -> list[Viewpoint]:  # type: ignore[type-arg]
    """The viewpoint of each frame, from a drive's camera.json."""
    intrinsics = np.array(camera["K"], float)
    poses = [np.array(frame["T_world_camera"], float) for frame in camera["frames"]]
    return [Viewpoint(pose, intrinsics, size, height_m) for pose in poses]


if __name__ == "__main__":
    main()
