"""Test-time augmentation: the views of a frame that are scored, and how their scores are fused.

A `View` is a transform and its inverse in one place. Scores are averaged on the decoder's low-resolution grid, so
a view costs one pass of the engine and next to nothing else. Knows nothing of engines.

Shape letters: N images, K classes, H, W network input size, h, w score grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DesertSegError

SIZE_MULTIPLE = 32
"""Network input height and width are multiples of this; scaled views are rounded to it."""


@dataclass(frozen=True)
class View:
    """One way of looking at a frame: `scale` times the network's input size, mirrored or not."""

    scale: float = 1.0
    flip: bool = False

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Transform a network input, HxWx3 uint8, into this view of it (contiguous, sizes multiples of 32)."""
        if self.scale != 1.0:
            height, width = (
                max(1, round(side * self.scale / SIZE_MULTIPLE)) * SIZE_MULTIPLE for side in image.shape[:2]
            )
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        return np.asarray(cv2.flip(image, 1), np.uint8) if self.flip else image

    def undo(self, scores: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Bring this view's scores back onto the grid of the plain view.

        Args:
            scores: K planes of this view's grid, float32.
            size: (h, w) of the plain view's grid.

        Returns:
            Khw float32.
        """
        if self.flip:
            scores = scores[:, :, ::-1]
        if scores.shape[1:] != size:
            planes = [
                cv2.resize(np.ascontiguousarray(plane), size[::-1], interpolation=cv2.INTER_LINEAR) for plane in scores
            ]
            scores = np.stack(planes).astype(np.float32, copy=False)
        return scores


_SCALES = (1.0, 0.75, 1.25)

VIEW_SETS: dict[str, tuple[View, ...]] = {
    "none": (View(),),
    "flip": (View(), View(flip=True)),
    "scales": tuple(View(scale) for scale in _SCALES),
    "full": tuple(View(scale, flip) for scale in _SCALES for flip in (False, True)),
}
"""Named view sets; the first view of each is the plain one, whose grid the others are brought onto."""


def view_set(name: str) -> tuple[View, ...]:
    """Look up a view set; raises DesertSegError listing the names that exist."""
    if name not in VIEW_SETS:
        raise DesertSegError(f"there is no view set {name!r}; choose one of: {', '.join(VIEW_SETS)}")
    return VIEW_SETS[name]


def pixels(name: str) -> float:
    """Network input pixels of all views of a set, relative to the plain view; sizes are not rounded."""
    return sum(view.scale**2 for view in view_set(name))


def fuse(
    images: Sequence[npt.NDArray[np.uint8]],
    views: tuple[View, ...],
    score: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
) -> npt.NDArray[np.float32]:
    """Score every view of every image and average the scores on the plain view's grid.

    Args:
        images: N network inputs, HxWx3 uint8, all of one size.
        views: The views, plain one first.
        score: The engine: NHW3 uint8 in, NKhw scores out.

    Returns:
        NKhw float32; the engine's own buffer if there is just one view.
    """
    if len(views) == 1:
        return score(as_batch([views[0].apply(image) for image in images]))
    total: npt.NDArray[np.float32] | None = None
    for _, group in groupby(views, lambda view: view.scale):  # views of one size go through the engine together
        same_size = tuple(group)
        seen = score(as_batch([view.apply(image) for view in same_size for image in images]))
        if total is None:
            total = np.zeros((len(images), *seen.shape[1:]), np.float32)
        for number, planes in enumerate(seen):
            view = same_size[number // len(images)]
            total[number % len(images)] += view.undo(planes, (total.shape[2], total.shape[3]))
    assert total is not None
    return np.asarray(total / len(views), np.float32)


def as_batch(images: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """One array of them all; a single image is not copied."""
    return images[0][None] if len(images) == 1 else np.stack(images)
