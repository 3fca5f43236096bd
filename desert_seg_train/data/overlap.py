"""Frames that are both trained on and validated on, which makes a validation measure memory.

Files are compared, byte for byte; `desert-seg inspect --against` finds near-twins, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from desert_seg.images import read_file
from desert_seg_train.data.sources import Source


def trained_on(training: Sequence[Source], validation: Sequence[Source]) -> list[Path]:
    """Images to validate on that are trained on, under whatever name; raises DataError if one cannot be read."""
    trained, validated = _images(training), _images(validation)
    sizes = {path.stat().st_size for path in trained} & {path.stat().st_size for path in validated}
    known = {_digest(path) for path in trained if path.stat().st_size in sizes}
    return [path for path in validated if path.stat().st_size in sizes and _digest(path) in known]


def _images(sources: Sequence[Source]) -> list[Path]:
    return [source.folder.pairs[index][0] for source in sources for index in source.indices]


def _digest(path: Path) -> bytes:
    return hashlib.sha256(read_file(path)).digest()
