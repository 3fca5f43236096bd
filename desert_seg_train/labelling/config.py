"""What labelling is told, as frozen dataclasses. Imports nothing heavy, so that `--help` is instant."""

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
        model: Artifact folder of the model that proposes.
        out: New folder for frames/ (images, each with a labelme file), labels.txt and preview.png.
        count: Frames to choose.
        every: Only every so many frames are looked at.
        topic: Image topic of the bags, needed if one has several.
        tta: View set for the proposals; full is three scales, each mirrored.
        tolerance: How far outlines may be off, pixels; more = fewer points to drag.
        min_pixels: Smaller pieces go to what is around them; more = fewer polygons.
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


@dataclass(frozen=True)
class ReadLabelsConfig:
    """Read labelme files back into a labelled folder, for `desert-seg adapt` and `train`.

    Attributes:
        labels: Folder that `desert-seg label` wrote, or any folder of images with labelme files.
        model: Artifact folder whose classes the labels are.
        out: Labelled folder to write or add to; pixels without a label are ignored.
        label_map: Label map with other classes than the model's, by name or path.
        checked: Leave out frames that are not ticked `checked` in labelme.
    """

    labels: Positional[Path]
    model: Path
    out: Path
    label_map: str = ""
    checked: bool = False
