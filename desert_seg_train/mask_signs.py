"""What the masks of a folder give away when they are looked at together, although each of them is in order by itself.

Knows nothing of reports or trainings.

Shape letters: H, W.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.images import read_palette
from desert_seg.labels import LabelMap
from desert_seg_train.flipped_masks import Flip, better_flip
from desert_seg_train.mixed_values import Crossings, are_mixed, crossings

_LEAST_FLIPPED, _LEAST_SHARE = 4, 0.05
"""So many masks, and so large a share of them, make it likely that they are flipped."""

Color = tuple[int, int, int]


@dataclass(frozen=True)
class MaskSigns:
    """What is kept of a mask.

    Attributes:
        name: Of its file.
        flip: How it fits its image better than as it is.
        crossings: Of its values; None of colours, which have no order.
        values: That occur in it; empty of colours.
        palette: RGB of those of its values that are indices of a palette.
    """

    name: str
    flip: Flip | None
    crossings: Crossings | None
    values: frozenset[int]
    palette: Mapping[int, Color]


def signs_of(path: Path, image: npt.NDArray[np.uint8], raw: npt.NDArray[Any], label_map: LabelMap) -> MaskSigns:
    """Look at a mask.

    Args:
        path: Its file.
        image: HxWx3 uint8 RGB, its image.
        raw: HxW, its values as stored.
        label_map: What they mean.
    """
    flip = better_flip(image, raw)
    if label_map.in_color:
        return MaskSigns(path.name, flip, None, frozenset(), {})
    values = np.flatnonzero(np.bincount(raw.ravel())).tolist()
    colors = read_palette(path)
    palette = {} if colors is None else {value: colors[value] for value in values if value < len(colors)}
    return MaskSigns(path.name, flip, crossings(raw), frozenset(values), palette)


def suspicions(signs: Sequence[MaskSigns], label_map: LabelMap) -> list[str]:
    """What is probably wrong with the masks of a folder, in sentences."""
    return [*_flipped(signs), *_mixed(signs), *_cut(signs, label_map), *_other_palettes(signs)]


def _flipped(signs: Sequence[MaskSigns]) -> Iterator[str]:
    for flip in Flip:
        names = [each.name for each in signs if each.flip is flip]
        if len(names) >= max(_LEAST_FLIPPED, _LEAST_SHARE * len(signs)):
            words, code = flip.value
            yield (
                f"{len(names)} of {len(signs)} masks fit their images better {words} (first: {names[0]}), as if one of "
                f"the two had been turned without the other; look at them, and turn such masks ({code} in NumPy)"
            )


def _mixed(signs: Sequence[MaskSigns]) -> Iterator[str]:
    if are_mixed(each.crossings for each in signs if each.crossings):
        yield (
            "where classes meet, many masks have a seam of the numbers in between, as if they had been smoothed or "
            "resized; export them again, and resize masks by the nearest pixel (cv2.INTER_NEAREST)"
        )


def _cut(signs: Sequence[MaskSigns], label_map: LabelMap) -> Iterator[str]:
    """Numbers above 255 that may count as others because 8 bits were kept of them."""
    found = frozenset[int]().union(*(each.values for each in signs))
    large = [value for value in label_map.values if value > 255]
    if label_map.in_color or not large or not found or max(found) > 255:
        return
    meaning = label_map.values
    pairs = [
        (value, kept)
        for value in large
        for kept in (value & 255, 255)
        if kept in found and meaning[value] != meaning[kept]
    ]
    if pairs:
        value, kept = pairs[0]
        yield (
            f"no mask holds any of the {len(large)} numbers above 255 of label map {label_map.name}, as if 8 bits had "
            f"been kept of them, and {kept}, which {value} becomes so, occurs; if there should be some, export the "
            "masks again with 16 bits"
        )


def _other_palettes(signs: Sequence[MaskSigns]) -> Iterator[str]:
    first: dict[int, tuple[Color, str]] = {}
    for each in signs:
        for value, color in each.palette.items():
            earlier, name = first.setdefault(value, (color, each.name))
            if earlier != color:
                yield (
                    f"the palettes of masks differ: {value} is {list(earlier)} in {name} and {list(color)} in "
                    f"{each.name}, so that a number may not mean the same in all; give a label map whose keys are the "
                    "colours"
                )
                return
