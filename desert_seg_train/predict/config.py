"""Settings of `desert-seg predict`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from desert_seg.speeds import Speed


@dataclass(frozen=True)
class PredictConfig:
    """Write masks for images or bags; a run that was interrupted continues where it stopped.

    Attributes:
        model: Model artifact: a folder, or the name of a shipped model.
        input: An image, a folder of images or a dataset folder, a bag, or a quoted pattern of images or of bags, like
            'runs/*/left*.png'.
        output: Folder for color/, raw/ (class indices, 255 = unknown) and predictions.json; with a pattern of bags, for
            such a folder for each bag.
        speed: Input size of the network, as the model recommends it by these names.
        tta: View set; full is three scales, each mirrored.
        overlay: Also write overlay/, the colours over the image.
        confidence: Also write confidence/, 0..255 for probability 0..1.
        topic: Image topic of a bag, needed if it has several.
        overwrite: Replace predictions of another model, input or setting.
        engine: Inference engine.
        device: What it runs on.
        precision: Arithmetic.
        threads: CPU threads, 0 = all; of each worker with ray.
        ray: Address of a Ray cluster that shares this file system, or `local` for workers on this machine.
        workers: With ray: number of workers, 0 = one per machine of the cluster.
    """

    model: Path
    input: str
    output: Path
    speed: Speed = "balanced"
    tta: Literal["none", "flip", "scales", "full"] = "full"
    overlay: bool = False
    confidence: bool = False
    topic: str = ""
    overwrite: bool = False
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    ray: str = ""
    workers: int = 0
