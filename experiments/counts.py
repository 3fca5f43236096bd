"""The stored results of a model: for every test set the frames' names and confusion matrices.

Shape letters: N frames, L readings of the truth, K classes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.files import write_bytes


@dataclass(frozen=True)
class Counts:
    """`names` of N frames and NxLxKx(K+1) int64 `matrices`, as of `desert_seg.scoring.count`."""

    names: tuple[str, ...]
    matrices: npt.NDArray[np.int64]


def write_counts(path: Path, counts: Mapping[str, Counts]) -> None:
    """Write the counts of several test sets to one file."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name, each in counts.items():
        arrays[f"{name}/names"] = np.array(each.names)
        arrays[f"{name}/matrices"] = each.matrices.astype(np.int32)  # a frame has half a million pixels
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_counts(path: Path) -> dict[str, Counts]:
    """The counts by test set."""
    with np.load(path, allow_pickle=False) as arrays:
        sets = [name.removesuffix("/names") for name in arrays.files if name.endswith("/names")]
        return {
            name: Counts(tuple(arrays[f"{name}/names"].tolist()), arrays[f"{name}/matrices"].astype(np.int64))
            for name in sets
        }
