"""Whether a frame uses so few levels of brightness that a network sees next to nothing in it.

So look the images of cameras whose driver does not scale 10 to 14 bits to the 16 that they are sent in, raw thermal
images, and those through a closed shutter. Knows nothing of where they come from.

Shape letters: H, W.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FEW = 64
"""Of 256 levels: all that 14 bits of 16 can fill. Photographs and renderings of deserts and woods use 136 and more."""

_SIDE = 64
"""About so many rows and columns tell."""


def uses_few_levels(rgb: npt.NDArray[np.uint8]) -> bool:
    """Whether the levels of an image (HxWx3 uint8), apart from the 1 % darkest and brightest, are fewer than `FEW`."""
    step = max(1, min(rgb.shape[:2]) // _SIDE)
    low, high = np.percentile(rgb[::step, ::step], (1, 99))
    return bool(high - low < FEW)


def few_levels(num_frames: int, first: str) -> str:
    """The sentence about frames of which `uses_few_levels` is true: how many, the first of them, and the cure."""
    frames = "1 frame uses" if num_frames == 1 else f"{num_frames} frames use"
    return (
        f"{frames} fewer than {FEW} of the 256 levels of brightness (first: {first}), in which a model sees little; of "
        "samples of 16 bits the upper 8 count, so scale those of a camera of 10 to 14 bits, or of a thermal one, to "
        "the full range in its driver, or in image files with `mogrify -auto-level -depth 8`"
    )
