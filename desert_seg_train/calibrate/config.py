"""Settings of `desert-seg calibrate`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class CalibrateConfig:
    """Measure how sure a model may be and what it does not know, and write that into the model.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
        data: Labelled folder of frames that the model was not trained on, with Color_Images/ and Segmentation/.
        out: Artifact folder to write; default: the model itself.
        label_map: Label map of the targets, by name or path; default: the model's own.
        unknown_values: Raw values in the masks of things that the model was never taught. The scores for unknown
            terrain are compared by how well they find these pixels; without values, by how well they find mistakes.
        false_alarms: Share of the rightly classified pixels that the threshold calls unknown, between 0 and 1.
        engine: Inference engine.
    """

    model: Path
    data: Path
    out: Path | None = None
    label_map: str = ""
    unknown_values: tuple[int, ...] = ()
    false_alarms: float = 0.05
    engine: Literal["auto", "openvino", "onnxruntime", "torch"] = "auto"
