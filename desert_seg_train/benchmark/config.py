"""Settings of `desert-seg benchmark`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from desert_seg.speeds import Speed


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure a model on a labelled folder and report: predictions, every number, figures, one HTML page.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
        data: Labelled folder: Color_Images/ and Segmentation/, or images/ and labels/.
        out: Folder for the report; an earlier one in it is replaced.
        train_data: The folder the model was trained on: the report then shows the gap between the two.
        against: The results.json of another model on the same frames, to compare with.
        label_map: Label map of the targets, by name or path; default: the model's own.
        speed: Input sizes of the network, as the model recommends them by these names, one pass each like the next.
        tta: View sets, one pass over the folder each; the first is the headline, the others are shown with their cost
            and gain. `all` also measures, for each set, what the same time gains in resolution: one larger view with as
            many pixels as all of the set's; and one view of half the model's pixels.
        suppress_absent: Also measure with the classes suppressed that the targets do not contain.
        training_log: log.csv of the training; default: the one beside the artifact, if there is one.
        engine: Inference engine.
        precision: Arithmetic.
        threads: CPU threads, 0 = all.
    """

    model: Path
    data: Path
    out: Path = Path("out/benchmark")
    train_data: Path | None = None
    against: Path | None = None
    label_map: str = ""
    speed: tuple[Speed, ...] = ("balanced",)
    tta: tuple[Literal["none", "flip", "scales", "full", "all"], ...] = ("none",)
    suppress_absent: bool = False
    training_log: Path | None = None
    engine: Literal["auto", "openvino", "onnxruntime", "torch"] = "auto"
    precision: Literal["auto", "f32", "bf16", "int8"] = "auto"
    threads: int = 0
