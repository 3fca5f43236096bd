"""The one loop of an adaptation: a model learns a place from labelled crops, from unlabelled ones, or from both.

Labelled crops are learned as in any training. Unlabelled ones are taught by the average of the model's own weights
(Tarvainen and Valpola, "Mean teachers", 2017): the teacher labels a crop as the camera took it, the student learns it
with other colours and with things of labelled crops pasted in, see `mixing`. The average is the result.

Shape letters: N crops, H, W their size.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor

from desert_seg.console import Console
from desert_seg.images import read_image
from desert_seg.labels import IGNORE
from desert_seg.network import SegmentationNetwork
from desert_seg_train.adapt.mixing import PseudoLabels, paste_classes
from desert_seg_train.data.augmentation import ColorChange, random_crop
from desert_seg_train.data.config import AugmentationConfig, SamplingConfig
from desert_seg_train.data.crops import Crops
from desert_seg_train.data.sampling import Sampler
from desert_seg_train.data.sources import Source
from desert_seg_train.folder import Sample
from desert_seg_train.train.config import OptimizerConfig
from desert_seg_train.train.devices import fabric_of
from desert_seg_train.train.losses import CrossEntropyAndDice
from desert_seg_train.train.mixed_precision import cpu_multiplies_in_bf16, keep_depthwise_in_float32
from desert_seg_train.train.optimization import gradient_is_sane, make_optimizer, make_schedule
from desert_seg_train.train.stopping import StoppedError, stop_signals

TRIAL_STEPS = 3
"""Steps that are timed to find out how many fit into the budget."""


@dataclass(frozen=True)
class Lessons:
    """What is learned from, and how.

    Attributes:
        labelled: Labelled frames, drawn from by weight.
        unlabelled: Images of the place.
        sampling: Sizes and zooms of crops.
        rates: Learning rates, and the decay of the teacher's average.
        batch_size: Crops in a step; with unlabelled frames half of them are of those.
        share: Share of the pixels of each class that the teacher teaches, its surest.
        seed: Seed of all randomness.
    """

    labelled: tuple[Source, ...]
    unlabelled: tuple[Path, ...]
    sampling: SamplingConfig
    rates: OptimizerConfig
    batch_size: int = 8
    share: float = 0.6
    seed: int = 0


def steps_within(seconds: float, network: SegmentationNetwork, lessons: Lessons, criterion: CrossEntropyAndDice) -> int:
    """How many steps fit into a time, estimated by timing a few on a copy of the network."""
    began = time.monotonic()
    teach(copy.deepcopy(network), lessons, criterion, TRIAL_STEPS, Console(quiet=True))
    return max(TRIAL_STEPS, int(seconds / (time.monotonic() - began) * TRIAL_STEPS))


def teach(
    network: SegmentationNetwork, lessons: Lessons, criterion: CrossEntropyAndDice, steps: int, console: Console
) -> SegmentationNetwork:
    """Teach a network; returns the average of its weights over the steps.

    Args:
        network: Where the student begins; it is changed.
        lessons: What is learned from, and how.
        criterion: The loss, of labelled and of mixed crops alike.
        steps: Optimiser steps.
        console: Shows progress.

    Raises:
        DataError: A frame cannot be read.
        StoppedError: SIGINT or SIGTERM ended it.
    """
    bf16 = torch.cuda.is_available() or cpu_multiplies_in_bf16()
    fabric = fabric_of(bf16, accelerator="auto", devices=1)
    network = network.to(fabric.device).to(memory_format=torch.channels_last)
    # A teacher must not follow the student from the first step on; a mere average should.
    teacher = ModelEmaV3(network, decay=lessons.rates.ema_decay, use_warmup=not lessons.unlabelled)
    if fabric.device.type == "cpu":
        keep_depthwise_in_float32(network)
    optimizer = make_optimizer(network, lessons.rates)
    schedule = make_schedule(optimizer, lessons.rates, steps)
    criterion = criterion.to(fabric.device)
    student, wrapped_optimizer = fabric.setup(network, optimizer)
    student.train()
    torch.manual_seed(lessons.seed)
    crops = (_mixed_batches if lessons.unlabelled else _labelled_batches)(lessons, teacher, steps)
    with stop_signals(fabric) as stop:
        for step, (images, targets) in enumerate(console.track(crops, "learning the place", steps, transient=True)):
            images = images.to(fabric.device, memory_format=torch.channels_last)
            loss = criterion(student(images), targets.to(fabric.device))
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(loss)
            norm = fabric.clip_gradients(student, wrapped_optimizer, max_norm=lessons.rates.clip_norm)
            if gradient_is_sane(cast(Tensor, norm)):
                wrapped_optimizer.step()
                teacher.update(network, step=step)
            schedule.step()
            if stop.is_made():
                raise StoppedError(f"stopped after {step + 1} of {steps} steps; no model was written")
    taught: SegmentationNetwork = teacher.module
    return taught.cpu().to(memory_format=torch.contiguous_format).eval()


def _labelled_batches(lessons: Lessons, teacher: ModelEmaV3, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """N3HW uint8 images and NHW int64 targets of each step."""
    return _labelled_crops(lessons, lessons.batch_size, steps)


def _mixed_batches(lessons: Lessons, teacher: ModelEmaV3, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The same, of which half are crops of the place: what the teacher is sure of, with labelled things pasted in."""
    pseudo_labels = PseudoLabels(teacher.module.config.num_classes, lessons.share)
    generator = torch.Generator().manual_seed(lessons.seed)
    number = lessons.batch_size // 2
    labelled = _labelled_crops(lessons, lessons.batch_size - number, steps)
    for (images, targets), (plain, changed) in zip(labelled, _unlabelled_crops(lessons, number, steps), strict=True):
        taught = pseudo_labels(_scores(teacher.module, plain))
        mixed, mixed_targets = paste_classes(images[:number], targets[:number], changed, taught, generator)
        yield torch.cat([images, mixed]), torch.cat([targets, mixed_targets])


