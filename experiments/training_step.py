"""Where a training step on a CPU could be faster: memory layout, bf16 and compilation, compared in one process.

    python -m experiments.training_step [--compiled]

A step is forward, loss, backward and optimiser of the light network on 8 crops of 320x448. The arms take turns, and the
fastest step of each counts, because other load can only add to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import tyro
from torch import nn

from desert_seg.console import Console
from desert_seg.memory import keep_freed_memory
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg_train.train.config import NetworkChoice, OptimizerConfig
from desert_seg_train.train.mixed_precision import keep_depthwise_in_float32
from desert_seg_train.train.optimization import make_optimizer

CROPS = (8, 3, 320, 448)
NUM_CLASSES = 7


@dataclass(frozen=True)
class Options:
    """What to compare.

    Attributes:
        compiled: Also compile the network with TorchInductor, which takes minutes and needs a C++ compiler.
        rounds: Steps of each.
    """

    compiled: bool = False
    rounds: int = 6


@dataclass(frozen=True)
class Arm:
    """One way of taking a step."""

    channels_last: bool = True
    bf16: bool = False
    depthwise_in_float32: bool = False
    compiled: bool = False


ARMS = {
    "float32, channels first": Arm(channels_last=False),
    "float32, channels last": Arm(),
    "bf16": Arm(bf16=True),
    "bf16, depthwise in float32": Arm(bf16=True, depthwise_in_float32=True),
}
COMPILED = {
    "float32, compiled": Arm(compiled=True),
    "bf16, depthwise in float32, compiled": Arm(bf16=True, depthwise_in_float32=True, compiled=True),
}


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    console = Console()
    keep_freed_memory()
    arms = ARMS | (COMPILED if options.compiled else {})
    steps = {}
    for name, arm in arms.items():
        steps[name] = _stepper(arm)
        began = time.perf_counter()
        steps[name]()
        if arm.compiled:
            console.print(f"{name}: the first step took {time.perf_counter() - began:.0f} s")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in console.track(range(options.rounds), "taking turns", transient=True):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    whole = min(seconds["float32, channels last"])
    for name, taken in seconds.items():
        console.print(f"{name:38} {min(taken):6.2f} s {min(taken) / whole:6.2f}")


def _stepper(arm: Arm) -> Callable[[], None]:
    """A function that takes one step with a network of its own."""
    choice = NetworkChoice()
    layout = torch.channels_last if arm.channels_last else torch.contiguous_format
    torch.manual_seed(0)
    config = NetworkConfig(choice.architecture, choice.encoder, NUM_CLASSES, choice.mean, choice.std)
    network = SegmentationNetwork(config).to(memory_format=layout).train()
    if arm.depthwise_in_float32:
        keep_depthwise_in_float32(network)
    forward: Callable[[torch.Tensor], torch.Tensor] = torch.compile(network) if arm.compiled else network
    optimizer = make_optimizer(network, OptimizerConfig())
    images = torch.randint(0, 256, CROPS, dtype=torch.uint8).contiguous(memory_format=layout)
    targets = torch.randint(0, NUM_CLASSES, (CROPS[0], *CROPS[2:]))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=arm.bf16):
            scores = forward(images)
        scores = nn.functional.interpolate(scores.float(), CROPS[2:], mode="bilinear")
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(nn.functional.cross_entropy(scores, targets))
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
