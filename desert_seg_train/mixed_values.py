"""Finds masks whose values were mixed by smoothing or resizing although every value is one that the label map names.

Between classes 2 and 6 such a mask has a seam of 3, 4 or 5, which are other classes. Knows nothing of files.

Shape letters: H, W.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_LARGEST_SHARE = 0.15
"""Measured on masks of Falcon and YCOR, whole and scaled to a half and a quarter by the nearest pixel: at most 0.05;
scaled bilinearly, bicubically or by area, or smoothed: 0.28 and more."""

_LEAST_CROSSINGS = 1000


class Crossings(NamedTuple):
    """Pixels whose two neighbours, left and right or above and below, have values that differ by two or more.

    Attributes:
        num_all: How many there are.
        num_between: How many of them have a value between those of the neighbours.
    """

    num_all: int
    num_between: int


def crossings(raw: npt.NDArray[Any]) -> Crossings:
    """Count them in a mask of numbers, HxW."""
    num_all = num_between = 0
    for plane in (raw.astype(np.int32), raw.T.astype(np.int32)):
        first, middle, last = plane[:, :-2], plane[:, 1:-1], plane[:, 2:]
        num_all += np.count_nonzero(np.abs(first - last) > 1)
        num_between += np.count_nonzero((first - middle).clip(-1, 1) * (middle - last).clip(-1, 1) > 0)
    return Crossings(num_all, num_between)


def are_mixed(found: Iterable[Crossings]) -> bool:
    """Whether masks look as if their values had been mixed."""
    every = list(found)
    num_all, num_between = sum(each.num_all for each in every), sum(each.num_between for each in every)
    return num_all >= _LEAST_CROSSINGS and num_between > _LARGEST_SHARE * num_all
