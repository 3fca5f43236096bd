"""Settings of `desert-seg synth`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class SynthConfig:
    """Render labelled frames of a procedural desert, or a drive through one.

    Attributes:
        out: Folder to write; existing frames are kept.
        world: A shipped world by name, or the path of a world's YAML file.
        frames: Number of frames; a drive has HZ x SECONDS instead.
        seed: Seed of all randomness.
        drive: One camera drive along a track instead of unordered frames.
        hz: Frames per second of a drive.
        seconds: Length of a drive.
        randomise: Interpolate the world of every scene between this one and a random shipped one.
        depth: Also write depth/, uint16 millimetres, 0 = sky or beyond 65.5 m.
        processes: Number of rendering processes, 0 = one per core.
        image_format: Format of the colour images; masks and depth are always PNG.
        width: Pixels.
        height: Pixels.
        bag: Also pack the drive into this bag: a folder, or a single file ending in .mcap.
        bag_mb: Limit of the bag's size, 10^6 bytes; JPEG quality is lowered until it fits.
    """

    out: Path = Path("out/synth")
    world: str = "mojave"
    frames: int = 200
    seed: int = 0
    drive: bool = False
    hz: float = 10.0
    seconds: float = 30.0
    randomise: bool = False
    depth: bool = False
    processes: int = 0
    image_format: Literal["jpg", "png"] = "jpg"
    width: int = 960
    height: int = 540
    bag: Path | None = None
    bag_mb: float | None = None
