"""Settings of `desert-seg inspect`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class InspectConfig:
    """Check a dataset folder and show what is in it.

    Attributes:
        data: Labelled folder: Color_Images/ and Segmentation/, or images/ and labels/.
        label_map: What the mask values mean, by name or path.
        against: Another such folder to compare with: the other side of a split, or another domain.
        out: Folder for index.html and report.json.
    """

    data: Positional[Path]
    label_map: str = "falcon10"
    against: Path | None = None
    out: Path = Path("out/inspect")
