"""The cost of driving over each class: read from YAML, and painted into masks."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.labels import LabelSet
from desert_seg.share import share_directory
from desert_seg.yaml_file import read_yaml, shown

LETHAL, NO_INFORMATION = 254, 255
"""Costs of nav2_costmap_2d."""

_logger = logging.getLogger(__name__)


def read_policy(path: Path | None = None) -> dict[str, int]:
    """Cost of driving over each class: 0 free to 254 lethal, 255 not ground.

    Args:
        path: YAML with class names and costs; None is the shipped one.

    Raises:
        DataError: The file is missing or is not a mapping of names to such numbers.
    """
    path = path or share_directory() / "config" / "traversability.yaml"
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: found no mapping of class names to costs; write lines like `Rocks: 254`")
    for name, cost in content.items():
        if not isinstance(name, str):
            raise DataError(f"{path}: found {shown(name)} as the name of a class, expected text; put quotes around it")
        if type(cost) is not int or not 0 <= cost <= 255:
            raise DataError(
                f"{path}: found {shown(cost)} as the cost of {shown(name)}, expected a whole number from 0 to 255; "
                "write it without quotes, leading zeros or a point"
            )
    return content


class CostPainter:
    """Masks to costs."""

    def __init__(self, labels: LabelSet, policy: Mapping[str, int]) -> None:
        self._table = np.full(256, NO_INFORMATION, np.uint8)
        self._table[: len(labels)] = [policy.get(name, LETHAL) for name in labels.names]

    def costs(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """HxW uint8 class indices to HxW uint8: 0 free to 254 lethal; 255 = unknown, or no ground."""
        return np.asarray(cv2.LUT(mask, self._table), np.uint8)


def class_costs(labels: LabelSet, policy: Path | None = None) -> dict[str, int]:
    """Cost of every class of a model, by name; a warning names those that are lethal because they have no cost.

    Args:
        labels: The model's classes.
        policy: As `read_policy` takes it. It may name classes of the shipped policy that this model does not have.

    Raises:
        DataError: The policy is unusable, or names a class that is neither the model's nor the shipped policy's.
    """
    costs = read_policy(policy)
    known = (*labels.names, *read_policy())
    for name in costs:
        if name not in known:
            likely = difflib.get_close_matches(name, labels.names, 1)
            cure = f"did you mean {likely[0]!r}?" if likely else f"the classes are: {', '.join(labels.names)}"
            raise DataError(f"{policy}: gives a cost to {name!r}, which is no class of the model; {cure}")
    if unnamed := [name for name in labels.names if name not in costs]:
        _logger.warning(
            "%s gives no cost to %s, which therefore count as lethal; give them one in a policy of your own",
            policy or "the shipped traversability.yaml",
            ", ".join(unnamed),
        )
    return {name: costs.get(name, LETHAL) for name in labels.names}
