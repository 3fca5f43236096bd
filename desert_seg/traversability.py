"""What it costs to drive over each class: a YAML of names and numbers, and masks painted with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.labels import LabelSet
from desert_seg.share import share_directory
from desert_seg.yaml_file import read_yaml

LETHAL, NO_INFORMATION = 254, 255
"""Costs of nav2_costmap_2d."""


def read_policy(path: Path | None = None) -> dict[str, int]:
    """Cost of driving over each class: 0 free to 254 lethal, 255 no ground at all.

    Args:
        path: YAML with class names and costs; None is the shipped one.

    Raises:
        DataError: The file is missing or is not a mapping of names to such numbers.
    """
    path = path or share_directory() / "config" / "traversability.yaml"
    content = read_yaml(path)
    if not isinstance(content, dict) or not all(type(cost) is int and 0 <= cost <= 255 for cost in content.values()):
        raise DataError(
            f"{path}: found something else than class names with whole numbers from 0 to 255; see the shipped one"
        )
    return {str(name): cost for name, cost in content.items()}


class CostPainter:
    """Masks to costs."""

    def __init__(self, labels: LabelSet, policy: Mapping[str, int]) -> None:
        self._table = np.full(256, NO_INFORMATION, np.uint8)
        self._table[: len(labels)] = [policy.get(name, LETHAL) for name in labels.names]

    def costs(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """HxW uint8 class indices to HxW uint8: 0 free to 254 lethal; 255 = unknown, or no ground."""
        return np.asarray(cv2.LUT(mask, self._table), np.uint8)
