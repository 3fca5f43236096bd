"""Classes and label maps.

A `LabelSet` is the list of classes a network predicts, with the colours they are drawn in. A `LabelMap` says
which class each raw value of a dataset's mask files means. Both are data: the YAML files in `label_maps/` are
the only class lists in the project. A copy of the label map travels in every model artifact, and whoever runs
the model reads that copy. This module knows nothing of images on disk.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.yaml_file import find_yaml, read_yaml, shipped_names

IGNORE = 255
"""In a target: not scored. In a published mask: unknown."""

UNKNOWN_NAME = "unknown"
UNKNOWN_COLOR = (0, 0, 0)
MAX_CLASSES = 250

_SHIPPED = Path(__file__).parent / "label_maps"


@dataclass(frozen=True)
class LabelSet:
    """The classes of a network, in the order of its output planes.

    Attributes:
        names: K class names.
        colors: K RGB colours, 0..255.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise DataError(f"found {len(self.names)} classes, expected 1 to {MAX_CLASSES}; fix the list of classes")
        if len(set(self.names)) != len(self.names):
            raise DataError(f"class names repeat in {list(self.names)}; give every class a name of its own")
        if len(self.colors) != len(self.names):
            raise DataError(
                f"found {len(self.colors)} colours for {len(self.names)} classes; give every class one colour"
            )
        if any(len(color) != 3 or not all(0 <= c <= 255 for c in color) for color in self.colors):
            raise DataError("a colour is not three numbers from 0 to 255; write colours as [red, green, blue]")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a class; raises DataError listing the names that exist."""
        if name not in self.names:
            raise DataError(f"there is no class {name!r}; the classes are: {', '.join(self.names)}")
        return self.names.index(name)

    def palette(self) -> npt.NDArray[np.uint8]:
        """RGB colour of every mask value: 256x3 uint8, values that are no class are `UNKNOWN_COLOR`."""
        table = np.full((256, 3), UNKNOWN_COLOR, np.uint8)
        table[: len(self.colors)] = self.colors
        return table


@dataclass(frozen=True)
class LabelMap:
    """What each raw value in a dataset's masks means.

    Attributes:
        name: Identifier, for example `falcon7`.
        labels: The classes it maps to.
        values: Raw mask value -> class index, or `IGNORE`.
    """

    name: str
    labels: LabelSet
    values: Mapping[int, int]

    def __post_init__(self) -> None:
        for value, target in self.values.items():
            if not 0 <= value <= 65535:
                raise DataError(f"label map {self.name}: raw value {value} is outside 0..65535; masks are 16-bit")
            if target != IGNORE and not 0 <= target < len(self.labels):
                raise DataError(
                    f"label map {self.name}: raw value {value} maps to class {target}, which does not exist"
                )

    def apply(self, raw: npt.NDArray[Any], source: str = "mask") -> npt.NDArray[np.uint8]:
        """Turn raw mask values into class indices.

        Args:
            raw: HxW, uint8 or uint16, values as stored in the mask file.
            source: What to call the mask in an error, usually its path.

        Returns:
            HxW uint8, 0..K-1 or `IGNORE`.

        Raises:
            DataError: A value is not in the map, or the array is not an integer mask.
        """
        if raw.ndim != 2 or raw.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise DataError(
                f"{source}: found a {raw.dtype} array of shape {raw.shape}, expected one plane of uint8 or uint16; "
                "save the mask as a single-channel PNG"
            )
        known = np.zeros(65536, bool)
        table = np.full(65536, IGNORE, np.uint8)
        for value, target in self.values.items():
            known[value] = True
            table[value] = target
        if not known[raw].all():
            found, counts = np.unique(raw[~known[raw]], return_counts=True)
            listed = ", ".join(f"{value} ({count} pixels)" for value, count in zip(found[:5], counts[:5], strict=True))
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            hint = "; the mask looks like it was cut to 8 bits" if self._cut_to_8_bits(found) else ""
            raise DataError(
                f"{source}: values {listed}{more} are not in label map {self.name}{hint}; add them to the map, "
                "as a class or as ignore"
            )
        return np.asarray(table[raw], np.uint8)

    def _cut_to_8_bits(self, found: npt.NDArray[Any]) -> bool:
        """True if the unknown values are what 8-bit reading makes of values that the map does know."""
        large = [value for value in self.values if value > 255]
        cut = {value >> 8 for value in large} | {value & 0xFF for value in large} | {255}
        return bool(large) and set(found.tolist()) <= cut

    def to_dict(self) -> dict[str, Any]:
        """The form that YAML files and artifacts carry; `label_map_from_dict` is its inverse."""
        return {
            "name": self.name,
            "classes": [
                {"name": name, "color": list(color)}
                for name, color in zip(self.labels.names, self.labels.colors, strict=True)
            ],
            "values": {
                int(value): "ignore" if target == IGNORE else self.labels.names[target]
                for value, target in self.values.items()
            },
        }


def label_map_from_dict(data: Any, source: str) -> LabelMap:
    """Build a label map from parsed YAML or JSON.

    Args:
        data: A mapping with `name`, `classes` (list of `{name, color}`, or the name of a shipped map whose classes
            are meant) and `values` (raw value -> class name or `ignore`).
        source: What to call it in an error.

    Raises:
        DataError: Something is missing, unknown or inconsistent.
    """
    if not isinstance(data, dict) or not {"name", "classes", "values"} <= data.keys():
        raise DataError(f"{source}: found no name, classes and values; a label map has these three keys")
    classes = data["classes"]
    try:
        if isinstance(classes, str):
            labels = load_label_map(classes).labels
        else:
            labels = LabelSet(
                names=tuple(str(entry["name"]) for entry in classes),
                colors=tuple(tuple(int(c) for c in entry["color"]) for entry in classes),  # type: ignore[misc]
            )
        values = {
            int(value): IGNORE if name == "ignore" else labels.index(str(name))
            for value, name in data["values"].items()
        }
        return LabelMap(str(data["name"]), labels, values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{source}: this is not a label map ({error}); classes are a list of {{name, color}} and values a mapping"
        ) from error
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def shipped_label_maps() -> list[str]:
    """Names of the label maps that come with the package."""
    return shipped_names(_SHIPPED)


def load_label_map(name_or_path: str | Path) -> LabelMap:
    """Read a shipped label map by name, or any label map by path.

    Raises:
        DataError: No such map, or the file is not one.
    """
    path = find_yaml(name_or_path, _SHIPPED, "label map")
    return label_map_from_dict(read_yaml(path), str(path))
