"""The page of an inspection: one self-contained HTML file.

The template is `page.html.j2`; this module prepares pictures and curves for it.

Shape letters: H, W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.html_page import data_uri, fill_template
from desert_seg.images import read_image
from desert_seg.labels import LabelMap
from desert_seg_train.folder import read_raw_mask
from desert_seg_train.inspect.fault import by_kind
from desert_seg_train.inspect.report import FolderReport, Report
from desert_seg_train.inspect.survey import Frame
from desert_seg_train.inspect.twins import Twins

SHEET_FRAMES = 18
SHOWN_LEAKS = 6
THUMBNAIL_WIDTH = 320
CURVE_BINS = 64


@dataclass(frozen=True)
class Picture:
    """A frame on the page: its name, image and mask, the latter two as data URIs."""

    name: str
    image: str
    mask: str


def render_page(report: Report) -> str:
    """The whole page, HTML with inline style, SVG curves and pictures as data URIs."""
    distributions = np.stack([folder.total.distributions for folder in report.folders])
    sheets = [_contact_sheet(folder, report.label_map) for folder in report.folders]
    return fill_template(
        Path(__file__).with_name("page.html.j2"),
        {"percent": percent, "color": _css_color, "by_kind": by_kind},
        report=report,
        labels=list(zip(report.label_map.labels.names, report.label_map.labels.colors, strict=True)),
        largest_share=max(0.01, *(float(folder.total.shares.max()) for folder in report.folders)),
        curves=np.reshape(_curves(distributions.reshape(-1, 256)), (-1, 4)).tolist(),
        brightness=_curves(distributions[:, 3]),
        sheets=sheets,
        examples=[sheet[:: max(1, len(sheet) // 4)][:4] for sheet in sheets],
        leaks=[(twins, _image_uri(twins.frame), _image_uri(twins.other)) for twins in _distinct(report.leaks)],
    )


def percent(share: float) -> str:
    """A share in percent: 0, below the smallest shown, or with two decimals."""
    if share == 0:
        return "0 %"
    return "< 0.01 %" if share < 0.00005 else f"{share:.2%}".replace("%", " %")


def _css_color(color: Sequence[float]) -> str:
    red, green, blue = (round(level) for level in color[:3])
    return f"rgb({red} {green} {blue})"


def _curves(distributions: npt.NDArray[np.float64]) -> list[str]:
    """Outlines of histograms, Nx256 shares per level, all at one scale, as SVG paths 256 wide and 100 high."""
    binned = distributions.reshape(len(distributions), CURVE_BINS, -1).sum(2)
    # An overexposed sky is a spike that would flatten everything else, so the ends of the scale may be clipped.
    peak = float(binned[:, 1:-1].max()) or 1.0
    return [_outline(np.minimum(levels / peak, 1.0)) for levels in binned]


def _outline(heights: npt.NDArray[np.float64]) -> str:
    step = 256 / len(heights)
    points = [f"{index * step + step / 2:.1f} {100 - 98 * height:.1f}" for index, height in enumerate(heights)]
    return f"M0 100 L{' L'.join(points)} L256 100 Z"


def _distinct(leaks: Sequence[Twins]) -> list[Twins]:
    """The closest pairs, only the first for each frame of the other folder."""
    closest: dict[str, Twins] = {}
    for twins in leaks:
        closest.setdefault(twins.other.name, twins)
    return list(closest.values())[:SHOWN_LEAKS]


def _contact_sheet(folder: FolderReport, label_map: LabelMap) -> list[Picture]:
    """Frames without a fault, evenly spread over the folder in name order, so that every drive is represented."""
    sound = [frame for frame in folder.frames if frame.image is not None and frame.counts is not None]
    chosen: npt.NDArray[np.int64] = np.unique(
        np.linspace(0, len(sound) - 1, min(SHEET_FRAMES, len(sound))).round().astype(int)
    )
    return [Picture(sound[i].name, _image_uri(sound[i]), _mask_uri(sound[i], label_map)) for i in chosen]


def _image_uri(frame: Frame) -> str:
    image = read_image(frame.image_path)
    small = cv2.resize(image, _thumbnail_size(image), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return data_uri("jpeg", encoded.tobytes())


def _mask_uri(frame: Frame, label_map: LabelMap) -> str:
    mask = label_map.apply(read_raw_mask(frame.mask_path, label_map), str(frame.mask_path))
    small = cv2.resize(mask, _thumbnail_size(mask), interpolation=cv2.INTER_NEAREST)
    colors = label_map.labels.palette()[small]
    encoded = cv2.imencode(".png", cv2.cvtColor(colors, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    return data_uri("png", encoded.tobytes())


def _thumbnail_size(array: npt.NDArray[np.uint8]) -> tuple[int, int]:
    height, width = array.shape[:2]
    return THUMBNAIL_WIDTH, max(1, round(height * THUMBNAIL_WIDTH / width))
