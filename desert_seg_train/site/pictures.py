"""Pictures of a frame before and after: what each model sees in it, and where they differ.

Shape letters: H, W of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.painter import Painter

WIDTH = 480
_ALPHA = 0.55
_JPEG_QUALITY = 85

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """A frame in pictures, each uint8 RGB and `WIDTH` wide.

    Attributes:
        name: Of the frame.
        frame: As the camera took it.
        before: Under the earlier model's classes.
        after: Under the later model's.
        changed: Grey, but for the pixels whose class changed: in the colour of the new one.
        share_changed: Share of those pixels, 0..1.
    """

    name: str
    frame: Picture
    before: Picture
    after: Picture
    changed: Picture
    share_changed: float


def compare(
    name: str, rgb: Picture, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], painter: Painter
) -> Comparison:
    """Compare two class masks HxW uint8 of a frame HxWx3 uint8 RGB."""
    size = WIDTH, max(1, round(rgb.shape[0] * WIDTH / rgb.shape[1]))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    first, second = (
        np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8) for mask in (before, after)
    )
    grey = np.repeat(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 128, 3, axis=2)
    changed = np.where((first != second)[..., None], painter.color(second), grey)
    return Comparison(
        name,
        small,
        painter.overlay(small, first, _ALPHA),
        painter.overlay(small, second, _ALPHA),
        changed.astype(np.uint8),
        float((before != after).mean()),
    )


def sheet(comparisons: list[Comparison]) -> Picture:
    """Frame, before, after and changed pixels of each in a row, uint8 RGB; as high as the frames need."""
    rows = [np.hstack([each.frame, each.before, each.after, each.changed]) for each in comparisons]
    return np.asarray(np.vstack(rows), np.uint8)


def to_jpeg(picture: Picture) -> bytes:
    """Encode a picture."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes())
