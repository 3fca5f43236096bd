"""The learning curve of `desert-seg adapt`: how many frames, how many steps, with labels and without.

    python -m experiments.adaptation --model light --place RENDERED/both falcon7_stones --frames 0 1 5 10 --steps 60 150

Every other frame of the place is what may be learned from, evenly spread; the others are judged by. 0 frames means all
of the former without their labels. Each figure is one training with the settings of the command, but for those that
are given here. Steps, not minutes, so that another machine, or a busy one, finds the same.

Shape letters: N frames, K classes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from rich.table import Table

from desert_seg.artifact import load_artifact
from desert_seg.console import Console
from desert_seg.labels import LabelMap, load_label_map
from desert_seg.memory import keep_freed_memory
from desert_seg.scoring import mean_iou
from desert_seg.share import find_artifact
from desert_seg_train.adapt.command import RATES
from desert_seg_train.adapt.judging import confusions
from desert_seg_train.adapt.place_frames import shipped_replay
from desert_seg_train.adapt.start import Start
from desert_seg_train.adapt.teaching import Lessons, teach
from desert_seg_train.data.config import SamplingConfig
from desert_seg_train.data.sources import Source, absent_classes, open_source
from desert_seg_train.evaluate.comparison import compare
from desert_seg_train.train.config import LossConfig
from desert_seg_train.train.losses import CrossEntropyAndDice


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        place: Labelled folder and its label map: the new place.
        model: Model artifact, or the name of a shipped one.
        frames: Numbers of labelled frames; 0 = none, but the frames themselves.
        steps: Numbers of steps of a training.
        seeds: Seeds, each a training.
        unlabelled: Learn from all frames without their labels, too.
        replay: Replay the frames that come with the package, too; as the command does, they always are where the labels
            do not show every class.
        rates: Learning rates over those of the command.
        share: Share of the pixels of each class that a teacher teaches.
    """

    place: tuple[Path, str]
    model: str = "light"
    frames: tuple[int, ...] = (0, 1, 2, 5, 10)
    steps: tuple[int, ...] = (60, 150)
    seeds: tuple[int, ...] = (0,)
    unlabelled: bool = False
    replay: bool = False
    rates: float = 1.0
    share: float = 0.6


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    keep_freed_memory()
    console = Console()
    folder, name = options.place
    label_map = load_label_map(name)
    start = Start(load_artifact(find_artifact(options.model)), label_map)
    place = open_source(folder, name, 1.0, console)
    pool, judged = place.without(place.names[1::2]), place.only(place.names[1::2])
    criterion = CrossEntropyAndDice(LossConfig(), label_map.labels)
    before = confusions(start.segmenter, judged, console)
    table = Table(
        title=f"{options.model} at {folder.name}, {len(judged)} frames, before: {mean_iou(before.sum(0)):.3f}"
    )
    for heading in ("labelled", "steps", "seed", "mIoU", "change, 95 % interval"):
        table.add_column(heading, justify="right")
    for number, steps, seed in itertools.product(options.frames, options.steps, options.seeds):
        lessons = _lessons(options, pool, label_map, number, seed, console)
        taught = teach(start.network(), lessons, criterion, steps, console)
        after = confusions(start.segmenter_of(taught), judged, console)
        change = compare(after, before, np.random.default_rng(0)).miou
        interval = f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"
        row = [str(number or "none"), str(steps), str(seed), f"{mean_iou(after.sum(0)):.3f}", interval]
        table.add_row(*row)
        console.print(", ".join(row))
    console.print(table)


def _lessons(options: Options, pool: Source, label_map: LabelMap, number: int, seed: int, console: Console) -> Lessons:
    """What a number of labelled frames of the pool, 0 = none, gives to learn from."""
    taken = pool.only([pool.names[index] for index in np.linspace(0, len(pool) - 1, number).round().astype(int)])
    own = [taken] if number else []
    replay = shipped_replay(label_map, 1 / number if number else 1.0)
    replays = options.replay or not own or absent_classes(own)
    images = tuple(pool.folder.pairs[index][0] for index in pool.indices)
    rates = replace(
        RATES,
        encoder_rate=options.rates * RATES.encoder_rate,
        decoder_rate=options.rates * RATES.decoder_rate,
        head_rate=options.rates * RATES.head_rate,
    )
    return Lessons(
        (*own, *(open_source(*source, console) for source in replay if replays)),
        images if options.unlabelled or not number else (),
        SamplingConfig(),
        rates,
        share=options.share,
        seed=seed,
    )


if __name__ == "__main__":
    main()
