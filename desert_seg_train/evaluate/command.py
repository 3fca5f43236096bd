"""Measure a model on a labelled folder, through the robot's own inference path, and print the numbers.

desert-seg evaluate --model models/light --data FOLDER
"""

from __future__ import annotations

from collections.abc import Iterable

from desert_seg.console import Console
from desert_seg.files import write_bytes
from desert_seg.segmenter import Segmenter
from desert_seg_train.evaluate.config import EvaluateConfig
from desert_seg_train.evaluate.measurement import Setting
from desert_seg_train.evaluate.measuring import Item, Progress, measure, open_test_set
from desert_seg_train.evaluate.results import Results, Run
from desert_seg_train.evaluate.results_file import results_json
from desert_seg_train.evaluate.summary import print_summary


def evaluate(config: EvaluateConfig) -> None:
    """Segment every frame, count, and print the numbers with both mIoU conventions.

    Raises:
        DataError: The folder, a file in it or the label map is unusable, or the numbers cannot be written.
        ArtifactError: The model is missing or damaged.
    """
    console = Console()
    segmenter = Segmenter.load(config.model, config.engine, precision=config.precision, threads=config.threads)
    test_set = open_test_set(config.data, config.label_map, segmenter, bar(console, f"reading {config.data}"))
    run = Run.here(segmenter)
    setting = Setting(config.tta, scale=segmenter.card.speeds[config.speed])
    (measurement,) = measure(segmenter, test_set, [setting], bar(console, "segmenting"))
    results = Results.of(config.model, segmenter, test_set, [measurement], run)
    print_summary(console, results)
    if config.json:
        write_bytes(config.json, results_json(results))
        console.print(f"wrote {config.json}")


def bar(console: Console, name: str) -> Progress:
    """A progress bar of that name."""

    def wrap(items: Iterable[Item], total: int) -> Iterable[Item]:
        return console.track(items, name, total)

    return wrap
