"""Settings of `desert-seg evaluate`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from desert_seg.speeds import Speed


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a model on a labelled folder.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
        data: Labelled folder: Color_Images/ and Segmentation/, or images/ and labels/.
        label_map: Label map of the targets, by name or path; default: the model's own.
        speed: Input size of the network, as the model recommends it by these names.
        tta: View set.
        engine: Inference engine.
        precision: Arithmetic.
        threads: CPU threads, 0 = all.
        json: Also write every number to this file, as benchmark does to results.json.
    """

    model: Path
    data: Path
    label_map: str = ""
    speed: Speed = "balanced"
    tta: Literal["none", "flip", "scales", "full"] = "none"
    engine: Literal["auto", "openvino", "onnxruntime", "torch"] = "auto"
    precision: Literal["auto", "f32", "bf16", "int8"] = "auto"
    threads: int = 0
    json: Path | None = None
