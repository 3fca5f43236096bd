"""Classes and label maps.

A `LabelSet` is the list of classes a network predicts, with the colours they are drawn in. A `LabelMap` says which
class each raw value of a dataset's mask files means. Both are data: the YAML files in `label_maps/` are the only class
lists in the project. A copy of the label map travels in every model artifact, and everything that runs the model reads
that copy. This module knows nothing of images on disk.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.unknown_values import Explanation, explain
from desert_seg.yaml_file import find_yaml, read_yaml, shipped_names, shown

IGNORE = 255
"""In a target: not scored. In a published mask: unknown."""

IGNORE_NAME = "ignore"
"""Stands for a class in the values of a label map."""

UNKNOWN_NAME = "unknown"
UNKNOWN_COLOR = (0, 0, 0)
MAX_CLASSES = 250

_UNNAMED = 254
"""In the table of a label map: a value that the map does not name."""

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
        """RGB colour of every mask value: 256x3 uint8, values that are not a class have `UNKNOWN_COLOR`."""
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
        in_color: The masks show classes as colours; the value of a colour is 65536 red + 256 green + blue.
    """

    name: str
    labels: LabelSet
    values: Mapping[int, int]
    in_color: bool = False

    def __post_init__(self) -> None:
        for value, target in self.values.items():
            if not 0 <= value < self._num_values:
                raise DataError(
                    f"label map {self.name}: raw value {value} is outside 0..{self._num_values - 1}; masks are 16-bit"
                )
            if target != IGNORE and not 0 <= target < len(self.labels):
                raise DataError(
                    f"label map {self.name}: raw value {self.spell(value)} maps to class {target}, which does not exist"
                )

    @property
    def _num_values(self) -> int:
        return 2**24 if self.in_color else 2**16

    @cached_property
    def _table(self) -> npt.NDArray[np.uint8]:
        """Class of every possible value."""
        table = np.full(self._num_values, _UNNAMED, np.uint8)
        for value, target in self.values.items():
            table[value] = target
        return table

    def spell(self, value: int) -> str:
        """A raw value as YAML and people write it: `7100`, or `108, 64, 20` for a colour's red, green and blue."""
        return f"{value >> 16}, {value >> 8 & 255}, {value & 255}" if self.in_color else str(value)

    def describe(self, value: int) -> str:
        """A raw value in a sentence: `7100`, or `[108, 64, 20]` for a colour."""
        return f"[{self.spell(value)}]" if self.in_color else str(value)

    def apply(self, raw: npt.NDArray[Any], source: str = "mask") -> npt.NDArray[np.uint8]:
        """Turn raw mask values into class indices.

        Args:
            raw: HxW, uint8 or uint16, values as stored in the mask file; uint32 for colours.
            source: What to call the mask in an error, usually its path.

        Returns:
            HxW uint8, 0..K-1 or `IGNORE`.

        Raises:
            DataError: A value is not in the map, or the array is not an integer mask.
        """
        expected = ("uint32",) if self.in_color else ("uint8", "uint16")
        if raw.ndim != 2 or raw.dtype.name not in expected:
            raise DataError(
                f"{source}: found a {raw.dtype} array of shape {raw.shape}, expected one plane of "
                f"{' or '.join(expected)}; save the mask as a single-channel PNG"
            )
        target = self._table[raw]
        if (target == _UNNAMED).any():
            _, found, cure = self.explain(raw)
            raise DataError(f"{source}: {found}; {cure}")
        return np.asarray(target, np.uint8)

    def explain(self, raw: npt.NDArray[Any]) -> Explanation:
        """Why a mask, as for `apply`, holds values that are not in the map."""
        pixels = dict(zip(*(array.tolist() for array in np.unique(raw, return_counts=True)), strict=True))
        return explain(pixels, self.values, len(self.labels), self.name, self.in_color)

    def to_dict(self) -> dict[str, Any]:
        """The form that YAML files and artifacts carry; `label_map_from_dict` is its inverse."""
        return {
            "name": self.name,
            "classes": [
                {"name": name, "color": list(color)}
                for name, color in zip(self.labels.names, self.labels.colors, strict=True)
            ],
            "values": {
                self.spell(value) if self.in_color else int(value): IGNORE_NAME
                if target == IGNORE
                else self.labels.names[target]
                for value, target in self.values.items()
            },
        }


