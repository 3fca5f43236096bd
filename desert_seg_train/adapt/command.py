"""`desert-seg adapt`: fine-tune a model on a few labelled frames of a new place, and measure gain and forgetting.

    desert-seg adapt models/light --frames my_site --replay data/mojave falcon7_stones 1 --out runs/my_site

Some frames are held out; the model is evaluated on them before and after, and on the replayed data, which it must not
forget. With other classes than the model's, the last layer is replaced, and there is no evaluation before.

Shape letters: N frames, K classes.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.table import Table

from desert_seg.artifact import Artifact, load_artifact
from desert_seg.console import Console
from desert_seg.dataset_folder import LAYOUTS
from desert_seg.errors import DataError
from desert_seg.labels import load_label_map
from desert_seg.scoring import class_iou, count, mean_iou
from desert_seg.segmenter import Segmenter
from desert_seg_train.adapt.config import AdaptConfig
from desert_seg_train.data.config import SamplingConfig
from desert_seg_train.data.sources import Source, open_source, split
from desert_seg_train.evaluate.comparison import Interval, compare
from desert_seg_train.train.command import train
from desert_seg_train.train.config import NetworkChoice, OptimizerConfig, TrainConfig
from desert_seg_train.written import files_under, refuse_foreign, remove_written

LESSONS = "learned_from"
"""Folder in the run that links to the frames that were trained on."""

TRIAL_STEPS = 3
"""Steps that are timed to find out how many fit into the budget."""

MAX_FORGETTING_FRAMES = 40
"""Frames of each replayed folder to evaluate on, evenly spread."""

RATES = OptimizerConfig(encoder_rate=1.5e-4, decoder_rate=5e-4, head_rate=1e-3, ema_decay=0.99)
"""A third of the learning rates of a training from ImageNet: most of what the model knows holds in the new place."""


def adapt(config: AdaptConfig) -> Path:
    """Train, evaluate, and print where the new artifact is.

    Raises:
        DataError: The frames, the replayed data or the budget are unusable.
        ArtifactError: The model is missing or damaged.
    """
    console = Console()
    seconds = parse_duration(config.budget)
    artifact = load_artifact(config.model)
    label_map = config.label_map or _written_label_map(artifact)
    frames = open_source(config.frames, label_map, 1.0, console)
    held_back = config.hold_back or frames.names[2::3]
    lessons, judges = split([frames], None, held_back)
    if (config.out / "last.ckpt").exists():
        raise DataError(f"{config.out}: holds a training already; choose another --out")
    _link_frames(lessons[0], config.out)
    settings = _settings(config, artifact, ((config.out / LESSONS, label_map, 1.0), *config.replay))
    settings = replace(settings, steps_per_epoch=_steps_within(seconds, settings, console))
    console.print(
        f"{len(lessons[0])} frames to learn from, {len(held_back)} held back, "
        f"{settings.steps_per_epoch} steps in {config.budget}"
    )
    adapted = train(settings)
    _report(config, artifact, adapted, judges, console)
    command = f"desert-seg export --model {adapted} --out models/{config.out.name}"
    console.print(f"to run it with any engine: {command}")
    return adapted


def parse_duration(text: str) -> float:
    """Seconds of a text like 10min, 90s or 1h; raises DataError if it is not a duration."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text.strip())
    if found is None or not float(found[1]):
        raise DataError(f"found budget {text!r}, expected a time like 10min, 90s or 1h")
    return float(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]


def _link_frames(source: Source, out: Path) -> None:
    """Link just these frames into a labelled folder of the run, as a record of what it was trained on.

    Raises:
        DataError: The folder exists and holds anything but the links of an interrupted run.
    """
    links = {name for name in files_under(out, [LESSONS]) if (out / name).is_symlink()}
    refuse_foreign(out, [LESSONS], links, "--out")
    remove_written(out, links)
    images, masks = (out / LESSONS / name for name in LAYOUTS[0])
    for folder in (images, masks):
        folder.mkdir(parents=True)
    for index in source.indices:
        image, mask = source.folder.pairs[index]
        (images / image.name).symlink_to(image.resolve())
        (masks / mask.name).symlink_to(mask.resolve())


