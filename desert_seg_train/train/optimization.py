"""Optimisation: three learning rates, their schedule, and which steps are skipped. Knows nothing of data."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from desert_seg.network import SegmentationNetwork
from desert_seg_train.train.config import OptimizerConfig

ABSURD_NORM = 1e4
"""A larger gradient norm comes from a numerical fault, not from data: norms of sane steps stay below 100."""


def make_optimizer(network: SegmentationNetwork, config: OptimizerConfig) -> Optimizer:
    """AdamW over encoder, decoder and head, each with its own learning rate."""
    model = network.model
    groups = [
        {"params": list(model.encoder.parameters()), "lr": config.encoder_rate},
        {"params": list(model.decoder.parameters()), "lr": config.decoder_rate},
        {"params": list(model.segmentation_head.parameters()), "lr": config.head_rate},
    ]
    return AdamW(groups, weight_decay=config.weight_decay)


def make_schedule(optimizer: Optimizer, config: OptimizerConfig, num_steps: int) -> LRScheduler:
    """The learning-rate schedule of a training of `num_steps` steps."""
    if config.schedule == "one-cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        # OneCycleLR divides by the length of the rise less one step.
        warmup = config.warmup if abs(config.warmup * num_steps - 1) > 1e-6 else config.warmup * (1 + 1e-5)
        return OneCycleLR(optimizer, max_lr=rates, total_steps=num_steps, pct_start=warmup)
    rising = max(1, round(config.warmup * num_steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, num_steps - rising)))

    return LambdaLR(optimizer, factor)


def set_encoder_trainable(network: SegmentationNetwork, trainable: bool) -> None:
    """Freeze or thaw the encoder; a frozen encoder also keeps its batch statistics. Call after `network.train()`."""
    network.model.encoder.requires_grad_(trainable)
    network.model.encoder.train(trainable)


def gradient_is_sane(norm: Tensor) -> bool:
    """False for a gradient norm that is not finite or absurdly large: such a step is skipped, not clipped."""
    return bool(torch.isfinite(norm)) and float(norm) < ABSURD_NORM
