"""Train the arms, judge them, and keep the counts: resumable, one training after another.

    python -m experiments.run --data ../shared/data/falcon --work runs/experiments [--arms A B] [--seeds 0 1]

Trainings and rendered sets lie under --work; what is kept of them, a confusion matrix for every frame, goes to
experiments/results/, from which experiments/table.py makes docs/domain-gap.md.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
import yaml

from desert_seg.artifact import load_artifact
from desert_seg.labels import load_label_map
from desert_seg.scoring import count
from desert_seg_train.folder import SegmentationFolder, image_and_mask_folders, scene_of
from experiments.counts import Counts, read_counts, write_counts
from experiments.protocol import FOLDS, HERE, READINGS, SHIFTS, Run, read_arms
from experiments.test_time import WAYS, Way, class_shares, prepare
from experiments.worlds import render

TEST_TIME_ARM = "combined"
"""The arm that is also judged in every way of test_time.py."""


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        data: Folder with train/ and val/ of the first desert.
        work: Folder for trainings and rendered sets.
        encoder: First weights of the encoder.
        arms: Names; default: all.
        seeds: Of the trainings.
    """

    data: Path
    work: Path
    encoder: str = "imagenet"
    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    arms = read_arms()
    chosen = [arms[name] for name in options.arms or arms]
    for seed in options.seeds:
        for arm in chosen:
            for fold in FOLDS:
                run(Run(arm, fold, seed), options)


def run(item: Run, options: Options) -> None:
    """Train and judge, except for what is there already."""
    artifact = options.work / item.name / "artifact"
    if not (artifact / "artifact.json").exists():
        train(item, options)
    tests = test_folders(item, options)
    for name in WAYS if item.arm.name == TEST_TIME_ARM else ("",):
        path = HERE / "results" / f"{item.name}{'@' if name else ''}{name}.npz"
        known = read_counts(path) if path.exists() else {}
        missing = {test: folder for test, folder in tests.items() if test not in known and (test != "val" or not name)}
        if missing:
            found = {test: judge(item, WAYS[name], folder, options) for test, folder in missing.items()}
            write_counts(path, known | found)
            print(f"wrote {path}", flush=True)


def train(item: Run, options: Options) -> None:
    """One training, in a process of its own; what was begun is gone on with."""
    held_out = FOLDS[item.fold]
    kept = subset(options.data / "train", lambda scene: scene not in held_out, options.work / f"without-{item.fold}")
    label_map = item.arm.label_map_path
    mixed = [[str(render(name, options.work / "rendered")), label_map, w] for name, w in item.arm.sources.items()]
    settings = dict(item.arm.train) | {"sources": [[str(kept), label_map, 1.0], *mixed], "seed": item.seed}
    out = options.work / item.name
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "desert_seg_train.cli", "train", "--config", str(config), "--out", str(out)]
    resume = ["--resume"] if (out / "last.ckpt").exists() else []
    subprocess.run([*command, "--start", options.encoder, *resume], check=True)


def test_folders(item: Run, options: Options) -> dict[str, Path]:
    """What a run is judged on: scenes it never saw, val, and rendered deserts."""
    work = options.work
    held_out = {
        scene: subset(options.data / "train", scene.__eq__, work / f"only-{scene}") for scene in FOLDS[item.fold]
    }
    shifts = {name: render(name, work / "rendered") for name in SHIFTS}
    return {**held_out, "val": options.data / "val", **shifts}


def subset(folder: Path, wanted: Callable[[str], bool], out: Path) -> Path:
    """A labelled folder of links to the frames of some scenes."""
    for source in image_and_mask_folders(folder):
        target = out / source.name
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            link = target / path.name
            if wanted(scene_of(path.stem)) and not link.is_symlink():
                link.symlink_to(path.resolve())
    return out


def judge(item: Run, way: Way, folder: Path, options: Options) -> Counts:
    """A confusion matrix for every frame and reading of the truth, through the robot's own inference path."""
    readings = [SegmentationFolder(folder, load_label_map(name)) for name in READINGS]
    artifact = options.work / item.name / "artifact"
    seen = SegmentationFolder(options.work / f"without-{item.fold}", load_artifact(artifact).card.label_map)
    changed = options.work / f"{item.name}-changed"
    segmenter, how = prepare(way, artifact, readings[0], class_shares(seen) if way.priors else np.empty(0), changed)
    names, matrices = [], []
    for index in range(len(readings[0])):
        samples = [reading[index] for reading in readings]
        mask = segmenter.segment(samples[0].image, how).mask
        names.append(samples[0].name)
        matrices.append([count(sample.target, mask, len(segmenter.labels)) for sample in samples])
    return Counts(tuple(names), np.asarray(matrices, np.int64))


if __name__ == "__main__":
    main()
