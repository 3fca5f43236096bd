"""Settings of `desert-seg consumers`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ConsumersConfig:
    """Write the configuration with which Nav2, Hydra, elevation_mapping_cupy and nvblox read a model's outputs.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
        out: Folder for the files.
        policy: YAML with the cost of driving over each class; default: config/traversability.yaml.
    """

    model: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("out/consumers")
    policy: Path | None = None
