"""What is shown of a frame, under which names, and how the window is divided.

Shape letters: H, W of a frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.labels import IGNORE, LabelSet
from desert_seg.painter import Painter
from desert_seg.segmenter import Segmentation

RIGHT = 254
"""In the picture of errors: where the mask is the truth. Elsewhere it has the true class, 255 where there is none."""

OVERLAY_ALPHA = 0.5
_JPEG_QUALITY = 90
_UNKNOWN_COLOR = (255, 0, 255)
_KEY_ROWS, _KEY_COLUMN = 6, 3
"""Classes below each other in the picture of their colours, and how far its columns are apart, in rows."""
_CURVE_COLORS = {
    "latency_ms/resize": (90, 200, 250),
    "latency_ms/inference": (255, 170, 50),
    "latency_ms/decode": (110, 220, 110),
    "latency_ms/total": (240, 240, 240),
    "share/unknown": _UNKNOWN_COLOR,
    "share/wrong": (255, 170, 50),
}


class Scene:
    """Logs frames to a recording, with the classes in their colours."""

    def __init__(self, rerun: Any, recording: Any, labels: LabelSet) -> None:
        self._rerun, self._recording, self._painter = rerun, recording, Painter(labels)
        classes = list(zip(range(len(labels)), labels.names, labels.colors, strict=True))
        nothing = (IGNORE, "unknown", (0, 0, 0))
        unlabelled, right = (IGNORE, "not labelled", (0, 0, 0)), (RIGHT, "right", (40, 40, 40))
        legends = {
            "mask": [*classes, nothing],
            "truth": [*classes, unlabelled],
            "errors": [*classes, right, unlabelled],
            "unknown": [(0, "known", (0, 0, 0)), (255, "unknown", _UNKNOWN_COLOR)],
        }
        for name, legend in legends.items():
            recording.log(name, rerun.AnnotationContext(legend), static=True)
        places = [(index // _KEY_ROWS * _KEY_COLUMN, index % _KEY_ROWS) for index in range(len(labels))]
        key = rerun.Points2D(places, colors=labels.colors, labels=labels.names, radii=0.12, show_labels=True)
        recording.log("classes", key, static=True)
        for name, color in _CURVE_COLORS.items():
            recording.log(name, rerun.SeriesLines(colors=color, names=name.split("/")[1]), static=True)

    def add(
        self,
        index: int,
        stamp_ns: int,
        rgb: npt.NDArray[np.uint8],
        result: Segmentation,
        truth: npt.NDArray[np.uint8] | None,
    ) -> None:
        """Log one frame.

        Args:
            index: Its place in the recording.
            stamp_ns: When it was taken.
            rgb: HxWx3 uint8.
            result: What the model made of it, with confidence and unknown.
            truth: HxW uint8 classes, 255 = not labelled; None if it is not known.
        """
        log, rerun = self._recording.log, self._rerun
        self._recording.set_time("frame", sequence=index)
        self._recording.set_time("taken", timestamp=np.datetime64(stamp_ns, "ns"))
        overlay = self._painter.overlay(rgb, result.mask, OVERLAY_ALPHA)
        log("image", rerun.Image(rgb).compress(jpeg_quality=_JPEG_QUALITY))
        log("overlay", rerun.Image(overlay).compress(jpeg_quality=_JPEG_QUALITY))
        log("mask", rerun.SegmentationImage(result.mask))
        log("confidence", rerun.Image(result.confidence).compress(jpeg_quality=_JPEG_QUALITY))
        log("unknown", rerun.SegmentationImage(result.unknown))
        stages = {"resize": result.resize_ms, "inference": result.inference_ms, "decode": result.decode_ms}
        for name, taken in {**stages, "total": sum(stages.values())}.items():
            log(f"latency_ms/{name}", rerun.Scalars(taken))
        if truth is not None:
            wrong = (truth != IGNORE) & (truth != result.mask)
            errors = np.where(wrong, truth, np.where(truth == IGNORE, IGNORE, RIGHT)).astype(np.uint8)
            log("truth", rerun.SegmentationImage(truth))
            log("errors", rerun.SegmentationImage(errors))
            log("share/wrong", rerun.Scalars(float(wrong.sum() / max(1, (truth != IGNORE).sum()))))
        log(
            "share/unknown", rerun.Scalars(float((result.unknown == 255).mean()) if result.unknown is not None else 0.0)
        )


def layout(rerun: Any, num_classes: int, has_truth: bool) -> Any:
    """The window: pictures and the classes' colours above, curves below; the viewer's own panels begin closed."""
    blueprint = rerun.blueprint
    pictures = ["image", "overlay", "mask", "confidence", "unknown", *(["truth", "errors"] if has_truth else [])]
    views = [blueprint.Spatial2DView(origin=f"/{name}", name=name) for name in pictures]
    width = -(-num_classes // _KEY_ROWS) * _KEY_COLUMN
    bounds = blueprint.VisualBounds2D(x_range=[-1.5, width - 1.5], y_range=[-0.7, _KEY_ROWS - 0.3])
    views.append(blueprint.Spatial2DView(origin="/classes", name="classes", visual_bounds=bounds))
    curves = [
        blueprint.TimeSeriesView(origin="/latency_ms", name="latency, ms"),
        blueprint.TimeSeriesView(origin="/share", name="share of pixels"),
    ]
    return blueprint.Blueprint(
        blueprint.Vertical(blueprint.Grid(*views), blueprint.Horizontal(*curves), row_shares=[3, 1]),
        collapse_panels=True,
    )
