"""Settings of `desert-seg label`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class LabelConfig:
    """Choose the frames worth labelling and write each with a proposed mask, for labelme.

    Attributes:
        inputs: Bags, folders of images, images, or quoted patterns.
        model: Model artifact that proposes the masks: a folder, or the name of a shipped model.
        out: New folder for frames/ (images, each with a labelme file), labels.txt and preview.png.
        count: Frames to choose.
        every: Assess only every Nth frame.
        topic: Image topic of the bags, needed if one has several.
        tta: View set for the proposals; full is three scales, each mirrored.
        tolerance: Largest error of an outline, pixels; more = fewer points to drag.
        min_pixels: Smaller regions are merged into their surroundings; more = fewer polygons.
    """

    inputs: Positional[tuple[str, ...]]
    model: Path
    out: Path
    count: int = 20
    every: int = 1
    topic: str = ""
    tta: Literal["none", "flip", "scales", "full"] = "full"
    tolerance: float = 0.7
    min_pixels: int = 16
