"""Resource use of processes, read from /proc: processor time, memory, threads.

A sampler on a thread of its own reads a few small files several times a second; that is all it costs.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from desert_seg.errors import DataError

PERIOD_S = 0.25
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ProcessUse:
    """What a process has used so far: `cpu_s` of all its threads, and its present `rss_bytes` of memory."""

    cpu_s: float
    rss_bytes: int
    num_threads: int


@dataclass(frozen=True)
class MachineUse:
    """What the whole machine has used so far: `busy_s` and `total_s` of all cores, and the share of memory in use."""

    busy_s: float
    total_s: float
    memory_share: float


@dataclass(frozen=True)
class Sample:
    """One sample; `node` is None if its process is unknown."""

    at_s: float
    node: ProcessUse | None
    own: ProcessUse
    machine: MachineUse


def process_use(pid: int) -> ProcessUse:
    """Read the use of a process.

    Raises:
        DataError: There is no such process.
    """
    try:
        # The name in brackets may hold anything, spaces and brackets included; all fields after it are numbers.
        values = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError as error:
        raise DataError(f"there is no process {pid} to look at; give the node's process id") from error
    user, system, num_threads, rss_pages = (int(values[index]) for index in (11, 12, 17, 21))
    return ProcessUse((user + system) * _TICK_S, rss_pages * _PAGE_BYTES, num_threads)


def peak_rss_bytes(pid: int) -> int:
    """A process's peak memory since its start; raises DataError if there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"there is no process {pid} to look at; give the node's process id") from error
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def machine_use() -> MachineUse:
    """Read the use of the machine."""
    ticks = [int(value) for value in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    total, free = (int(memory[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return MachineUse((sum(ticks) - idle) * _TICK_S, sum(ticks) * _TICK_S, 1 - free / total)


class Sampler(AbstractContextManager["Sampler"]):
    """Samples a process, this one and the machine during its `with` block."""

    def __init__(self, pid: int | None) -> None:
        """Prepare; `pid` is the process under test, None if it is not known."""
        self.samples: list[Sample] = []
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._done.wait(PERIOD_S):
            self._look()

    def _look(self) -> None:
        try:
            node = None if self._pid is None else process_use(self._pid)
        except DataError:  # it has ended, which its owner notices
            return
        self.samples.append(Sample(time.perf_counter(), node, process_use(os.getpid()), machine_use()))
