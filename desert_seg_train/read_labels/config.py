"""Settings of `desert-seg read-labels`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class ReadLabelsConfig:
    """Read labelme files back into a labelled folder, for `desert-seg adapt` and `train`.

    Attributes:
        labels: Folder that `desert-seg label` wrote, or any folder of images with labelme files.
        model: Model artifact whose classes the labels are: a folder, or the name of a shipped model.
        out: Labelled folder to write or add to; pixels without a label are ignored.
        label_map: Label map with other classes than the model's, by name or path.
        checked: Leave out frames that are not ticked `checked` in labelme.
    """

    labels: Positional[Path]
    model: Path
    out: Path
    label_map: str = ""
    checked: bool = False
