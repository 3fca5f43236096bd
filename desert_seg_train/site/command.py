"""`desert-seg site`: from a recording of a new place to a model that knows it, in one command.

    desert-seg site my_drive_bag --out out/my_site --node /segment

It strings together what other commands do: frames are chosen and corrected (`label`, labelme, `read-labels`), a model
is taught (`adapt`) and made ready for every engine (`export`), and a page shows it before and after. What has been done
is seen from the files in the folder, so the same command goes on where it ended.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from desert_seg.artifact import Artifact, load_artifact
from desert_seg.console import Console
from desert_seg.errors import ArtifactError, DesertSegError
from desert_seg.labels import LabelSet
from desert_seg_train.adapt.command import ARTIFACT, adapt, parse_duration
from desert_seg_train.adapt.config import AdaptConfig
from desert_seg_train.adapt.place_frames import PLACE
from desert_seg_train.export.command import MissedBarError, export
from desert_seg_train.export.config import ExportConfig
from desert_seg_train.label.command import FRAMES, labelme_command, propose
from desert_seg_train.label.config import LabelConfig
from desert_seg_train.label.labelme import checked_files
from desert_seg_train.predict.inputs import find_chunks
from desert_seg_train.read_labels.command import LABEL_MAP, collect
from desert_seg_train.read_labels.config import ReadLabelsConfig
from desert_seg_train.site.config import SiteConfig
from desert_seg_train.site.correcting import have_corrected
from desert_seg_train.site.page import PAGE, SHEET, write_page
from desert_seg_train.site.record import RECORD, begin

LABEL, MODEL, RUNS, LABELLED = "label", "model", "runs", "labelled"

ENTRIES = (LABEL, MODEL, RUNS, PAGE, SHEET, RECORD)
"""Everything in the folder of a site."""

LOOKED_AT = 200
"""Frames of a recording that are looked at to choose from, evenly spread; a long one would take hours."""


def site(config: SiteConfig) -> None:
    """Go on to the next thing that a person has to do, or to the end.

    Raises:
        DataError: The recording, the labels or a setting is unusable, the folder is another site's, or what the model
            taught itself is refused.
        ArtifactError: The model is missing or damaged.
        DesertSegError: labelme failed, or the node did not take the model.
        StoppedError: SIGINT or SIGTERM ended it.
    """
    console = Console()
    parse_duration(config.budget)
    artifact = load_artifact(config.model)
    begin(config, artifact, ENTRIES)
    corrected: list[Path] = []
    if config.labels == "ask" and not (corrected := _corrected(config, artifact.card.label_map.labels, console)):
        return
    run, model = _run_folder(config, corrected), config.out / MODEL
    try:
        _teach(config, run, model, console)
    except MissedBarError as error:
        console.print(f"warning: {error}")
    write_page(config.out, run, artifact, load_artifact(model), console)
    console.print(f"before and after, side by side: {config.out / PAGE}")
    if config.node:
        console.print(_swap(config.node, model))
    else:
        console.print(f"give it to a running node: python -m desert_seg_ros.swap_model /segment {model.resolve()}")


def _corrected(config: SiteConfig, labels: LabelSet, console: Console) -> list[Path]:
    """The labelme files that a person has corrected and ticked; if there are none, says what to do."""
    folder = config.out / LABEL
    if not folder.exists():
        _choose(config, folder, console)
    files = checked_files(folder / FRAMES, labels)
    if not files:
        about = "correct the frames in labelme (pip install labelme) and tick `checked` on each"
        console.print_command(about, *labelme_command(folder))
        if have_corrected(folder, console):
            files = checked_files(folder / FRAMES, labels)
    if not files:
        console.print(
            "stopped here, because no frame is ticked `checked`; tick those you have corrected, and the same command "
            "goes on from there, or with --labels none without them"
        )
    return files


def _choose(config: SiteConfig, folder: Path, console: Console) -> None:
    """Choose frames and propose masks."""
    num_frames = sum(len(chunk) for text in config.inputs for chunk in find_chunks(text, config.topic))
    every = max(1, -(-num_frames // LOOKED_AT))
    settings = LabelConfig(config.inputs, config.model, folder, config.count, every, config.topic)
    num_written, unreadable = propose(settings, console)
    console.print(f"wrote {folder}: {num_written} frames in {FRAMES}/")
    if unreadable:
        console.print(f"warning: {unreadable}")


def _run_folder(config: SiteConfig, corrected: Sequence[Path]) -> Path:
    """Where the model is taught: another folder for other labels and other settings."""
    digest = hashlib.sha256(json.dumps([parse_duration(config.budget), config.replay], default=str).encode())
    for path in corrected:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    learned = f"{len(corrected)}_labels" if corrected else "without_labels"
    return config.out / RUNS / f"{config.out.resolve().name}_{learned}_{digest.hexdigest()[:8]}"


def _teach(config: SiteConfig, run: Path, model: Path, console: Console) -> None:
    """Teach the model and export it, as far as that has not been done."""
    taught = run / ARTIFACT
    if taught.exists():
        if not _is_export(model, load_artifact(taught)):
            export(ExportConfig(model, model=taught, images=run / PLACE))
        return
    shutil.rmtree(run, ignore_errors=True)  # of a run that was interrupted
    settings = AdaptConfig(
        config.model,
        run,
        unlabelled=config.inputs,
        topic=config.topic,
        budget=config.budget,
        replay=config.replay,
        export=model,
    )
    if config.labels == "ask":
        frames = run / LABELLED
        collect(ReadLabelsConfig(config.out / LABEL, config.model, frames, checked=True), console)
        settings = replace(settings, frames=frames, label_map=str(frames / LABEL_MAP))
    adapt(settings)


def _is_export(model: Path, taught: Artifact) -> bool:
    """Whether there is a model and it was made of this artifact."""
    try:
        return load_artifact(model).card.provenance.get("model") == taught.digest
    except ArtifactError:
        return False


def _swap(node: str, model: Path) -> str:
    """Have desert_seg_ros give the node the model; returns what the node said."""
    command = [sys.executable, "-m", "desert_seg_ros.swap_model", node, str(model.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ")
        raise DesertSegError(f"{model} is ready, but {reason}")
    return done.stdout.strip()
