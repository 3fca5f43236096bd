"""bf16 on a CPU: matrix products in bf16, what oneDNN computes more slowly in bf16 in float32.

Knows nothing of data or training loops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What Linux calls the instructions, on x86 and on ARM."""


def cpu_multiplies_in_bf16() -> bool:
    """Whether this CPU has instructions for bf16; without them it is emulated, and slower than float32."""
    try:
        return not _FLAGS.isdisjoint(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False


def keep_depthwise_in_float32(network: nn.Module) -> None:
    """Take depthwise convolutions out of autocast; the rest of the network, and its weights, stay as they are.

    Their gradients take oneDNN twice as long in bf16 as in float32. A step of EfficientNet-lite0 with 8 crops of
    320x448 takes 0.74 of a step in float32 this way, and as long as one with everything in bf16.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = partial(_in_float32, module.forward)  # type: ignore[method-assign]


def _in_float32(forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return forward(images.float())
