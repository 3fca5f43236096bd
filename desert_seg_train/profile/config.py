"""Settings of `desert-seg profile`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from desert_seg.speeds import Speed


@dataclass(frozen=True)
class ProfileConfig:
    """Show where the time of a frame goes, stage by stage, on every engine of this machine.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
        sizes: Camera sizes, each as WIDTHxHEIGHT.
        engines: Engines by name; default: all that are installed.
        speed: Input size of the network, as the model recommends it by these names.
        views: View set: none, flip, scales or full.
        frames: Frames to time for every size and engine.
        threads: CPU threads of the engines, 0 = all cores.
        out: Folder for profile.json.
    """

    model: Annotated[Path, tyro.conf.Positional]
    sizes: tuple[str, ...] = ("640x480", "960x540", "1920x1080")
    engines: tuple[str, ...] = ()
    speed: Speed = "balanced"
    views: str = "none"
    frames: int = 15
    threads: int = 0
    out: Path = Path("out/profile")
