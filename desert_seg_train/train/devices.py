"""Devices and processes of a training; both are Lightning Fabric's business. Knows nothing of networks or data."""

from __future__ import annotations

import logging
import os
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.strategies.ddp import DDPStrategy

from desert_seg.errors import DataError
from desert_seg.views import SIZE_MULTIPLE
from desert_seg_train.train.config import TrainConfig


def make_fabric(config: TrainConfig) -> Fabric:
    """Choose device, precision and processes; the processes are those of `torchrun` if it started this one.

    Raises:
        DataError: The batch does not divide among the processes, the crop or input size is not a multiple of 32, or
            there is no CUDA device though one is asked for.
    """
    num_processes, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if config.batch_size % num_processes or config.batch_size < 2 * num_processes:  # batch norm needs two samples
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
    # A frozen encoder's weights get no gradient, nor do those of an encoder's layers after the last that is used (the
    # head of an EfficientNet), which DDP must be told to expect.
    several = DDPStrategy(find_unused_parameters=True)
    return fabric_of(
        bf16,
        accelerator="cuda" if cuda else "cpu",
        devices=local,
        num_nodes=num_processes // local,
        strategy=several if num_processes > 1 else "auto",
        loggers=TensorBoardLogger(config.out, name="tensorboard", version=""),
    )


def fabric_of(bf16: bool, **settings: Any) -> Fabric:
    """A Fabric that computes in bf16 or float32, and keeps to itself which of the two it uses."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    return Fabric(precision="bf16-mixed" if bf16 else "32-true", **settings)


def mean_over_processes(fabric: Fabric, loss: torch.Tensor) -> float:
    """A scalar loss, averaged over all processes."""
    return float(cast(torch.Tensor, fabric.all_reduce(loss, reduce_op="mean")) if fabric.world_size > 1 else loss)
