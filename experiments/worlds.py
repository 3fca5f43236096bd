"""The rendered sets that the experiments train and test on, as changes of shipped worlds.

Four sets show one desert with controlled shifts: unchanged, with other priors (what grows and lies there, and how
much), with another appearance (soil, light, air, geologies), and with both. The others are mixed into trainings.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from desert_seg.yaml_file import read_yaml
from desert_seg_train import synth

SHIPPED = Path(synth.__file__).parent
"""Folder of the shipped worlds and of the catalogue of rocks."""

DENSITIES = {"Rocks": 12.0, "Ground Clutter": 2.0, "Dry Grass": 0.6, "Trees": 0.1, "Lush Bushes": 0.1, "Flowers": 0.0}
"""Factors on the number of things for the shift of priors."""

APPEARANCE = ("ground", "light", "weather", "geologies")
"""Parts of another world for the shift of appearance; the shape of its horizon is part of the ground."""


@dataclass(frozen=True)
class RenderedSet:
    """A set to render: `world` is content for a YAML file, `frames` their number, `options` for `desert-seg synth`."""

    world: dict[str, Any]
    frames: int
    seed: int
    options: tuple[str, ...] = ()


def shipped(name: str) -> dict[str, Any]:
    """Content of a shipped world."""
    content: dict[str, Any] = read_yaml(SHIPPED / "worlds" / f"{name}.yaml")
    return content


def _other_priors(world: dict[str, Any]) -> dict[str, Any]:
    world = copy.deepcopy(world)
    for layer in world["layers"]:
        layer["per_m2"] *= DENSITIES.get(layer["label"], 1.0)
    world["layers"] = [layer for layer in world["layers"] if layer["per_m2"]]
    return world


def _other_appearance(world: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(world) | {key: shipped("dusk" if key == "light" else "redrock")[key] for key in APPEARANCE}


def _geologies(number: int) -> dict[str, Any]:
    """The world of rocks with this many of all geologies."""
    known = list(read_yaml(SHIPPED / "geologies.yaml"))
    return shipped("rockfield") | {"geologies": known[:number], "geologies_per_scene": min(number, 3)}


def rendered_sets() -> dict[str, RenderedSet]:
    """Every set by name."""
    desert = shipped("mojave")
    shifts: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "same": copy.deepcopy,
        "priors": _other_priors,
        "appearance": _other_appearance,
        "both": lambda world: _other_appearance(_other_priors(world)),
    }
    return {
        **{name: RenderedSet(change(desert), 24, 900) for name, change in shifts.items()},
        **{f"rocks{number}": RenderedSet(_geologies(number), 48, 500) for number in (1, 4, 16)},
        "deserts": RenderedSet(desert, 48, 600, ("--randomise",)),
    }


def render(name: str, folder: Path) -> Path:
    """Render a set unless it exists, with one process; returns its folder."""
    wanted, out = rendered_sets()[name], folder / name
    world = folder / f"{name}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    world.write_text(yaml.safe_dump(wanted.world | {"name": name}, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "desert_seg_train.cli", "synth", "--world", str(world), "--out", str(out)]
    numbers = ["--frames", str(wanted.frames), "--seed", str(wanted.seed), "--processes", "1"]
    subprocess.run([*command, *numbers, *wanted.options], check=True)
    return out
