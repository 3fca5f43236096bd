"""Settings of `desert-seg train`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from desert_seg_train.data.config import AugmentationConfig, SamplingConfig


@dataclass(frozen=True)
class NetworkChoice:
    """The network to train.

    Attributes:
        architecture: A segmentation-models-pytorch model by its class name.
        encoder: A segmentation-models-pytorch encoder.
        mean: RGB mean that the encoder's weights were trained with, 0..1.
        std: RGB standard deviation, likewise.
        options: Further arguments of the architecture's class; only from a YAML file.
    """

    architecture: str = "DeepLabV3Plus"
    encoder: str = "timm-tf_efficientnet_lite0"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    options: Annotated[dict[str, Any], tyro.conf.Suppress] = field(default_factory=dict)


@dataclass(frozen=True)
class LossConfig:
    """Cross entropy plus Dice.

    Attributes:
        class_weights: Weight of a class in the cross entropy, by name; 1 for those not named.
        dice: Weight of the Dice term.
    """

    class_weights: dict[str, float] = field(default_factory=dict)
    dice: float = 1.0


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW.

    Attributes:
        encoder_rate: Peak learning rate of the encoder.
        decoder_rate: Peak learning rate of the decoder.
        head_rate: Peak learning rate of the last layer.
        weight_decay: Decoupled weight decay.
        schedule: Learning-rate schedule: one-cycle (Smith, 2018), or a cosine to zero after a linear warm-up.
        warmup: Fraction of the steps in which the learning rates rise.
        freeze_encoder_epochs: Epochs at the start in which the encoder is frozen.
        clip_norm: Gradients of a larger norm are scaled down to it.
        ema_decay: Decay of the moving average of the weights, which is validated and kept; 0 = no averaging.
    """

    encoder_rate: float = 4.5e-4
    decoder_rate: float = 1.5e-3
    head_rate: float = 1.5e-3
    weight_decay: float = 0.02
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    warmup: float = 0.12
    freeze_encoder_epochs: int = 0
    clip_norm: float = 2.0
    ema_decay: float = 0.998


@dataclass(frozen=True)
class TrainConfig:
    """Train a network on labelled folders.

    Attributes:
        sources: Labelled folders, each as FOLDER LABEL_MAP WEIGHT; crops are drawn from them by weight.
        out: Folder for checkpoints, logs and, at the end, the model artifact.
        validation: Labelled folder that is evaluated after every epoch; its label map is that of the first source.
        hold_out: Scenes (the letters that file names begin with) or single frames (file stems) that are never trained
            on; without a validation folder they are what is validated.
        start: First weights: `imagenet` (the encoder's, fetched), `random`, a model artifact or the name of a shipped
            one, a checkpoint, or a .safetensors file with the encoder's weights in timm's names. From a model with
            other classes, all but the last layer is taken.
        epochs: Passes over the training frames.
        steps_per_epoch: Optimiser steps in an epoch; 0 = enough to see each frame once.
        batch_size: Crops per step, over all processes.
        precision: bf16 keeps the weights in float32; auto = bf16 on CUDA, float32 on a CPU.
        device: auto takes CUDA if there is any.
        workers: Processes that prepare crops; 0 = the training process itself.
        stop_after: Stop this run after so many epochs, to be resumed later; 0 = train to the end.
        early_stop: Stop after so many epochs without a better validation mIoU; 0 = never.
        input_size: Height and width of the network's input in the artifact and in validation.
        seed: Seed of all randomness.
        resume: Continue from OUT/last.ckpt, exactly where it stopped.
        network: The network.
        sampling: Which frames are seen, and which part of them.
        augmentation: How crops are changed.
        loss: Cross entropy plus Dice.
        optimizer: AdamW.
    """

    sources: tuple[tuple[Path, str, float], ...]
    out: Path
    validation: Path | None = None
    hold_out: tuple[str, ...] = ()
    start: str = "imagenet"
    epochs: int = 22
    steps_per_epoch: int = 0
    batch_size: int = 8
    precision: Literal["auto", "f32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = 0
    stop_after: int = 0
    early_stop: int = 0
    input_size: tuple[int, int] = (512, 896)
    seed: int = 0
    resume: bool = False
    network: NetworkChoice = field(default_factory=NetworkChoice)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
