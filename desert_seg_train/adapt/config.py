"""Settings of `desert-seg adapt`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class AdaptConfig:
    """Fine-tune a model on a few labelled frames of a new place.

    Attributes:
        model: Model artifact to begin with: a folder, or the name of a shipped model.
        frames: Labelled folder, 1 to 20 frames of the place the robot works in.
        out: Folder for the run; the new artifact is OUT/artifact.
        budget: Time for the training, like 10min, 90s or 1h.
        label_map: Label map of the frames, by name or path; default: the model's own. With other classes the last layer
            is replaced.
        replay: Labelled folders that the model must not forget, each as FOLDER LABEL_MAP WEIGHT; the frames have weight
            1.
        hold_back: Number of frames held out for evaluation; default: every third one.
        seed: Seed of all randomness.
    """

    model: Annotated[Path, tyro.conf.Positional]
    frames: Path
    out: Path
    budget: str = "10min"
    label_map: str = ""
    replay: tuple[tuple[Path, str, float], ...] = ()
    hold_back: tuple[str, ...] = ()
    seed: int = 0