@torch.no_grad()
def _scores(network: SegmentationNetwork, images: Tensor) -> Tensor:
    """NKHW float32 scores of N3HW uint8 images, on the CPU."""
    device = next(network.parameters()).device
    scores = network.eval()(images.to(device, memory_format=torch.channels_last)).float()
    return F.interpolate(scores, images.shape[-2:], mode="bilinear", align_corners=False).cpu()


def _labelled_crops(lessons: Lessons, number: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """`number` images 3HW uint8 and targets HW int64 for each step."""
    draws = Sampler(lessons.labelled, lessons.sampling, lessons.seed).epoch(0, steps * number)
    crops = Crops(lessons.labelled, draws, lessons.sampling, AugmentationConfig())
    for first in range(0, steps * number, number):
        images, targets = zip(*(crops[first + index] for index in range(number)), strict=True)
        yield torch.stack(images), torch.stack(targets)


def _unlabelled_crops(lessons: Lessons, number: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """`number` random crops 3HW uint8 for each step: as the camera took them, and with other colours."""
    change_colors = ColorChange(AugmentationConfig().photometric)
    for step in range(steps):
        pairs = []
        for index in range(number):
            rng = np.random.default_rng((lessons.seed, step, index))
            rgb = read_image(lessons.unlabelled[int(rng.integers(len(lessons.unlabelled)))])
            sample = Sample("", rgb, np.full(rgb.shape[:2], IGNORE, np.uint8))
            crop, _ = random_crop(sample, lessons.sampling, None, rng)
            pairs.append([torch.from_numpy(image).permute(2, 0, 1) for image in (crop, change_colors(crop, rng))])
        plain, changed = zip(*pairs, strict=True)
        yield torch.stack(plain), torch.stack(changed)
