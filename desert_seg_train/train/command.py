"""Training: one straight loop from labelled folders to a model artifact.

    desert-seg train --config config/light.yaml --sources FOLDER falcon7 1 --validation FOLDER --out runs/light
    torchrun --nproc-per-node 4 -m desert_seg_train.cli train --config config/reference.yaml ...

Float32 on a CPU, bf16 on CUDA; gradients clipped, absurd steps skipped and counted, weights averaged (EMA). A sample
depends on seed, epoch and place alone and randomness in the network is seeded per step, so `--resume` goes on exactly,
also in the middle of an epoch. Devices and processes are Lightning Fabric's business.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.strategies.ddp import DDPStrategy
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from desert_seg.checkpoint import read_checkpoint
from desert_seg.console import Console
from desert_seg.errors import DataError, DesertSegError
from desert_seg.labels import LabelMap, LabelSet
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.views import SIZE_MULTIPLE
from desert_seg.weights import network_from_checkpoint
from desert_seg_train.data.crops import Crops, batches
from desert_seg_train.data.sampling import Sampler
from desert_seg_train.data.sources import Source, absent_classes, open_source, split
from desert_seg_train.saving import save_network
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.train.display import TrainingDisplay, tensorboard_values
from desert_seg_train.train.losses import CrossEntropyAndDice
from desert_seg_train.train.memory import keep_freed_memory
from desert_seg_train.train.optimization import gradient_is_sane, make_optimizer, make_schedule, set_encoder_trainable
from desert_seg_train.train.run_state import EpochResult, Position, RunFolder
from desert_seg_train.train.start import start_network
from desert_seg_train.train.validation import validate


class StoppedError(DesertSegError):
    """The training was asked to stop and has saved where it stands."""


def train(config: TrainConfig) -> Path:
    """Run a training; returns the folder of its artifact.

    Raises:
        DataError: The data, a setting or the first weights are unusable, or the disk is full.
        ArtifactError: What to start or resume from is unreadable or of another model.
        StoppedError: SIGINT, SIGTERM or `stop_after` ended it early; it can be resumed.
    """
    keep_freed_memory()
    fabric = make_fabric(config)
    fabric.launch()
    console = Console(quiet=fabric.global_rank > 0)
    training, validation = open_sources(config, console)
    label_map = training[0].folder.label_map
    steps = config.steps_per_epoch or max(1, sum(map(len, training)) // config.batch_size)

    network_config = network_config_of(config, label_map.labels)
    folder = RunFolder(config, network_config, label_map)
    folder.start(config.resume)
    torch.manual_seed(config.seed)
    network = start_network(network_config, config.start, label_map.labels).to(fabric.device)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        network = cast(SegmentationNetwork, nn.SyncBatchNorm.convert_sync_batchnorm(network))
    network = network.to(memory_format=torch.channels_last)
    average = ModelEmaV3(network, decay=config.optimizer.ema_decay, use_warmup=True)
    optimizer = make_optimizer(network, config.optimizer)
    schedule = make_schedule(optimizer, config.optimizer, config.epochs * steps)
    criterion = CrossEntropyAndDice(config.loss, label_map.labels).to(fabric.device)
    parts = {"network": network, "average": average.module, "optimizer": optimizer, "schedule": schedule}
    position = folder.load(parts) if config.resume and folder.last.exists() else Position()
    wrapped, wrapped_optimizer = fabric.setup(network, optimizer)
    sampler = Sampler(training, config.sampling, config.seed)

    with stop_signals(fabric) as told_to_stop, TrainingDisplay(console, config.epochs, steps, position) as display:
        first_epoch = position.epoch
        while position.epoch < config.epochs and not _is_stale(position, config.early_stop):
            if config.stop_after and position.epoch - first_epoch >= config.stop_after:
                raise StoppedError(
                    f"stopped after {position.epoch} of {config.epochs} epochs as told; go on with --resume"
                )
            network.train()
            set_encoder_trainable(network, position.epoch >= config.optimizer.freeze_encoder_epochs)
            draws = sampler.epoch(position.epoch, steps * config.batch_size)
            crops = Crops(training, draws, config.sampling, config.augmentation)
            loader = batches(
                crops, config.batch_size, position.step, fabric.global_rank, fabric.world_size, config.workers
            )
            began = time.monotonic() - position.seconds
            for images, targets in loader:
                # What is random inside the network depends on the step alone, so that a resumed training repeats it.
                torch.manual_seed(hash((config.seed, position.epoch, position.step, fabric.global_rank)))
                images = images.to(fabric.device, memory_format=torch.channels_last, non_blocking=True)
                loss = criterion(wrapped(images), targets.to(fabric.device, non_blocking=True))
                wrapped_optimizer.zero_grad(set_to_none=True)
                fabric.backward(loss)
                norm = fabric.clip_gradients(
                    wrapped, wrapped_optimizer, max_norm=config.optimizer.clip_norm, error_if_nonfinite=False
                )
                if gradient_is_sane(cast(torch.Tensor, norm)):
                    wrapped_optimizer.step()
                    average.update(network, step=position.epoch * steps + position.step)
                else:
                    position.skipped_steps += 1
                schedule.step()
                position.losses.append(_mean(fabric, loss.detach()))
                position.step += 1
                position.seconds = time.monotonic() - began
                display.step(position)
                if told_to_stop():
                    if fabric.is_global_zero:
                        folder.save(position, parts)
                    raise StoppedError(
                        f"stopped in epoch {position.epoch + 1} after {position.step} of {steps} steps and saved to "
                        f"{folder.last}; go on with --resume"
                    )
            scores = validate(fabric, average.module, validation, config.input_size, label_map) if validation else None
            position.finish_epoch(
                EpochResult(
                    epoch=position.epoch + 1,
                    loss=sum(position.losses) / max(1, len(position.losses)),
                    skipped_steps=position.skipped_steps,
                    seconds=position.seconds,
                    learning_rate=optimizer.param_groups[-1]["lr"],
                    val_miou=scores.miou_present if scores else float("nan"),
                )
            )
            if fabric.is_global_zero:
                if position.best() is position.history[-1]:
                    folder.save_best(average.module.state_dict())
                folder.save(position, parts)
                folder.write_log(position.history)
            display.epoch(position.history[-1])
            fabric.log_dict(tensorboard_values(position.history[-1], scores, label_map.labels.names), position.epoch)

    if fabric.is_global_zero:
        _save_artifact(config, folder, position, network_config, training, label_map)
        console.print(
            f"wrote {folder.artifact}, best.ckpt, last.ckpt, log.csv and tensorboard/ in {config.out}", soft_wrap=True
        )
    fabric.barrier()
    return folder.artifact


def make_fabric(config: TrainConfig) -> Fabric:
    """Device, precision and processes; those of `torchrun` where it started this process.

    Raises:
        DataError: The batch does not divide among the processes, the crop or input size is not a multiple of 32, or
            there is no CUDA device though one is asked for.
    """
    num_processes, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if config.batch_size % num_processes or config.batch_size < 2 * num_processes:  # batch statistics of one are none
        raise DataError(
            f"found batch_size {config.batch_size} for {num_processes} processes, expected a multiple of "
            f"{num_processes} and at least 2 crops for each; change one"
        )
    sizes = {
        "input_size": config.input_size,
        "sampling height and width": (config.sampling.height, config.sampling.width),
    }
    for name, size in sizes.items():
        if any(side <= 0 or side % SIZE_MULTIPLE for side in size):
            raise DataError(f"found {name} {size[0]}x{size[1]}, expected multiples of {SIZE_MULTIPLE}; try 512x896")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise DataError("device cuda was asked for but torch sees no CUDA device; choose device cpu or auto")
    cuda = config.device != "cpu" and torch.cuda.is_available()
    bf16 = config.precision == "bf16" or (config.precision == "auto" and cuda)
    # A frozen encoder's weights are parameters without a gradient, which DDP must be told to look for.
    several = DDPStrategy(find_unused_parameters=config.optimizer.freeze_encoder_epochs > 0)
    return Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=local,
        num_nodes=num_processes // local,
        strategy=several if num_processes > 1 else "auto",
        precision="bf16-mixed" if bf16 else "32-true",
        loggers=TensorBoardLogger(config.out, name="tensorboard", version=""),
    )


def network_config_of(config: TrainConfig, labels: LabelSet) -> NetworkConfig:
    """What the settings say is to be built for these classes."""
    choice = config.network
    return NetworkConfig(choice.architecture, choice.encoder, len(labels), choice.mean, choice.std, choice.options)


def open_sources(config: TrainConfig, console: Console) -> tuple[list[Source], list[Source]]:
    """Read the training and validation frames, and say which classes nobody will ever learn.

    Raises:
        DataError: See `open_source` and `split`.
    """
    if not config.sources:
        raise DataError("found no sources, expected at least one FOLDER LABEL_MAP WEIGHT; give --sources")
    opened = [open_source(*source, console) for source in config.sources]
    own = open_source(config.validation, config.sources[0][1], 1.0, console) if config.validation else None
    training, validation = split(opened, own, config.hold_out)
    console.print(f"{sum(map(len, training))} frames to train on, {sum(map(len, validation))} to validate on")
    if absent := absent_classes(training):
        sentence = f"warning: no training frame holds {', '.join(absent)}; the model will not know what it looks like"
        console.print(sentence)
    return training, validation


@contextmanager
def stop_signals(fabric: Fabric) -> Iterator[_StopFlag]:
    """Turn SIGINT and SIGTERM into a question the loop asks after every step; with several processes, all agree."""
    flag = _StopFlag(fabric)
    earlier = {number: signal.signal(number, flag.raise_flag) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


class _StopFlag:
    def __init__(self, fabric: Fabric) -> None:
        self._fabric, self._raised = fabric, False

    def raise_flag(self, number: int, frame: FrameType | None) -> None:
        self._raised = True

    def __call__(self) -> bool:
        if self._fabric.world_size == 1:
            return self._raised
        anyone = self._fabric.all_reduce(torch.tensor(float(self._raised), device=self._fabric.device), reduce_op="max")
        return bool(cast(torch.Tensor, anyone) > 0)


def _is_stale(position: Position, early_stop: int) -> bool:
    best = position.best()
    return bool(early_stop and best is not None and position.epoch - best.epoch >= early_stop)


def _mean(fabric: Fabric, loss: torch.Tensor) -> float:
    """The loss over all processes."""
    return float(cast(torch.Tensor, fabric.all_reduce(loss, reduce_op="mean")) if fabric.world_size > 1 else loss)


def _save_artifact(
    config: TrainConfig,
    folder: RunFolder,
    position: Position,
    network_config: NetworkConfig,
    sources: list[Source],
    label_map: LabelMap,
) -> None:
    """Make a model artifact of the best weights."""
    best = position.best()
    network, _ = network_from_checkpoint(network_config, read_checkpoint(folder.best), str(folder.best))
    data = [
        f"{'/'.join(source.folder.root.parts[-2:])} ({len(source)} frames, {source.folder.label_map.name}, "
        f"weight {source.weight:g})"
        for source in sources
    ]
    provenance = {
        "data": "; ".join(data),
        "held out": ", ".join(config.hold_out),
        "label_map": label_map.name,
        "epochs": f"{best.epoch if best else 0} of {config.epochs}",
        "recipe": folder.recipe,
    }
    metrics = {"val_miou": best.val_miou} if best is not None and best.val_miou == best.val_miou else {}
    name = config.out.name
    save_network(folder.artifact, network, name, config.input_size, label_map, metrics, provenance, with_graph=False)
