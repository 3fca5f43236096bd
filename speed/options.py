"""Settings of a benchmark. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


@dataclass(frozen=True)
class BenchOptions:
    """Measure the segmenter against a straightforward script and against its own bare engine, offline and in the node.

    Attributes:
        model: Model artifact folder.
        reference: Measure the reference network instead, DeepLabV3+ with ResNet-101, with random weights.
        int8: With reference: also quantise it, which takes minutes.
        drive: Bag or folder of images to take frames from.
        check: Exit with 1 if a bar of docs/performance.md is missed, or if the values are too scattered to tell.
        device: Device of the engines and of the straightforward script; auto is CUDA where available.
        rounds: Number of rounds, in each of which everything has one turn; three make one value, and a ratio needs
            three values.
        frames: Frames in a turn.
        rates: Frame rates at which the node is measured.
        seconds: Duration at each rate; the bar for the node's memory requires 600 at 60 Hz.
        node: Also measure the node, which needs ROS.
        quick: Few frames on few engines, to check that everything works.
        out: Folder for bench.json, table.txt, the node's reports and logs.
    """

    model: Path = ROOT / "models" / "light"
    reference: bool = False
    int8: bool = False
    drive: Path = ROOT / "sample_drive"
    check: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    rounds: int = 12
    frames: int = 3
    rates: tuple[float, ...] = (10.0, 20.0, 30.0, 60.0)
    seconds: float = 15.0
    node: bool = True
    quick: bool = False
    out: Path = Path("out/bench")

    def effective(self) -> BenchOptions:
        """The options with the effects of `quick`."""
        if not self.quick:
            return self
        return replace(self, rounds=min(self.rounds, 3), frames=1, seconds=min(self.seconds, 4.0), rates=self.rates[:1])