def label_map_from_dict(data: Any, source: str) -> LabelMap:
    """Build a label map from parsed YAML or JSON.

    Args:
        data: A mapping with `name`, `classes` (list of `{name, color}`, or the name of a shipped map with the same
            classes) and `values` (raw value -> class name or `ignore`). Raw values are whole numbers, or all of them
            colours, such as `108, 64, 20` for red, green and blue.
        source: What to call it in an error.

    Raises:
        DataError: Something is missing, unknown or inconsistent.
    """
    if not isinstance(data, dict) or not {"name", "classes", "values"} <= data.keys():
        raise DataError(f"{source}: found no name, classes and values; a label map has these three keys")
    classes, values = data["classes"], data["values"]
    try:
        if unknown := [key for key in data if key not in ("name", "classes", "values")]:
            raise DataError(
                f"found the key {shown(unknown[0])}, expected name, classes and values; remove it, and write what is "
                f"ignored among the values (255: {IGNORE_NAME})"
            )
        if not isinstance(values, dict):
            raise DataError(
                f"found {shown(values)} as the values, expected each raw value with its class; write them as `0: NAME`"
            )
        if isinstance(classes, str):
            labels = load_label_map(classes).labels
        else:
            labels = LabelSet(
                names=tuple(_read_name(entry) for entry in classes),
                colors=tuple(_read_color(entry["color"]) for entry in classes),
            )
        targets = [_read_target(labels, name) for name in values.values()]
        keys, in_color = _read_keys(list(values))
        return LabelMap(str(data["name"]), labels, dict(zip(keys, targets, strict=True)), in_color)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{source}: this is not a label map ({error}); classes are a list of {{name, color}} and values a mapping"
        ) from error
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def _read_target(labels: LabelSet, name: Any) -> int:
    if name == IGNORE_NAME:
        return IGNORE
    if name not in labels.names:
        raise DataError(
            f"there is no class {shown(name)}; the classes are: {', '.join(labels.names)}, and {IGNORE_NAME} stands "
            "for pixels of none"
        )
    return labels.index(name)


def _read_name(entry: Any) -> str:
    if unknown := [key for key in dict(entry) if key not in ("name", "color")]:
        raise DataError(
            f"found the key {shown(unknown[0])} of a class, expected name and color; write the numbers of classes "
            "among the values"
        )
    name = entry["name"]
    if not isinstance(name, str):
        raise DataError(f"found {shown(name)} as the name of a class, expected text; put quotes around it")
    if not (name and name.isprintable()):
        raise DataError(f"found the class name {shown(name)}, expected characters that can be printed; rename it")
    if name == IGNORE_NAME:
        raise DataError(
            f"found a class named {IGNORE_NAME}, which in the values says that pixels belong to no class; rename it, "
            "or leave it out of the classes"
        )
    return name


def _read_color(color: Any) -> tuple[int, int, int]:
    if not isinstance(color, list) or len(color) != 3 or not all(type(level) is int for level in color):
        raise DataError(
            f"found the colour {shown(color)}, expected three whole numbers from 0 to 255; write colours as "
            "[red, green, blue]"
        )
    return color[0], color[1], color[2]


def _read_keys(keys: list[Any]) -> tuple[list[int], bool]:
    """The raw values that the keys of `values` spell, and whether they are colours."""
    read = []
    for key in keys:
        # In YAML a number is read as one; in JSON every key is text.
        number = re.fullmatch(r"\d+", str(key))
        color = re.fullmatch(r"(\d{1,3}), ?(\d{1,3}), ?(\d{1,3})", str(key))
        if number is None and color is None:
            raise DataError(
                f"found {key!r} as a raw value, expected a whole number, or a colour's red, green and blue like "
                "108, 64, 20; write it so"
            )
        levels = [int(level) for level in color.groups()] if color else []
        if any(level > 255 for level in levels):
            raise DataError(f"found the colour {key}, expected three numbers from 0 to 255; mend it")
        read.append(levels[0] << 16 | levels[1] << 8 | levels[2] if color else int(key))
    num_colors = sum("," in str(key) for key in keys)
    if num_colors not in (0, len(keys)):
        raise DataError(f"found {num_colors} colours among {len(keys)} raw values; give either numbers or colours")
    for key, value in zip(keys, read, strict=True):
        if read.count(value) > 1:
            raise DataError(f"raw value {key} is listed twice; keep one of the two")
    return read, bool(num_colors)


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
