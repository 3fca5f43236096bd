"""Checks one mask file: whether it is a label mask, whether its values are known, and the pixels per class.

Recognises the usual ways in which masks are damaged. Knows nothing of the image beyond its size.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.images import read_orientation, read_stored
from desert_seg.labels import IGNORE, LabelMap
from desert_seg_train.folder import cure_of_size, read_raw_mask
from desert_seg_train.inspect.fault import Fault
from desert_seg_train.inspect.image_check import turned, unreadable


@dataclass(frozen=True)
class MaskMeasures:
    """Measurements of a mask that are kept without its pixels.

    Attributes:
        counts: K+1 int64: pixels per class and, last, ignored pixels.
    """

    counts: npt.NDArray[np.int64]


def check_mask(path: Path, label_map: LabelMap, size: tuple[int, int] | None) -> MaskMeasures | Fault:
    """Measure a mask, or return its fault.

    Args:
        path: The mask file.
        label_map: What its values mean.
        size: Width and height of the image it belongs to, pixels; None if the image could not be read.

    Returns:
        Its measurements, or the first fault found.
    """
    raw = _read(path, label_map)
    if isinstance(raw, Fault):
        return raw
    if size is not None and (raw.shape[1], raw.shape[0]) != size:
        found = f"the mask is {raw.shape[1]}x{raw.shape[0]}, its image {size[0]}x{size[1]}"
        return Fault("sizes differ", path, found, cure_of_size(raw, size))
    pixels = dict(zip(*(array.tolist() for array in np.unique(raw, return_counts=True)), strict=True))
    values = list(pixels)
    if any(value not in label_map.values for value in values):
        kind, found, cure = label_map.explain(raw)
        return Fault(kind, path, found, cure)
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
    return MaskMeasures(counts)


def _read(path: Path, label_map: LabelMap) -> npt.NDArray[Any] | Fault:
    """The raw values, HxW, or the fault of the file's format."""
    try:
        if (orientation := read_orientation(path)) != 1:
            return turned(path, orientation)
        return read_raw_mask(path, label_map)
    except DataError as error:
        return unreadable(path, error, "unreadable" if read_stored(path) is None else "mask format")
