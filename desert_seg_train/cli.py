"""`desert-seg`: every offline command. A command's code is imported when it runs, so that `--help` is instant."""

from __future__ import annotations

import importlib
import sys
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from desert_seg.errors import DesertSegError
from desert_seg_train.config import EvaluateConfig, PackageConfig, TrainConfig
from desert_seg_train.inspection.config import InspectConfig
from desert_seg_train.synthetic.config import SynthConfig

COMMANDS: dict[str, tuple[type, str]] = {
    "train": (TrainConfig, "desert_seg_train.training"),
    "evaluate": (EvaluateConfig, "desert_seg_train.evaluation"),
    "package": (PackageConfig, "desert_seg_train.packaging"),
    "inspect": (InspectConfig, "desert_seg_train.inspection.command"),
    "synth": (SynthConfig, "desert_seg_train.synthesis"),
}
"""Command -> what it is told, and the module with the function of the command's name that does it."""


def main() -> None:
    """Parse the command line and run the command; an expected failure ends with one line and exit code 1."""
    kinds: list[Any] = [
        Annotated[config, tyro.conf.subcommand(name, prefix_name=False)] for name, (config, _) in COMMANDS.items()
    ]
    description = "Make and judge datasets and models for off-road segmentation."
    config: Any = tyro.cli(reduce(or_, kinds), prog="desert-seg", description=description)
    name, module = next((name, module) for name, (kind, module) in COMMANDS.items() if isinstance(config, kind))
    try:
        getattr(importlib.import_module(module), name)(config)
    except DesertSegError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        if str(error.name).startswith("desert_seg"):
            raise
        sys.exit(f"error: desert-seg {name} needs the package {error.name}; install the extra: pip install '.[train]'")


if __name__ == "__main__":
    main()
