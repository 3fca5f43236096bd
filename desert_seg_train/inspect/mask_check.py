"""Checks one mask file: whether it is a label mask, whether its values are known, and the pixels per class.

Recognises the usual ways in which masks are damaged. Knows nothing of the image beyond its size.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.images import read_orientation, read_stored
from desert_seg.labels import IGNORE, LabelMap
from desert_seg_train.folder import read_raw_mask
from desert_seg_train.inspect.fault import Fault
from desert_seg_train.inspect.image_check import turned, unreadable

_TO_EIGHT_BITS: dict[str, Callable[[int], int]] = {
    "only the high byte of each value was kept": lambda value: value >> 8,
    "only the low byte of each value was kept": lambda value: value & 255,
    "values were clipped at 255": lambda value: min(value, 255),
    "values were scaled from 16 to 8 bits": lambda value: round(value / 257),
}


def check_mask(path: Path, label_map: LabelMap, size: tuple[int, int] | None) -> npt.NDArray[np.int64] | Fault:
    """Count the pixels of every class in a mask, or return its fault.

    Args:
        path: The mask file.
        label_map: What its values mean.
        size: Width and height of the image it belongs to, pixels; None if the image could not be read.

    Returns:
        K+1 int64: pixels per class and, last, ignored pixels; or the first fault found.
    """
    raw = _read(path, label_map)
    if isinstance(raw, Fault):
        return raw
    if size is not None and (raw.shape[1], raw.shape[0]) != size:
        found = f"the mask is {raw.shape[1]}x{raw.shape[0]}, its image {size[0]}x{size[1]}"
        return Fault(
            "sizes differ", path, found, "export the mask at the image's size; never resize with interpolation"
        )
    pixels = dict(zip(*(array.tolist() for array in np.unique(raw, return_counts=True)), strict=True))
    values = list(pixels)
    if values == [0] and 0 not in label_map.values:
        return Fault("empty mask", path, "every pixel is 0", "label the frame or move the pair away")
    if any(value not in label_map.values for value in values):
        return _explain_unknown(path, pixels, label_map)
    counts = np.zeros(len(label_map.labels) + 1, np.int64)
    for value in values:
        target = label_map.values[value]
        counts[-1 if target == IGNORE else target] += pixels[value]
    if not counts[:-1].any():
        found = f"label map {label_map.name} ignores every pixel"
        return Fault("empty mask", path, found, "label the frame, choose another label map or move the pair away")
    if len(values) == 1:
        name = label_map.labels.names[label_map.values[values[0]]]
        found = f"every pixel is {label_map.describe(values[0])} ({name})"
        return Fault("constant mask", path, found, "look at the image; label the rest of it or move the pair away")
    return counts


def _read(path: Path, label_map: LabelMap) -> npt.NDArray[Any] | Fault:
    """The raw values, HxW, or the fault of the file's format."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        found = "JPEG changes values at every edge"
        return Fault("mask format", path, found, "export the mask again as PNG; this copy is spoilt")
    try:
        if (orientation := read_orientation(path)) != 1:
            return turned(path, orientation)
        return read_raw_mask(path, label_map)
    except DataError as error:
        stored = read_stored(path)
        if stored is None:
            return unreadable(path, error)
    if stored.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        found = f"{stored.dtype} values instead of whole numbers of 8 or 16 bits"
        return Fault("mask format", path, found, "round and save as single-channel 16-bit PNG")
    channels = stored.shape[2]
    if all((stored[..., channel] == stored[..., 0]).all() for channel in range(1, min(channels, 3))):
        found = f"{channels} channels that repeat the same values"
        return Fault("mask format", path, found, "keep one channel and save it as PNG")
    found = f"{channels} channels: a picture of the labels, not the labels"
    return Fault("mask format", path, found, "give --label-map a map whose keys are colours, or export the raw values")


def _explain_unknown(path: Path, pixels: dict[int, int], label_map: LabelMap) -> Fault:
    """The fault of a mask that holds values the label map does not name: `pixels` per value, all of them."""
    unknown = [value for value in pixels if value not in label_map.values]
    if not label_map.in_color and all(value < len(label_map.labels) for value in pixels):
        found = f"values {_listed(unknown)} look like class indices, not like raw values of {label_map.name}"
        return Fault("unknown values", path, found, "give --label-map a map of these numbers, or export raw values")
    large = not label_map.in_color and any(value > 255 for value in label_map.values)
    for way, cut in _TO_EIGHT_BITS.items() if large else ():
        origins: dict[int, list[int]] = {}
        for value in label_map.values:
            origins.setdefault(cut(value), []).append(value)
        if pixels.keys() <= origins.keys():
            # Largest first: 7100 and 10000 are ground and sky, which everybody recognises.
            pairs = [(origins[value], value) for value in sorted(unknown, reverse=True)]
            shown = ", ".join(f"{_either(before)} became {after}" for before, after in pairs[:3])
            cure = "export again at 16 bits; read masks with cv2.IMREAD_UNCHANGED and write them as uint16"
            return Fault("8-bit damage", path, f"{way}: {shown}", cure)
    counted = _listed([f"{label_map.describe(value)} ({pixels[value]} pixels)" for value in unknown])
    found = f"label map {label_map.name} does not know {counted}"
    return Fault("unknown values", path, found, "add them to the map, as a class or as ignore")


def _either(values: list[int]) -> str:
    return " or ".join(map(str, values)) if len(values) <= 3 else f"any of {len(values)} values"


def _listed(items: list[int] | list[str]) -> str:
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    return ", ".join(str(item) for item in items[:4]) + more
