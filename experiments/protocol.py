"""The trainings and their test sets, the same for every arm.

Frames come in scenes. A fold trains on half of the scenes and is tested on the other half; the second fold exchanges
the halves, so that every scene is tested with models that never saw it. The weights after the last step are tested;
nothing is selected on held-out scenes. Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desert_seg.yaml_file import read_yaml

HERE = Path(__file__).resolve().parent

FOLDS = {"cc+ww": ("cc", "ww"), "mt+w": ("mt", "w")}
"""Name of a fold -> the scenes that are held out."""

READINGS = ("falcon7", "falcon7_stones")
"""Label maps for the ground truth: the reference's, and the one where scattered stones are rocks."""

SHIFTS = ("same", "priors", "appearance", "both")
"""Rendered sets that models are tested on."""

YCOR = "ycor"
"""Photographs with other classes: name of the data's folder, of their label map and of the test set."""


@dataclass(frozen=True)
class Arm:
    """One recipe.

    Attributes:
        name: Name of the arm.
        about: Description for the table.
        label_map: Name of a label map, or of a file in label_maps/.
        sources: Rendered sets that are mixed in, with their weights; the real frames have weight 1.
        train: Settings of `desert-seg train`.
    """

    name: str
    about: str
    label_map: str = "falcon7"
    sources: Mapping[str, float] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label_map_path(self) -> str:
        """The label map as an argument of `--sources`."""
        own = HERE / "label_maps" / f"{self.label_map}.yaml"
        return str(own) if own.exists() else self.label_map


@dataclass(frozen=True)
class Run:
    """One training: an arm, the scenes held out, a seed."""

    arm: Arm
    fold: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder and its results."""
        return f"{self.arm.name}-{self.fold}-{self.seed}"


def read_arms(path: Path = HERE / "arms.yaml") -> dict[str, Arm]:
    """The arms by name, each with the base settings merged in."""
    content = read_yaml(path)
    return {
        name: Arm(name, **{**arm, "train": _merged(content["base"], arm.get("train", {}))})
        for name, arm in content["arms"].items()
    }


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes; `class_weights` is replaced as a whole, so that it can be emptied."""
    result = dict(base)
    for key, value in change.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping) and key != "class_weights"
        result[key] = _merged(result[key], value) if nested else value
    return result
