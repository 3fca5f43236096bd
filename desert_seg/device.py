"""`desert_seg.views` and `desert_seg.decode` for scores on a torch device: for a GPU.

Functions of the same name do the same and are tested against each other: views are fused on the scores' own grid, there
is one upsampling on the half-pixel grid, and of masks and confidence only uint8 comes back. Used on CUDA alone, and not
run on a GPU yet: only in tests, on a CPU. `make gpu` runs them there.

Shape letters: N images, K classes, h, w score grid, H, W output size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from desert_seg.labels import IGNORE
from desert_seg.views import View, as_batch


@torch.inference_mode()
def fuse(
    images: Sequence[npt.NDArray[np.uint8]], views: tuple[View, ...], score: Callable[[npt.NDArray[np.uint8]], Tensor]
) -> Tensor:
    """The twin of `desert_seg.views.fuse`.

    Args:
        images: N network inputs, HxWx3 uint8, all of one size.
        views: The views, plain one first.
        score: The engine: NHW3 uint8 in, NKhw float32 scores on its device out, which its next call may overwrite.

    Returns:
        NKhw float32; the engine's own buffer if there is just one view.
    """
    total: Tensor | None = None
    for _, group in groupby(views, lambda view: view.scale):  # views of one size go through the engine together
        same_size = tuple(group)
        seen = score(as_batch([view.apply(image) for view in same_size for image in images]))
        if len(views) == 1:
            return seen
        for view, planes in zip(same_size, torch.split(seen, len(images)), strict=True):
            plain = planes.flip(-1) if view.flip else planes
            if total is None:
                total = plain.clone()
            else:
                total += enlarge(plain, (total.shape[2], total.shape[3]))
    assert total is not None
    return total / len(views)


@torch.inference_mode()
def decode(scores: Tensor, size: tuple[int, int], bias: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.uint8]:
    """The twin of `desert_seg.decode.decode`, which explains the arguments; `scores` are Khw float32 on any device."""
    if _removes_every_class(bias):
        return np.full(size, IGNORE, np.uint8)
    mask = _large(scores, size, bias).argmax(0)  # ties go to the lower index
    return np.asarray(mask.to(torch.uint8).cpu().numpy(), np.uint8)


@torch.inference_mode()
def confidence(
    scores: Tensor, size: tuple[int, int], bias: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.uint8]:
    """The twin of `desert_seg.decode.confidence`, which explains the arguments; `scores` are Khw float32."""
    if _removes_every_class(bias):
        return np.zeros(size, np.uint8)
    likeliest = _large(scores, size, bias).softmax(0).amax(0)
    return np.asarray((likeliest * 255).round().to(torch.uint8).cpu().numpy(), np.uint8)


@torch.inference_mode()
def not_finite(scores: Tensor) -> npt.NDArray[np.bool_] | None:
    """The twin of `desert_seg.decode.not_finite`, which explains the result; `scores` are Khw float32."""
    finite = torch.isfinite(scores)
    return None if bool(finite.all()) else np.asarray((~finite.all(0)).cpu().numpy(), np.bool_)


@torch.inference_mode()
def without(scores: Tensor, cells: npt.NDArray[np.bool_]) -> Tensor:
    """Scores Khw with 0 for every class in some cells, hw."""
    return torch.where(torch.from_numpy(cells).to(scores.device), 0.0, scores)


def enlarge(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize NKhw planes to (H, W) on the half-pixel grid; returned as they are if they have that size."""
    if planes.shape[2:] == size:
        return planes
    return torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=False)


def _large(scores: Tensor, size: tuple[int, int], bias: npt.NDArray[np.float32] | None) -> Tensor:
    """Biased scores, KHW; a class that is removed has minus infinity everywhere."""
    large = enlarge(scores[None], size)[0]
    return large if bias is None else large + torch.from_numpy(bias).to(large.device)[:, None, None]


def _removes_every_class(bias: npt.NDArray[np.float32] | None) -> bool:
    return bias is not None and bool(np.isneginf(bias).all())
