"""Train the arms, test them, and store the counts: resumable, one training after another.

    python -m experiments.run --data ../shared/data --work runs/experiments [--arms A B] [--seeds 0 1]

Trainings and rendered sets are under --work; their results, a confusion matrix for every frame, go to
experiments/results/, from which experiments/table.py makes docs/domain-gap.md.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
import yaml

from desert_seg.artifact import load_artifact
from desert_seg.dataset_folder import image_and_mask_folders
from desert_seg.labels import load_label_map
from desert_seg.scoring import count
from desert_seg_train.folder import SegmentationFolder, scene_of
from experiments.counts import Counts, read_counts, write_counts
from experiments.protocol import FOLDS, HERE, READINGS, SHIFTS, YCOR, Run, read_arms
from experiments.test_time import WAYS, Way, class_shares, prepare
from experiments.worlds import render

TEST_TIME_ARMS = ("combined", "geologies16")
"""The arms that are also tested in every way of test_time.py."""

YCOR_ARMS = ("rare", "geologies16")
"""The arms that are also fine-tuned on photographs with other classes."""


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        data: Folder with falcon/, the first desert, and ycor/, photographs; each with train/ and val/.
        work: Folder for trainings and rendered sets.
        encoder: Initial weights of the encoder.
        arms: Names; default: all.
        seeds: Seeds of the trainings.
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
    """Train and test, except for what exists already."""
    artifact = options.work / item.name / "artifact"
    if not (artifact / "artifact.json").exists():
        train(item, options)
    tests = test_folders(item, options)
    for name in WAYS if item.arm.name in TEST_TIME_ARMS else ("",):
        path = HERE / "results" / f"{item.name}{'@' if name else ''}{name}.npz"
        known = read_counts(path) if path.exists() else {}
        missing = {test: folder for test, folder in tests.items() if test not in known and (test != "val" or not name)}
        if missing:
            seen = options.work / f"without-{item.fold}"
            found = {
                test: judge(artifact, WAYS[name], folder, READINGS, options.work, seen)
                for test, folder in missing.items()
            }
            write_counts(path, known | found)
            print(f"wrote {path}", flush=True)
    path = HERE / "results" / f"{item.name}@{YCOR}.npz"
    if item.arm.name in YCOR_ARMS and not path.exists():
        adapted = teach_ycor(artifact, item.seed, options)
        write_counts(path, {YCOR: judge(adapted, Way(), options.data / YCOR / "val", [YCOR], options.work)})
        print(f"wrote {path}", flush=True)


def train(item: Run, options: Options) -> None:
    """One training, in a process of its own; resumes an interrupted one."""
    held_out = FOLDS[item.fold]
    kept = subset(
        options.data / "falcon" / "train", lambda scene: scene not in held_out, options.work / f"without-{item.fold}"
    )
    label_map = item.arm.label_map_path
    mixed = [[str(render(name, options.work / "rendered")), label_map, w] for name, w in item.arm.sources.items()]
    settings = dict(item.arm.train) | {"sources": [[str(kept), label_map, 1.0], *mixed], "seed": item.seed}
    training(settings, options.work / item.name, options.encoder)


def training(settings: Mapping[str, Any], out: Path, start: str) -> None:
    """`desert-seg train` with these settings, from the first step or where it stopped."""
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")
    command = [sys.executable, "-m", "desert_seg_train.cli", "train", "--config", str(config), "--out", str(out)]
    resume = ["--resume"] if (out / "last.ckpt").exists() else []
    subprocess.run([*command, "--start", start, *resume], check=True)


def test_folders(item: Run, options: Options) -> dict[str, Path]:
    """The test sets of a run: scenes it never saw, val, and rendered deserts."""
    work = options.work
    held_out = {
        scene: subset(options.data / "falcon" / "train", scene.__eq__, work / f"only-{scene}")
        for scene in FOLDS[item.fold]
    }
    shifts = {name: render(name, work / "rendered") for name in SHIFTS}
    return {**held_out, "val": options.data / "falcon" / "val", **shifts}


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


def teach_ycor(artifact: Path, seed: int, options: Options) -> Path:
    """Train the model briefly on photographs with other classes; returns its artifact."""
    out = options.work / f"{artifact.parent.name}-{YCOR}"
    if not (out / "artifact" / "artifact.json").exists():
        settings = dict(read_arms()["tuned"].train) | {"epochs": 5, "seed": seed, "loss": {"dice": 1.0}}
        settings["sources"] = [[str(options.data / YCOR / "train"), YCOR, 1.0]]
        training(settings, out, str(artifact))
    return out / "artifact"


def judge(
    artifact: Path, way: Way, folder: Path, readings: Sequence[str], work: Path, seen: Path | None = None
) -> Counts:
    """A confusion matrix for every frame and reading of the ground truth, through the robot's own inference path.

    Args:
        artifact: The model.
        way: How it is used.
        folder: The test set.
        readings: Label maps.
        work: Folder for changed models.
        seen: The model's training data, which ways that correct priors need.
    """
    folders = [SegmentationFolder(folder, load_label_map(name)) for name in readings]
    shares = np.empty(0)
    if way.priors and seen is not None:
        shares = class_shares(SegmentationFolder(seen, load_artifact(artifact).card.label_map))
    segmenter, how = prepare(way, artifact, folders[0], shares, work / "changed")
    names, matrices = [], []
    for index in range(len(folders[0])):
        samples = [reading[index] for reading in folders]
        mask = segmenter.segment(samples[0].image, how).mask
        names.append(samples[0].name)
        matrices.append([count(sample.target, mask, len(segmenter.labels)) for sample in samples])
    return Counts(tuple(names), np.asarray(matrices, np.int64))


if __name__ == "__main__":
    main()
