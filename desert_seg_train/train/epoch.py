"""One epoch of a training: its steps, and what is done after the last of them.

Shape letters: N crops in a batch, H, W their size.
"""

from __future__ import annotations

import math
import time
from typing import cast

import torch

from desert_seg.errors import DataError, EngineError
from desert_seg_train.data.crops import Crops, batches
from desert_seg_train.train.devices import mean_over_processes
from desert_seg_train.train.display import TrainingDisplay, tensorboard_values
from desert_seg_train.train.optimization import gradient_is_sane, set_encoder_trainable
from desert_seg_train.train.run_state import EpochResult, Position, RunFolder
from desert_seg_train.train.setup import Training
from desert_seg_train.train.stopping import StoppedError, StopRequest
from desert_seg_train.train.validation import validate


def train_epoch(training: Training, display: TrainingDisplay, stop: StopRequest) -> None:
    """Take the steps of the current epoch that are not taken yet.

    Raises:
        DataError: A frame cannot be read, or the disk is full.
        StoppedError: A stop was requested; everything is saved and can be resumed.
    """
    config, fabric, position = training.config, training.fabric, training.position
    training.network.train()
    set_encoder_trainable(training.network, position.epoch >= config.optimizer.freeze_encoder_epochs)
    draws = training.sampler.epoch(position.epoch, training.steps_per_epoch * config.batch_size)
    crops = Crops(training.sources, draws, config.sampling, config.augmentation)
    loader = batches(crops, config.batch_size, position.step, fabric.global_rank, fabric.world_size, config.workers)
    began = time.monotonic() - position.seconds
    for images, targets in loader:
        loss = _train_step(training, images, targets)
        position.losses.append(mean_over_processes(fabric, loss))
        position.step += 1
        position.seconds = time.monotonic() - began
        display.step(position)
        if stop.is_made():
            training.save()
            raise StoppedError(
                f"stopped in epoch {position.epoch + 1} after {position.step} of {training.steps_per_epoch} steps and "
                f"saved to {training.folder.last}; go on with --resume"
            )


def _train_step(training: Training, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Forward, backward, clip, and, if the gradient is sane, move the weights.

    Args:
        training: Its weights, rates and count of skipped steps change.
        images: N3HW uint8 RGB.
        targets: NHW int64, 0..K-1 or `IGNORE`.

    Returns:
        This process's loss, a scalar without gradient.
    """
    config, fabric, position = training.config, training.fabric, training.position
    network, optimizer = training.wrapped_network, training.wrapped_optimizer
    # What is random inside the network depends on the step alone, so that a resumed training repeats it.
    torch.manual_seed(hash((config.seed, position.epoch, position.step, fabric.global_rank)))
    images = images.to(fabric.device, memory_format=torch.channels_last, non_blocking=True)
    loss = training.criterion(network(images), targets.to(fabric.device, non_blocking=True))
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    norm = fabric.clip_gradients(network, optimizer, max_norm=config.optimizer.clip_norm, error_if_nonfinite=False)
    if gradient_is_sane(cast(torch.Tensor, norm)):
        optimizer.step()
        step = position.epoch * training.steps_per_epoch + position.step
        training.average.update(training.network, step=step)
    else:
        position.skipped_steps += 1
    training.schedule.step()
    return cast(torch.Tensor, loss.detach())


def finish_epoch(training: Training, display: TrainingDisplay) -> None:
    """Validate the averaged weights, go on to the next epoch, save and log.

    Raises:
        DataError: The training has diverged, a frame cannot be read, or the disk is full.
    """
    config, fabric, position, folder = training.config, training.fabric, training.position, training.folder
    average, label_map = training.average.module, training.label_map
    if not any(map(math.isfinite, position.losses)):
        raise _diverged(position, folder)
    scores = None
    if training.validation:
        try:
            scores = validate(fabric, average, training.validation, config.input_size, label_map)
        except EngineError as error:
            raise _diverged(position, folder) from error
    result = EpochResult(
        epoch=position.epoch + 1,
        loss=sum(position.losses) / max(1, len(position.losses)),
        skipped_steps=position.skipped_steps,
        seconds=position.seconds,
        learning_rate=training.optimizer.param_groups[-1]["lr"],
        val_miou=scores.miou_present if scores else float("nan"),
    )
    position.finish_epoch(result)
    if fabric.is_global_zero:
        if position.best() is result:
            folder.save_best(average.state_dict())
        training.save()
        folder.write_log(position.history)
    display.epoch(result)
    fabric.log_dict(tensorboard_values(result, scores, label_map.labels.names), position.epoch)


def _diverged(position: Position, folder: RunFolder) -> DataError:
    kept = f", or make a model of {folder.best} (desert-seg export --checkpoint)" if folder.best.exists() else ""
    return DataError(
        f"the training diverged in epoch {position.epoch + 1}: its losses or scores are not finite; begin anew in "
        f"another --out with smaller --optimizer.encoder-rate, .decoder-rate and .head-rate{kept}"
    )
