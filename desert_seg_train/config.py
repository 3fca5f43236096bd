"""What a training is told, as frozen dataclasses. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


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
        encoder_weights: ImageNet weights of the encoder, safetensors in timm's names.
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
    encoder_weights: Path
    out: Path
    epochs: int = 22
    steps_per_epoch: int = 50
    batch_size: int = 8
    learning_rate: float = 1.5e-3
    seed: int = 0
    resume: bool = False
    crop: CropConfig = field(default_factory=CropConfig)
