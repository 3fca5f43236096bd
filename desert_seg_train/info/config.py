"""Settings of `desert-seg info`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class InfoConfig:
    """Show what a model artifact is and which engines can run it here.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
    """

    model: Annotated[Path, tyro.conf.Positional]
