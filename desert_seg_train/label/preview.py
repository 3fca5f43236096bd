"""The chosen frames on one sheet, each beside its proposal, as an overview of what has to be corrected.

Shape letters: H, W of a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.labels import LabelSet
from desert_seg.painter import Painter
from desert_seg_train.label.polygons import Polygon, to_mask

_WIDTH, _LINE = 480, 24
_ALPHA = 0.55
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
_INK, _PAPER = (32, 32, 32), 255


@dataclass(frozen=True)
class Proposal:
    """A frame, HxWx3 uint8 RGB, with its caption and its proposed mask."""

    caption: str
    rgb: npt.NDArray[np.uint8]
    polygons: Sequence[Polygon]


def row(proposal: Proposal, labels: LabelSet) -> npt.NDArray[np.uint8]:
    """The frame, and the frame under its outlined proposal; uint8 RGB, always of one width."""
    height, width = proposal.rgb.shape[:2]
    mask = to_mask(proposal.polygons, (height, width))
    size = _WIDTH, max(1, round(height * _WIDTH / width))
    small = np.asarray(cv2.resize(proposal.rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    shown = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    overlay = Painter(labels).overlay(small, shown, _ALPHA)
    outlines = [np.rint(polygon.points * _WIDTH / width).astype(np.int32) for polygon in proposal.polygons]
    cv2.polylines(overlay, outlines, True, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([_text([(proposal.caption, None)]), np.hstack([small, overlay])])


def sheet(rows: Iterable[npt.NDArray[np.uint8]], labels: LabelSet) -> npt.NDArray[np.uint8]:
    """The rows below a legend of the classes; uint8 RGB."""
    legend = [(name, color) for name, color in zip(labels.names, labels.colors, strict=True)]
    return np.vstack([*_legend(legend), *rows])


def _legend(entries: Sequence[tuple[str, tuple[int, int, int]]]) -> list[npt.NDArray[np.uint8]]:
    """As many lines as the classes need."""
    lines: list[list[tuple[str, tuple[int, int, int] | None]]] = [[]]
    for entry in entries:
        if sum(_advance(name) for name, _ in (*lines[-1], entry)) > 2 * _WIDTH - _LINE:
            lines.append([])
        lines[-1].append(entry)
    return [_text(line) for line in lines]


def _text(entries: Sequence[tuple[str, tuple[int, int, int] | None]]) -> npt.NDArray[np.uint8]:
    """A line of words, each after a patch of its colour if it has one."""
    line = np.full((_LINE, 2 * _WIDTH, 3), _PAPER, np.uint8)
    x = _LINE // 3
    for name, color in entries:
        if color is not None:
            cv2.rectangle(line, (x, 6), (x + 12, 18), color, cv2.FILLED)
        cv2.putText(line, name, (x + (18 if color else 0), 17), _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
        x += _advance(name)
    return line


def _advance(name: str) -> int:
    """Width that a legend's entry takes, pixels."""
    return int(cv2.getTextSize(name, _FONT, _SCALE, 1)[0][0]) + 2 * _LINE
