"""Setting up a training: from its settings to data, a network and everything that moves its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.labels import LabelMap, LabelSet
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg_train.data.overlap import trained_on
from desert_seg_train.data.sampling import Sampler
from desert_seg_train.data.sources import Source, absent_classes, digest_of, label_set, open_source, split
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.train.losses import CrossEntropyAndDice
from desert_seg_train.train.mixed_precision import keep_depthwise_in_float32
from desert_seg_train.train.optimization import make_optimizer, make_schedule
from desert_seg_train.train.run_state import Position, RunFolder
from desert_seg_train.train.start import start_network


@dataclass(frozen=True)
class Training:
    """What a training is made of; nothing is exchanged while it runs, but weights, rates and position move.

    Attributes:
        config: The settings.
        fabric: Device, precision and processes.
        sources: What crops are drawn from.
        validation: What is validated on after every epoch; may be empty.
        label_map: That of the first source: the classes that are learned.
        sampler: Draws the crops of an epoch.
        steps_per_epoch: Optimiser steps in an epoch.
        network: In float32, on its device.
        average: Exponential moving average of its weights, which is what is validated and kept.
        optimizer: Of the network's weights.
        schedule: Of the optimiser's rates; one step for each of the training's.
        criterion: The loss.
        wrapped_network: The network as Fabric runs it: with its precision, on all processes.
        wrapped_optimizer: The optimiser, likewise.
        folder: Where everything is kept.
        position: How far the training has come.
    """

    config: TrainConfig
    fabric: Fabric
    sources: list[Source]
    validation: list[Source]
    label_map: LabelMap
    sampler: Sampler
    steps_per_epoch: int
    network: SegmentationNetwork
    average: ModelEmaV3
    optimizer: Optimizer
    schedule: LRScheduler
    criterion: CrossEntropyAndDice
    wrapped_network: nn.Module
    wrapped_optimizer: Optimizer
    folder: RunFolder
    position: Position

    def save(self) -> None:
        """Write last.ckpt, from one process; raises DataError if the disk is full."""
        if self.fabric.is_global_zero:
            state = _state(self.network, self.average, self.optimizer, self.schedule)
            self.folder.save(self.position, state)


def set_up(config: TrainConfig, fabric: Fabric, console: Console) -> Training:
    """Read the data, build the network, and bring both to where an earlier run stopped if that is to be resumed.

    Raises:
        DataError: The data, a setting or the first weights are unusable, or the folder holds another training.
        ArtifactError: What to start or resume from is unreadable or of another model.
    """
    sources, validation = open_sources(config, console)
    label_map = sources[0].folder.label_map
    steps_per_epoch = config.steps_per_epoch or max(1, sum(map(len, sources)) // config.batch_size)
    network_config = network_config_of(config, label_map.labels)
    folder = RunFolder(config, network_config, label_map, digest_of(sources))
    folder.start(config.resume)

    resumed = config.resume and folder.last.exists()
    if config.resume and not resumed:
        console.print(f"{folder.root}: found no {folder.last.name} to resume from, so the training begins anew")
    torch.manual_seed(config.seed)
    # What a training goes on from holds all weights; the first ones may be elsewhere by now.
    start = "random" if resumed else config.start
    network = start_network(network_config, start, label_map.labels).to(fabric.device)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        network = cast(SegmentationNetwork, nn.SyncBatchNorm.convert_sync_batchnorm(network))
    network = network.to(memory_format=torch.channels_last)
    average = ModelEmaV3(network, decay=config.optimizer.ema_decay, use_warmup=True)
    optimizer = make_optimizer(network, config.optimizer)
    schedule = make_schedule(optimizer, config.optimizer, config.epochs * steps_per_epoch)

    position = folder.load(_state(network, average, optimizer, schedule)) if resumed else Position()
    if fabric.device.type == "cpu":
        keep_depthwise_in_float32(network)
    wrapped_network, wrapped_optimizer = fabric.setup(network, optimizer)
    return Training(
        config=config,
        fabric=fabric,
        sources=sources,
        validation=validation,
        label_map=label_map,
        sampler=Sampler(sources, config.sampling, config.seed),
        steps_per_epoch=steps_per_epoch,
        network=network,
        average=average,
        optimizer=optimizer,
        schedule=schedule,
        criterion=CrossEntropyAndDice(config.loss, label_map.labels).to(fabric.device),
        wrapped_network=wrapped_network,
        wrapped_optimizer=cast(Optimizer, wrapped_optimizer),
        folder=folder,
        position=position,
    )


def network_config_of(config: TrainConfig, labels: LabelSet) -> NetworkConfig:
    """What the settings say is to be built for these classes."""
    choice = config.network
    return NetworkConfig(choice.architecture, choice.encoder, len(labels), choice.mean, choice.std, choice.options)


def open_sources(config: TrainConfig, console: Console) -> tuple[list[Source], list[Source]]:
    """Read the training and validation frames, and say what they share and which classes no training frame shows.

    Raises:
        DataError: See `open_source` and `split`.
    """
    if not config.sources:
        raise DataError("found no sources, expected at least one FOLDER LABEL_MAP WEIGHT; give --sources")
    opened = [open_source(*source, console) for source in config.sources]
    own = open_source(config.validation, config.sources[0][1], 1.0, console) if config.validation else None
    training, validation = split(opened, own, config.hold_out)
    console.print(f"{sum(map(len, training))} frames to train on, {sum(map(len, validation))} to validate on")
    if shared := trained_on(training, validation):
        console.print(
            f"warning: {len(shared)} frames to validate on are trained on, too (first: {shared[0].name}), so the "
            "validation mIoU measures memory; validate on other drives or places (--validation, --hold-out SCENE)"
        )
    absent = absent_classes(training)
    if len(absent) == len(label_set(training)):
        raise DataError(
            "no training frame holds a pixel of any class, as the label maps ignore all that is in the masks; choose "
            "other label maps"
        )
    if absent:
        sentence = f"warning: no training frame holds {', '.join(absent)}; the model will not know what it looks like"
        console.print(sentence)
    return training, validation


def _state(
    network: SegmentationNetwork, average: ModelEmaV3, optimizer: Optimizer, schedule: LRScheduler
) -> dict[str, Any]:
    """What a checkpoint keeps, by the name it has there."""
    return {"network": network, "average": average.module, "optimizer": optimizer, "schedule": schedule}
