"""Settings of `desert-seg adapt`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class AdaptConfig:
    """Teach a model a new place: from a few labelled frames of it, or from a recording without labels.

    Attributes:
        model: Model artifact to begin with: a folder, or the name of a shipped model.
        out: Folder for the run; the new artifact is OUT/artifact.
        frames: Labelled folder, 1 to 20 frames of the place the robot works in.
        unlabelled: Bags, folders of images or images of the place, without labels; beside labelled frames they are not
            learned from, but show what has changed.
        topic: Image topic of the bags, needed if one has several.
        budget: Time for all trainings together, like 10min, 90s or 1h.
        label_map: Label map of the frames, by name or path; default: the model's own. With other classes the last layer
            is replaced.
        replay: Labelled folders that the model must not forget, each as FOLDER LABEL_MAP WEIGHT; the frames have weight
            1. Default, unless the frames show every class: rendered frames of the package, if they have the model's.
        hold_back: Frames that are not learned from, to judge by; default: all are learned from, and the gain is
            estimated by cross-validation.
        export: Also make an artifact for every engine here, compared on the frames of the place.
        seed: Seed of all randomness.
    """

    model: Annotated[Path, tyro.conf.Positional]
    out: Path
    frames: Path | None = None
    unlabelled: tuple[str, ...] = ()
    topic: str = ""
    budget: str = "10min"
    label_map: str = ""
    replay: tuple[tuple[Path, str, float], ...] = ()
    hold_back: tuple[str, ...] = ()
    export: Path | None = None
    seed: int = 0
