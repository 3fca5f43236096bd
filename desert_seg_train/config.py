"""What each command is told, as frozen dataclasses. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class CropConfig:
    """How crops are drawn.

    Attributes:
        height: h, pixels.
        width: w, pixels.
        min_scale: Smallest zoom of the sample before cropping, 1 = native resolution.
        max_scale: Largest zoom.
        candidates: Places tried per crop; the one richest in rare classes is taken.
    """

    height: int = 320
    width: int = 448
    min_scale: float = 0.72
    max_scale: float = 1.5
    candidates: int = 4


@dataclass(frozen=True)
class TrainConfig:
    """Train the light network.

    Attributes:
        source: Labelled folders, each as FOLDER LABEL_MAP SHARE.
        start: First weights: of the encoder (ImageNet, .safetensors in timm's names), or the checkpoint of an earlier
            training.
        out: Folder for last.ckpt and log.csv.
        epochs: Passes of steps_per_epoch optimiser steps.
        steps_per_epoch: Optimiser steps in an epoch.
        batch_size: Crops in a step.
        learning_rate: Peak rate of decoder and head; the encoder trains at 0.3 of it.
        seed: Seed of everything random.
        resume: Go on from OUT/last.ckpt.
        crop: How crops are drawn.
    """

    source: tuple[tuple[Path, str, float], ...]
    start: Path
    out: Path
    epochs: int = 22
    steps_per_epoch: int = 50
    batch_size: int = 8
    learning_rate: float = 1.5e-3
    seed: int = 0
    resume: bool = False
    crop: CropConfig = field(default_factory=CropConfig)


@dataclass(frozen=True)
class PackageConfig:
    """Turn a checkpoint into a model artifact.

    Attributes:
        checkpoint: last.ckpt of a training, or a reference-style best_model.pth (plain state dict).
        out: Artifact folder to write.
        name: Name in the artifact; default: the folder's name.
        input_height: Network input height, a multiple of 32.
        input_width: Network input width, a multiple of 32.
        architecture: smp architecture of a plain state dict.
        encoder: smp encoder of a plain state dict.
        label_map: Label map of a plain state dict, by name or path.
        data: A sentence on the data the model was trained with.
    """

    checkpoint: Path
    out: Path
    name: str = ""
    input_height: int = 512
    input_width: int = 896
    architecture: str = "DeepLabV3Plus"
    encoder: str = "resnet101"
    label_map: str = "falcon7"
    data: str = ""


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a model on a labelled folder.

    Attributes:
        model: Artifact folder.
        data: Folder with Color_Images/ and Segmentation/.
        label_map: Label map of the targets, by name or path; default: the model's own.
        tta: View set.
        engine: Inference engine.
        precision: Arithmetic.
        threads: CPU threads, 0 = all.
        json: Also write every number to this file.
    """

    model: Path
    data: Path
    label_map: str = ""
    tta: Literal["none", "flip", "scales", "full"] = "none"
    engine: Literal["auto", "openvino", "torch"] = "auto"
    precision: Literal["auto", "f32", "bf16"] = "auto"
    threads: int = 0
    json: Path | None = None
