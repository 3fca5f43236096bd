"""Scores to mask: the one upsampling of a frame, on the half-pixel grid, with a running maximum.

Equivalent to `interpolate(scores, size, mode="bilinear", align_corners=False).argmax(0)` but never holds more than
two full-resolution planes (`confidence` and `probabilities` hold K). Knows nothing of engines or labels.

Shape letters: K classes, h, w score grid, H, W output size.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.labels import IGNORE


def decode(
    scores: npt.NDArray[np.float32], size: tuple[int, int], bias: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.uint8]:
    """Class of the highest upsampled score at every pixel.

    Args:
        scores: Khw float32.
        size: (H, W) of the mask.
        bias: K values added to the scores; -inf removes a class, so that the next best one wins.

    Returns:
        HxW uint8, 0..K-1; ties go to the lower index; `IGNORE` everywhere if every class is removed.
    """
    mask, label, wins = (np.full(size, IGNORE, np.uint8) for _ in range(3))
    best = np.full(size, -np.inf, np.float32)
    for index, plane in _planes(scores, size, bias, np.empty_like(best)):
        cv2.compare(plane, best, cv2.CMP_GT, dst=wins)
        cv2.max(plane, best, dst=best)
        label.fill(index)
        cv2.copyTo(label, wins, mask)
    return mask


def confidence(
    scores: npt.NDArray[np.float32], size: tuple[int, int], bias: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.uint8]:
    """Softmax probability of the winning class at every pixel.

    Args:
        scores: Khw float32.
        size: (H, W) of the result.
        bias: As for `decode`.

    Returns:
        HxW uint8: 0..255 stands for probability 0..1; 0 everywhere if every class is removed.
    """
    best: npt.NDArray[np.float32] | None = None
    planes = [plane for _, plane in _planes(scores, size, bias)]
    for plane in planes:
        best = plane.copy() if best is None else np.asarray(cv2.max(plane, best), np.float32)
    if best is None:
        return np.zeros(size, np.uint8)
    total = np.zeros(size, np.float32)
    for plane in planes:
        total += cv2.exp(plane - best)
    return np.asarray(cv2.convertScaleAbs(1 / total, alpha=255), np.uint8)


def probabilities(
    scores: npt.NDArray[np.float32], size: tuple[int, int], bias: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Softmax probability of every class at every pixel.

    Args:
        scores: Khw float32.
        size: (H, W) of the result.
        bias: As for `decode`.

    Returns:
        HxWxK float32, 0..1; a class that is removed has 0 everywhere.
    """
    result = np.zeros((*size, len(scores)), np.float32)
    planes = dict(_planes(scores, size, bias))
    if not planes:
        return result
    best = np.maximum.reduce(list(planes.values()))
    for index, plane in planes.items():
        result[..., index] = cv2.exp(plane - best)
    result /= result.sum(-1, keepdims=True)
    return result


def not_finite(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_] | None:
    """Cells where a class has a NaN or infinite score, so that the best class is unknown.

    Args:
        scores: Khw float32.

    Returns:
        hw, true there; None if there are none.
    """
    finite = np.isfinite(scores)
    return None if finite.all() else np.asarray(~finite.all(0))


def enlarge(
    plane: npt.NDArray[np.float32], size: tuple[int, int], out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Resize one hw plane to (H, W) on OpenCV's half-pixel grid; into `out` if given."""
    return np.asarray(cv2.resize(plane, size[::-1], dst=out, interpolation=cv2.INTER_LINEAR), np.float32)


def _planes(
    scores: npt.NDArray[np.float32],
    size: tuple[int, int],
    bias: npt.NDArray[np.float32] | None,
    out: npt.NDArray[np.float32] | None = None,
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Class index and upsampled HxW plane of every class that is not removed.

    With `out`, each plane overwrites the one before: allocating memory costs as much as the resizing.
    """
    for index, plane in enumerate(scores):
        if bias is not None and np.isneginf(bias[index]):
            continue
        large = enlarge(plane, size, out)
        if bias is not None and bias[index] != 0:
            large += bias[index]  # resizing preserves constants, so the bias can be added afterwards
        yield index, large