def _settings(config: AdaptConfig, artifact: Artifact, sources: tuple[tuple[Path, str, float], ...]) -> TrainConfig:
    """One epoch without validation, whose last weights are kept; the held-out frames do not influence them."""
    network, (height, width) = artifact.card.network, artifact.card.input_size
    return TrainConfig(
        sources=sources,
        out=config.out,
        start=str(config.model),
        epochs=1,
        input_size=(height, width),
        seed=config.seed,
        network=NetworkChoice(
            network["architecture"],
            network["encoder"],
            tuple(network["mean"]),
            tuple(network["std"]),
            network.get("options", {}),
        ),
        sampling=SamplingConfig(height=min(320, height), width=min(448, width)),
        optimizer=RATES,
    )


def _steps_within(seconds: float, settings: TrainConfig, console: Console) -> int:
    """How many steps fit into a time, estimated by timing a few."""
    with (
        tempfile.TemporaryDirectory() as folder,
        console.status("timing a few steps"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        trial = replace(settings, out=Path(folder) / "trial", steps_per_epoch=TRIAL_STEPS)
        train(trial)
        spent = float((trial.out / "log.csv").read_text(encoding="utf-8").splitlines()[1].split(",")[3])
    return max(TRIAL_STEPS, int(seconds / spent * TRIAL_STEPS))


def _report(config: AdaptConfig, before: Artifact, adapted: Path, judges: Sequence[Source], console: Console) -> None:
    """Evaluate the old and the new model in the same precision and print what changed, with intervals."""
    old, new = (Segmenter.load(path, engine="torch", precision="f32") for path in (before.path, adapted))
    if not judges:
        console.print("warning: no frame was held back, so nothing is known about the gain; label three or more")
    elif old.labels.names != new.labels.names:
        _print_classes(new, confusions(new, judges[0], console), console)
        return
    judged = [(f"held-back frames of {config.frames.name}", source) for source in judges]
    for path, label_map, weight in config.replay:
        judged.append((f"{path.name}, replayed", _some(open_source(path, label_map, weight, console))))
    table = Table("judged on", "frames", "mIoU before", "after", "change, 95 % interval")
    warnings = []
    for name, source in judged:
        earlier, later = (confusions(segmenter, source, console) for segmenter in (old, new))
        change = compare(later, earlier, np.random.default_rng(0)).miou
        figures = [f"{mean_iou(counts.sum(0)):.3f}" for counts in (earlier, later)]
        interval = f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"
        table.add_row(name, str(len(source)), *figures, interval)
        warnings += _doubts(change, any(source is each for each in judges))
    if judged:
        console.print(table)
    for warning in warnings:
        console.print(f"warning: {warning}")


def _print_classes(segmenter: Segmenter, counts: npt.NDArray[np.int64], console: Console) -> None:
    console.print(f"the model had other classes before; on {len(counts)} held-back frames it now reaches")
    table = Table("class", "IoU")
    for label, iou in zip(segmenter.labels.names, class_iou(counts.sum(0)), strict=True):
        table.add_row(label, f"{iou:.3f}")
    console.print(table)
    console.print(f"mIoU {mean_iou(counts.sum(0)):.3f}")


def _doubts(change: Interval, is_new_place: bool) -> list[str]:
    if is_new_place and change.verdict != "better":
        return ["the gain on the held-back frames is not significant; label more frames, or give it more time"]
    if not is_new_place and change.verdict == "worse":
        return ["the model has become worse at what is replayed; give the replayed data more weight"]
    return []


def confusions(segmenter: Segmenter, source: Source, console: Console) -> npt.NDArray[np.int64]:
    """Segment every frame of a source; NxKx(K+1), see `desert_seg.scoring.count`."""
    counts = []
    for index in console.track(range(len(source)), f"judging {source.folder.root.name}", transient=True):
        sample = source[index]
        counts.append(count(sample.target, segmenter.segment(sample.image).mask, len(segmenter.labels)))
    return np.stack(counts)


def _some(source: Source) -> Source:
    """At most `MAX_FORGETTING_FRAMES` of its frames."""
    step = -(-len(source) // MAX_FORGETTING_FRAMES)
    return source.only(source.names[::step])


def _written_label_map(artifact: Artifact) -> str:
    """Name of the model's own label map; raises DataError if it is not a shipped one with the same classes."""
    own = artifact.card.label_map
    try:
        if load_label_map(own.name).labels == own.labels:
            return own.name
    except DataError:
        pass
    raise DataError(f"the model's label map {own.name} is not a shipped one; give --label-map its YAML file")
