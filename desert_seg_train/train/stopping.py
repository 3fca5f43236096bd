"""Stopping a training by a signal, and the error it then ends with."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import cast

import torch
from lightning_fabric import Fabric

from desert_seg.errors import DesertSegError


class StoppedError(DesertSegError):
    """The training was asked to stop and has saved where it stands."""


class StopRequest:
    """Whether this process, or any other of the training, was told to stop."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric, self._received = fabric, False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._received = True

    def is_made(self) -> bool:
        """Call it in all processes after the same step: the answer is the same in all of them."""
        if self._fabric.world_size == 1:
            return self._received
        received = torch.tensor(float(self._received), device=self._fabric.device)
        return bool(cast(torch.Tensor, self._fabric.all_reduce(received, reduce_op="max")) > 0)


@contextmanager
def stop_signals(fabric: Fabric) -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request that the training looks at after every step."""
    request = StopRequest(fabric)
    earlier = {number: signal.signal(number, request.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
