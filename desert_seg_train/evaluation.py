"""Measure a model on a labelled folder, through the robot's own inference path.

desert-seg evaluate --model models/light --data FOLDER
"""

from __future__ import annotations

import json

from rich.console import Console
from rich.progress import track
from rich.table import Table

from desert_seg.errors import DataError
from desert_seg.images import write_bytes
from desert_seg.labels import load_label_map
from desert_seg.scoring import Confusion
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.config import EvaluateConfig
from desert_seg_train.folder import SegmentationFolder


def evaluate(config: EvaluateConfig) -> None:
    """Segment every frame, count, and print the numbers with both mIoU conventions."""
    console = Console()
    segmenter = Segmenter.load(config.model, config.engine, precision=config.precision, threads=config.threads)
    label_map = load_label_map(config.label_map) if config.label_map else segmenter.card.label_map
    if label_map.labels.names != segmenter.labels.names:
        raise DataError(
            f"label map {label_map.name} has classes {', '.join(label_map.labels.names)}, the model predicts "
            f"{', '.join(segmenter.labels.names)}; choose a label map with the model's classes"
        )
    folder = SegmentationFolder(config.data, label_map)
    confusion = Confusion(len(segmenter.labels))
    options = SegmentOptions(config.tta)
    for index in track(range(len(folder)), f"{config.data}", console=console):
        sample = folder[index]
        confusion.add(sample.target, segmenter.segment(sample.image, options).mask)
    scores = confusion.scores()

    table = Table(
        "class", "IoU", "precision", "recall", "share of pixels", title=f"{len(folder)} frames, {label_map.name}"
    )
    for row in zip(segmenter.labels.names, scores.iou, scores.precision, scores.recall, scores.share, strict=True):
        table.add_row(row[0], *(f"{value:.3f}" for value in row[1:]))
    console.print(table)
    console.print(f"mIoU {scores.miou_present:.4f}  over classes present in the ground truth")
    console.print(f"     {scores.miou_all:.4f}  over all {len(segmenter.labels)} classes, absent ones as 0")
    console.print(f"     {scores.miou_frequent:.4f}  over classes with at least 0.1 % of the pixels")
    console.print(
        f"pixel accuracy {scores.pixel_accuracy:.4f}, frequency-weighted IoU {scores.frequency_weighted_iou:.4f}"
    )
    console.print(f"predicted as classes that are not there: {scores.hallucinated_share:.2%} of the pixels")
    console.print(f"{segmenter.engine.description}, views {config.tta}, model {segmenter.digest[:12]}")
    if config.json:
        write_bytes(config.json, json.dumps(scores.to_dict(), indent=2).encode())
        console.print(f"wrote {config.json}")
