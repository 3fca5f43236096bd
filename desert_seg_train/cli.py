"""`desert-seg`: every offline command. A command's code is imported when it runs, so that `--help` is instant."""

from __future__ import annotations

import importlib
import os
import sys
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import tyro

from desert_seg.errors import DataError, DesertSegError
from desert_seg_train.calibration.config import CalibrateConfig
from desert_seg_train.config import AdaptConfig, ConsumersConfig, InfoConfig, TrainConfig
from desert_seg_train.deployment.config import ExportConfig
from desert_seg_train.evaluation.config import BenchmarkConfig, EvaluateConfig
from desert_seg_train.inspection.config import InspectConfig
from desert_seg_train.labelling.config import LabelConfig, ReadLabelsConfig
from desert_seg_train.prediction.config import PredictConfig
from desert_seg_train.profiling.config import ProfileConfig
from desert_seg_train.synthetic.config import SynthConfig
from desert_seg_train.yaml_config import read_yaml_config

COMMANDS: dict[str, tuple[type, str]] = {
    "train": (TrainConfig, "desert_seg_train.training"),
    "adapt": (AdaptConfig, "desert_seg_train.adaptation"),
    "evaluate": (EvaluateConfig, "desert_seg_train.evaluation.evaluate"),
    "benchmark": (BenchmarkConfig, "desert_seg_train.evaluation.benchmark"),
    "calibrate": (CalibrateConfig, "desert_seg_train.calibration.command"),
    "predict": (PredictConfig, "desert_seg_train.prediction.predict"),
    "export": (ExportConfig, "desert_seg_train.deployment.command"),
    "consumers": (ConsumersConfig, "desert_seg_train.consumers"),
    "info": (InfoConfig, "desert_seg_train.information"),
    "inspect": (InspectConfig, "desert_seg_train.inspection.command"),
    "label": (LabelConfig, "desert_seg_train.labelling.propose"),
    "read-labels": (ReadLabelsConfig, "desert_seg_train.labelling.read_back"),
    "profile": (ProfileConfig, "desert_seg_train.profiling.command"),
    "synth": (SynthConfig, "desert_seg_train.synthesis"),
}
"""Command -> what it is told, and the module with the function of the command's name that does it."""

FORWARDED = {"replay": "desert_seg_ros.replay"}
"""Command -> module of the robot's side whose `main` takes the rest of the command line."""

DESCRIPTION = """Make and judge datasets and models for off-road segmentation.

Every command also takes --config FILE: its settings in YAML, which the options given beside it override. One more
command, `desert-seg replay`, publishes a bag or a folder of images on live topics (as desert-seg-replay does)."""


def main() -> None:
    """Parse the command line and run the command; an expected failure ends with one line and exit code 1."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in FORWARDED:
        importlib.import_module(FORWARDED[name]).main(sys.argv[2:])
        return
    try:
        name, config = parse(sys.argv[1:])
        _, module = COMMANDS[name]
        getattr(importlib.import_module(module), name.replace("-", "_"))(config)
    except DesertSegError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # the reader of our output, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("desert_seg"):
            raise
        sys.exit(f"error: desert-seg {name} needs the package {error.name}; install the extra: pip install '.[train]'")


def parse(arguments: list[str]) -> tuple[str, Any]:
    """The command's name and its settings.

    Args:
        arguments: Those of the command line, without the program's name.

    Raises:
        DataError: The YAML file is not what it should be.
        SystemExit: The command line is not, or help was asked for; everything is said by then.
    """
    rest, path = _take_config_option(arguments)
    defaults: dict[str, Any] = {}
    if path is not None and rest and rest[0] in COMMANDS:
        defaults[rest[0]] = read_yaml_config(COMMANDS[rest[0]][0], path)
    kinds: list[Any] = []
    for name, (kind, _) in COMMANDS.items():
        default = {"default": defaults[name]} if name in defaults else {}
        kinds.append(Annotated[kind, tyro.conf.subcommand(name, prefix_name=False, **default)])
    config: Any = tyro.cli(reduce(or_, kinds), args=rest, prog="desert-seg", description=DESCRIPTION)
    return next((name, config) for name, (kind, _) in COMMANDS.items() if isinstance(config, kind))


def _take_config_option(arguments: list[str]) -> tuple[list[str], Path | None]:
    """The arguments without `--config FILE`, and that file."""
    for place, argument in enumerate(arguments):
        if argument == "--config":
            if place + 1 == len(arguments):
                raise DataError("found --config without a file, expected a YAML file after it; add its path")
            return arguments[:place] + arguments[place + 2 :], Path(arguments[place + 1])
        if argument.startswith("--config="):
            return arguments[:place] + arguments[place + 1 :], Path(argument.removeprefix("--config="))
    return arguments, None


if __name__ == "__main__":
    main()
