"""Files of the annotation tool labelme (version 5 and 6): JSON with polygons beside every image, and labels.txt.

The shapes of a file are in drawing order, later ones on top, as in labelme itself, so that a shape added by hand wins.
Pixels without a shape, or of the labels `__ignore__` and `_background_`, are not labelled. Knows nothing of datasets.

Shape letters: P points.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.files import write_text
from desert_seg.json_file import parse_json
from desert_seg.labels import IGNORE, LabelSet
from desert_seg_train.label.polygons import Polygon

VERSION = "5.5.0"
"""Version of labelme in the files; nothing written here has changed its meaning since version 4."""

IGNORED_LABEL, BACKGROUND_LABEL = "__ignore__", "_background_"

CHECKED = "checked"
"""Flag of a file, a tick box in labelme, which says that a person has checked the frame."""

_CIRCLE_POINTS = 64


@dataclass(frozen=True)
class LabelledImage:
    """The content of a labelme file.

    Attributes:
        image: Path of the image.
        size: Its (H, W).
        polygons: Polygons in drawing order.
        is_checked: Whether the flag `CHECKED` is set.
    """

    image: Path
    size: tuple[int, int]
    polygons: tuple[Polygon, ...]
    is_checked: bool


def label_values(labels: LabelSet) -> dict[str, int]:
    """Label in labelme -> class index or `IGNORE`; in the order of labels.txt."""
    return {IGNORED_LABEL: IGNORE, BACKGROUND_LABEL: IGNORE} | {name: i for i, name in enumerate(labels.names)}


def write_labels_txt(path: Path, labels: LabelSet) -> None:
    """Write the file that labelme's `--labels` reads."""
    write_text(path, "".join(f"{name}\n" for name in label_values(labels)))


def write_labelme(path: Path, image: LabelledImage, labels: LabelSet) -> None:
    """Write a labelme file, which has to be in the folder of its image."""
    names = {IGNORE: IGNORED_LABEL} | dict(enumerate(labels.names))
    content = {
        "version": VERSION,
        "flags": {CHECKED: image.is_checked},
        "shapes": [
            {
                "label": names[polygon.value],
                "points": polygon.points.tolist(),
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for polygon in image.polygons
        ],
        "imagePath": image.image.name,
        "imageData": None,
        "imageHeight": image.size[0],
        "imageWidth": image.size[1],
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_labelme(path: Path, values: Mapping[str, int]) -> LabelledImage:
    """Read a labelme file.

    Args:
        path: The file.
        values: What each label means, see `label_values`.

    Raises:
        DataError: It is not a labelme file, a label is unknown, or a shape is not an area.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))  # editors on Windows put a mark before the text
        if {"images", "annotations"} <= content.keys():
            raise DataError(
                f"{path}: is a COCO file of many images, expected labelme's of one; draw its annotations as masks "
                "(pycocotools' annToMask), PNG files named like the images"
            )
        image = _image_of(path, content["imagePath"])
        size = int(content["imageHeight"]), int(content["imageWidth"])
        shapes = [(str(shape["label"]), shape.get("shape_type"), shape["points"]) for shape in content["shapes"]]
        is_checked = bool((content.get("flags") or {}).get(CHECKED, False))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: is no labelme file ({_reason(error)}); save it again with labelme") from error
    polygons = []
    for label, kind, points in shapes:
        if label not in values:
            known = ", ".join(name for name, value in values.items() if value != IGNORE)
            raise DataError(
                f"{path}: found the label {label!r}, expected one of: {known}; rename it in labelme, or give a "
                "--label-map that has it"
            )
        polygons.append(Polygon(values[label], _outline(path, label, kind, points)))
    return LabelledImage(image, size, tuple(polygons), is_checked)


def _image_of(path: Path, written: str) -> Path:
    """The image of a labelme file, which may have been moved with it from where its path is written."""
    written_path = PureWindowsPath(written)
    image, beside = path.parent / written_path.as_posix(), path.parent / written_path.name
    return beside if beside.is_file() and not image.exists() else image


def checked_files(folder: Path, labels: LabelSet) -> list[Path]:
    """The labelme files of a folder that a person has ticked and that have a shape; raises as `read_labelme` does."""
    found = ((path, read_labelme(path, label_values(labels))) for path in sorted(folder.glob("*.json")))
    return [path for path, labelled in found if labelled.is_checked and labelled.polygons]


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())


def _outline(path: Path, label: str, kind: Any, points: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Px2 float64 outline of a shape of the file; a circle is given by its centre and a point on it."""
    try:
        corners = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        corners = np.empty(0)
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise DataError(f"{path}: a {label} has points that are not pairs of numbers; draw it again in labelme")
    if kind in ("polygon", "oriented_rectangle", None) and len(corners) >= 3:
        return corners
    if kind == "rectangle" and len(corners) == 2:
        (left, top), (right, bottom) = corners
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if kind == "circle" and len(corners) == 2:
        angles = np.linspace(0, math.tau, _CIRCLE_POINTS, endpoint=False)
        radius = math.dist(*corners)
        return np.asarray(corners[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    raise DataError(
        f"{path}: a {label} is a {kind} of {len(corners)} points, expected a polygon, a rectangle or a circle; draw it "
        "again as a polygon in labelme"
    )
