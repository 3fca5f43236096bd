"""Pictures of a frame: image, ground truth, prediction and errors.

Shape letters: H, W of a frame, h, w of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from desert_seg.images import read_mask, write_image
from desert_seg.labels import IGNORE, LabelSet
from desert_seg.segmenter import Segmentation
from desert_seg_train.benchmark.chart import PAPER, rgb
from desert_seg_train.evaluate.measuring import TestSet
from desert_seg_train.evaluate.wording import score
from desert_seg_train.folder import Sample

Rgb = npt.NDArray[np.uint8]
KINDS = ("image", "truth", "prediction", "where it is wrong")
_WIDTH = 480
_WRONG = (232, 72, 32)
_SHEET_INCHES = 11.0
_SHEET_DPI = 150


@dataclass(frozen=True)
class Panel:
    """One frame in four pictures.

    Attributes:
        name: File stem.
        miou: mIoU of this frame alone, over the classes in its ground truth.
        pictures: hxwx3 uint8 RGB, one for each of `KINDS`.
    """

    name: str
    miou: float
    pictures: tuple[Rgb, ...]


class Predictions:
    """The folder of predictions: PNG at the frames' own sizes, named like the frames.

    `raw/` holds class indices as the network numbers them, 8 bits, 255 = unknown; `color/` the same in the classes'
    colours.
    """

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        self._raw, self._color, self._palette = folder / "raw", folder / "color", labels.palette()

    def write(self, sample: Sample, result: Segmentation) -> None:
        """Write both files of a frame."""
        write_image(self._raw / f"{sample.name}.png", result.mask)
        write_image(self._color / f"{sample.name}.png", self._palette[result.mask])

    def read(self, name: str) -> npt.NDArray[np.uint8]:
        """The class indices of a frame, HxW uint8."""
        return np.asarray(read_mask(self._raw / f"{name}.png"), np.uint8)


def make_panel(test_set: TestSet, index: int, miou: float, predictions: Predictions) -> Panel:
    """Draw a frame.

    Args:
        test_set: The test set.
        index: The frame's number in it.
        miou: The frame's mIoU.
        predictions: The folder with its prediction.
    """
    sample = test_set.folder[index]
    mask = predictions.read(sample.name)
    palette = test_set.label_map.labels.palette()
    size = (_WIDTH, max(1, round(_WIDTH * mask.shape[0] / mask.shape[1])))
    small = np.asarray(cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    masks = [
        np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_NEAREST), np.uint8) for each in (sample.target, mask)
    ]
    return Panel(sample.name, miou, (small, palette[masks[0]], palette[masks[1]], _errors(small, *masks)))


def _errors(image: Rgb, target: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> Rgb:
    """The image in grey, dark where nothing is scored, in one bright colour where the prediction is wrong."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    picture = np.asarray(cv2.convertScaleAbs(grey, alpha=0.55, beta=90), np.uint8)
    picture[target == IGNORE] //= 4
    wrong = (target != IGNORE) & (target != mask)
    picture[wrong] = (0.25 * picture[wrong] + 0.75 * np.array(_WRONG)).astype(np.uint8)
    return picture


def sheet(panels: Sequence[Panel], labels: LabelSet, title: str) -> bytes:
    """All panels on one PNG: a row for each frame, the classes' colours below."""
    rows, columns = len(panels), len(KINDS)
    row_inches = _SHEET_INCHES / columns * max(each.pictures[0].shape[0] / _WIDTH for each in panels) + 0.12
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": PAPER.ink}):
        layout = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.03, hspace=0.0, wspace=0.0)
        figure = Figure(figsize=(_SHEET_INCHES, rows * row_inches + 0.8), layout=layout)
        figure.suptitle(title, x=0.005, ha="left", fontsize=11, fontweight="bold")
        plots = figure.subplots(rows, columns, squeeze=False)
        for row, panel in zip(plots, panels, strict=True):
            for axes, picture, kind in zip(row, panel.pictures, KINDS, strict=True):
                axes.imshow(picture)
                axes.set_axis_off()
                name = f"{panel.name}, mIoU {score(panel.miou)}" if kind == KINDS[0] else kind
                axes.set_title(name, fontsize=8.5, loc="left", pad=3)
        handles = [
            Patch(color=rgb(color), label=name)
            for name, color in [*zip(labels.names, labels.colors, strict=True), ("ignored", (0, 0, 0))]
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 9), frameon=False)
        data = BytesIO()
        figure.savefig(data, format="png", dpi=_SHEET_DPI)
    return data.getvalue()
