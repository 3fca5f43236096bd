"""Masks as polygons that a person can edit, and back: drawn in order, later ones on top, they give the mask.

Every connected region of a class is one polygon without holes; regions in its holes come after it. A polygon also
extends a little under later neighbours, so that simplified outlines leave no gaps. Knows nothing of files.

Shape letters: H, W, P points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.labels import IGNORE

Window = tuple[slice, slice]
"""Rows and columns of a part of a frame."""

_FARTHEST = 1 << 15
"""Coordinates are clipped to this, because cv2 draws with limited integers."""


@dataclass(frozen=True)
class Polygon:
    """An area: `value` is its class index or `IGNORE`, `points` Px2 float64 x, y of pixel centres, P at least 3."""

    value: int
    points: npt.NDArray[np.float64]


def to_polygons(mask: npt.NDArray[np.uint8], tolerance: float, min_pixels: int = 1) -> list[Polygon]:
    """Outline every region of a mask, in drawing order.

    Args:
        mask: HxW uint8, class indices or `IGNORE`.
        tolerance: Largest error of an outline, pixels; with 0 the mask is reproduced exactly.
        min_pixels: Smaller regions are merged into the nearest one.
    """
    mask = _without_specks(mask, min_pixels)
    pieces, windows = _pieces(mask)
    contours = [_contour(pieces[window] == index, window) for index, window in enumerate(windows)]
    # Regions are 4-connected, so if two filled regions overlap, one is in a hole of the other, and smaller.
    areas = [np.count_nonzero(_filled(contour, window)) for contour, window in zip(contours, windows, strict=True)]
    order = np.argsort(areas, kind="stable")[::-1]
    ranks = np.argsort(order)[pieces]
    polygons = []
    for rank, index in enumerate(order):
        contour = contours[index]
        x, y = contour[0, 0]
        value = int(mask[y, x])
        if tolerance > 0:
            contour = _undercut(contour, windows[index], ranks, rank, math.ceil(tolerance) + 1)
            contour = cv2.approxPolyDP(contour, tolerance, closed=True)
        points = contour[:, 0].astype(np.float64)
        missing = max(0, 3 - len(points))
        polygons.append(Polygon(value, np.concatenate([points, np.repeat(points[-1:], missing, axis=0)])))
    return polygons


def to_mask(polygons: Iterable[Polygon], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw polygons over each other: HxW uint8 of a size (H, W), `IGNORE` where there is none."""
    mask = np.full(size, IGNORE, np.uint8)
    for polygon in polygons:
        points = np.rint(np.clip(polygon.points, -_FARTHEST, _FARTHEST)).astype(np.int32)
        cv2.fillPoly(mask, [points], polygon.value)
    return mask


def _pieces(mask: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int32], list[Window]]:
    """For every pixel the number of its 4-connected region, from 0, HxW int32; for every region its window."""
    pieces = np.zeros(mask.shape, np.int32)
    windows: list[Window] = []
    for value in np.unique(mask):
        _, found, boxes, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=4)
        pieces[found > 0] = found[found > 0] + len(windows) - 1
        windows += [(slice(y, y + height), slice(x, x + width)) for x, y, width, height, _ in boxes[1:].tolist()]
    return pieces, windows


def _without_specks(mask: npt.NDArray[np.uint8], min_pixels: int) -> npt.NDArray[np.uint8]:
    """The mask with every region smaller than `min_pixels` given the value of the nearest larger one."""
    pieces, _ = _pieces(mask)
    is_speck = (np.bincount(pieces.ravel()) < min_pixels)[pieces]
    if is_speck.all() or not is_speck.any():
        return mask
    source = is_speck.astype(np.uint8)
    nearest = cv2.distanceTransformWithLabels(source, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    values = np.zeros(nearest.max() + 1, np.uint8)
    values[nearest[~is_speck]] = mask[~is_speck]
    return np.asarray(values[nearest], np.uint8)


def _contour(area: npt.NDArray[np.bool_], window: Window) -> npt.NDArray[np.int32]:
    """Outer outline of the connected area in a window: Px1x2 int32 x, y in the frame."""
    rows, columns = window
    (contour,), _ = cv2.findContours(
        area.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(columns.start, rows.start)
    )
    return np.asarray(contour, np.int32)


def _filled(contour: npt.NDArray[np.int32], window: Window) -> npt.NDArray[np.bool_]:
    """The inside of an outline in a window, including the outline, bool."""
    rows, columns = window
    canvas = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    cv2.fillPoly(canvas, [contour], 1, offset=(-columns.start, -rows.start))
    return canvas > 0


def _undercut(
    contour: npt.NDArray[np.int32], window: Window, ranks: npt.NDArray[np.intp], rank: int, reach: int
) -> npt.NDArray[np.int32]:
    """The outline of a region, extended under later ones where that covers no earlier one."""
    rows, columns = (slice(max(0, side.start - reach), side.stop + reach) for side in window)
    near = ranks[rows, columns]
    wider_window = slice(rows.start, rows.start + near.shape[0]), slice(columns.start, columns.start + near.shape[1])
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    grown = cv2.dilate((near == rank).astype(np.uint8), kernel)
    areas = cv2.connectedComponents(grown * (near >= rank).astype(np.uint8))[1]
    x, y = contour[0, 0]
    wider = _contour(areas == areas[y - rows.start, x - columns.start], wider_window)
    return contour if (near[_filled(wider, wider_window)] < rank).any() else wider
