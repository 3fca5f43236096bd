"""Settings of `make gpu`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class GpuOptions:
    """Prove on this machine's GPU what no other machine can prove, and measure what it is worth.

    Attributes:
        device: Where everything runs; auto is CUDA where torch finds a device.
        quick: Small inputs, small networks and few steps, to check that everything works; no goal applies.
        minutes: When they are over, what runs is stopped, and what is left is reported as not run.
        data: Labelled folder of label map falcon7 to train on; without it, the frames of the sample drive with the
            masks that the shipped model gives them.
        out: Folder for results.json, page.html and logs.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    quick: bool = False
    minutes: float = 9.0
    data: Path | None = None
    out: Path = Path("out/gpu")
