"""Contenders: programs that do the same work in separate processes, in turn.

They are separate processes because the threads of one library that spin while waiting would slow down the next. A
process sleeps between its turns.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from desert_seg.errors import EngineError

T = TypeVar("T")


class Lap(NamedTuple):
    """Milliseconds of one frame: in total, and in the network."""

    wall: float
    network: float


Laps = Mapping[str, list[Lap]]
"""The laps of one turn, by task."""


@dataclass(frozen=True)
class Program:
    """What a contender can do once it is loaded.

    Attributes:
        engine: The engine that runs the network.
        num_frames: Number of frames it has.
        tasks: Functions by name; each takes the number of a frame, processes it, and returns the network's time, ms.
        mask: Maps the number of a frame to its HxW uint8 mask.
    """

    engine: str
    num_frames: int
    tasks: Mapping[str, Callable[[int], float]]
    mask: Callable[[int], npt.NDArray[np.uint8]]


class Facts(NamedTuple):
    """A contender's engine, its loading time in seconds, and its memory after that in 10^6 bytes."""

    engine: str
    load_s: float
    rss_mb: float


class Contender(AbstractContextManager["Contender"]):
    """A program in a process of its own within a `with` block, which begins when the program is loaded.

    Attributes:
        facts: Its facts.
        start_s: Seconds from starting its process until it is loaded and warmed up.
    """

    facts: Facts
    start_s: float

    def __init__(self, name: str, module: str, arguments: Sequence[Any], log: Path) -> None:
        """Prepare.

        Args:
            name: Name for messages.
            module: Whose function `load` makes a `Program` in the new process.
            arguments: Arguments of `load`.
            log: File for the output of the process.
        """
        self._name, self._module, self._arguments, self._log = name, module, arguments, log

    def __enter__(self) -> Contender:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = ProcessPoolExecutor(1, get_context("spawn"))
        began = time.perf_counter()
        try:
            self.facts = self._ask(_load, self._module, self._arguments, self._log)
        except BaseException:
            self._process.shutdown()
            raise
        self.start_s = time.perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def run(self, tasks: Sequence[str], repeats: int, seconds: float = 0.0) -> Laps:
        """Run every task on `repeats` frames, and on more until `seconds` are over.

        Raises:
            EngineError: Its process has ended.
        """
        return self._ask(_run, tasks, repeats, seconds)

    def masks(self) -> npt.NDArray[np.uint8]:
        """The masks of all frames, flattened; raises EngineError if its process has ended."""
        return self._ask(_masks)

    def _ask(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return self._process.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise EngineError(f"the process of {self._name} ended; see {self._log}") from error


_loaded: list[Program] = []
"""The program, in a contender's process."""


def _load(module: str, arguments: Sequence[Any], log: Path) -> Facts:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    load = importlib.import_module(module).load
    began = time.perf_counter()
    _loaded.append(load(*arguments))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Facts(_loaded[0].engine, time.perf_counter() - began, pages * os.sysconf("SC_PAGE_SIZE") * 1e-6)


def _run(tasks: Sequence[str], repeats: int, seconds: float) -> Laps:
    """Run the tasks, in an order that rotates from frame to frame."""
    program, laps = _loaded[0], {task: list[Lap]() for task in tasks}
    number, end = 0, time.perf_counter() + seconds
    while number < repeats or time.perf_counter() < end:
        turn = number % len(tasks)
        for task in (*tasks[turn:], *tasks[:turn]):
            began = time.perf_counter()
            network = program.tasks[task](number % program.num_frames)
            laps[task].append(Lap((time.perf_counter() - began) * 1e3, network))
        number += 1
    return laps


def _masks() -> npt.NDArray[np.uint8]:
    program = _loaded[0]
    return np.concatenate([program.mask(number).ravel() for number in range(program.num_frames)])
