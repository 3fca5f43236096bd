"""What `desert-seg consumers` is told. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ConsumersConfig:
    """Write what Nav2, Hydra, elevation_mapping_cupy and nvblox need to read the outputs of a model.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
        out: Folder for the files.
        policy: YAML with the cost of driving over each class; default: config/traversability.yaml.
    """

    model: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("out/consumers")
    policy: Path | None = None
