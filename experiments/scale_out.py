"""Predicting an archive of a million frames in bags, with workers that sleep: what the driver of `predict --ray` bears.

    python -m experiments.scale_out

The driver is the command's own, from the stream of bags to the totals. Only the workers are stand-ins: where one would
predict a bag, it sleeps as long as its frames would take and writes one file aside and renames it. Prints

- throughput and memory of the driver for 1, 2 and 4 workers, and for a thousand that are threads of one process and
  sleep longer;
- an archive in which bags kill their workers and one fails for good, cut off in the middle and started again;
- how many tasks the driver hands out in a second.
"""

from __future__ import annotations

import itertools
import logging
import os
import resource
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
import tyro
from rich.table import Table

from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.files import write_bytes
from desert_seg_train.predict.archive import Bag, BagDone, Totals, follow
from desert_seg_train.predict.cluster import Failed, RemoteWorker, cluster, distribute

MANY = 1000
"""Workers that no single machine has the memory for, if each is a process."""


@dataclass(frozen=True)
class Archive:
    """A simulated archive.

    Attributes:
        frames: Frames in all bags.
        frames_per_bag: Frames of each bag.
        seconds_per_frame: How long a worker sleeps for a frame.
        kill_every: Every so many bags, one kills the first worker that takes it; 0 = none does.
        broken: The number of a bag that fails whenever it is tried; negative = none.
    """

    frames: int = 1_000_000
    frames_per_bag: int = 100
    seconds_per_frame: float = 0.0002
    kill_every: int = 0
    broken: int = -1

    @property
    def num_bags(self) -> int:
        """Number of bags."""
        return self.frames // self.frames_per_bag

    def bags(self) -> Iterator[Bag]:
        """The bags, one after the other."""
        return (Bag(f"{index // 1000:03}/{index}", Path("archive", str(index))) for index in range(self.num_bags))


@dataclass
class Watched:
    """Outcomes on their way to the totals, and what was seen of the driver meanwhile.

    Attributes:
        num_drawn: Bags that were taken from the stream.
        most_in_flight: Most bags that were taken and not yet done.
        memory_mb: The most memory that the driver has taken until each hundredth of the archive, in MB.
    """

    num_drawn: int = 0
    most_in_flight: int = 0
    memory_mb: list[float] = field(default_factory=list)

    def drawn(self, bags: Iterator[Bag]) -> Iterator[Bag]:
        """The bags, counted as they are taken."""
        for bag in bags:
            self.num_drawn += 1
            yield bag

    def done(self, outcomes: Iterator[BagDone | Failed[Bag]], num_bags: int) -> Iterator[BagDone | Failed[Bag]]:
        """The outcomes, with a look at the driver at each."""
        for num_done, outcome in enumerate(outcomes):
            self.most_in_flight = max(self.most_in_flight, self.num_drawn - num_done)
            if num_done % max(1, num_bags // 100) == 0:
                self.memory_mb.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
            yield outcome


def start_sleeper(archive: Archive, out: Path, threads: int) -> Callable[[Bag], BagDone]:
    """What a worker does instead of loading a model."""
    del threads
    return partial(_sleep, archive, out)


def _sleep(archive: Archive, out: Path, bag: Bag) -> BagDone:
    """Stands in for predicting a bag."""
    mask, index = out / bag.name, int(bag.path.name)
    if mask.exists():
        return BagDone(bag.name, archive.frames_per_bag, num_there=archive.frames_per_bag)
    if index == archive.broken:
        raise DataError(f"{bag.path}: is damaged")
    time.sleep(archive.frames_per_bag * archive.seconds_per_frame)
    if archive.kill_every and index % archive.kill_every == 1 and not (killed := mask.with_suffix(".killed")).exists():
        write_bytes(killed, b"")
        os._exit(1)
    write_bytes(mask, f"{archive.frames_per_bag}\n".encode())
    return BagDone(bag.name, archive.frames_per_bag)


Do = Callable[[Iterable[Bag]], Generator[BagDone | Failed[Bag], None, None]]


def predict_archive(
    archive: Archive, do: Do, console: Console, num_bags: int | None = None
) -> tuple[Totals, Watched, float]:
    """Predict an archive as the command does, or only its first bags.

    Returns:
        The totals, what was seen of the driver, and how many seconds it took.
    """
    watched, began = Watched(), time.monotonic()
    with closing(do(watched.drawn(archive.bags()))) as outcomes:
        seen = itertools.islice(watched.done(outcomes, archive.num_bags), num_bags)
        totals = follow(seen, archive.num_bags, console)
    return totals, watched, time.monotonic() - began


@contextmanager
def sleepers(archive: Archive, out: Path, num_workers: int) -> Iterator[Do]:
    """Workers that are processes, as those of the command."""
    with cluster(partial(start_sleeper, archive, out), "local", num_workers, 1) as do:
        yield do


@contextmanager
def threads_for_sleepers(archive: Archive, out: Path, num_workers: int) -> Iterator[Do]:
    """As many workers as are wanted: the threads of one process."""
    ray.init("local", logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    try:
        kind: Any = ray.remote(num_cpus=0)(RemoteWorker)
        process = kind.options(max_concurrency=num_workers).remote(partial(start_sleeper, archive, out), 1)
        yield partial(distribute, {process.ready.remote(): process for _ in range(num_workers)})
    finally:
        ray.shutdown()


def _nothing(threads: int) -> Callable[[int], int]:
    del threads
    return int


def tasks_per_second(num_tasks: int = 5000) -> float:
    """How many tasks that take no time the driver hands out in a second."""
    with cluster(_nothing, "local", 2, 1) as do:
        began = time.monotonic()
        assert sum(1 for _ in do(range(num_tasks))) == num_tasks
        return num_tasks / (time.monotonic() - began)


@dataclass(frozen=True)
class ScaleOutConfig:
    """Measure the driver of `predict --ray` with workers that sleep.

    Attributes:
        archive: The archive.
        workers: Numbers of workers to compare.
    """

    archive: Archive = field(default_factory=Archive)
    workers: tuple[int, ...] = (1, 2, 4)


def main(config: ScaleOutConfig) -> None:
    """Print the tables."""
    console, archive = Console(width=120), config.archive
    table = Table("workers", "bags", "frames", "s", "frames/s", "of ideal", "driver MB", "at the end", "in flight")
    for num_workers in config.workers:
        table.add_row(*_measured(archive, sleepers, num_workers, console))
    slower = replace(archive, seconds_per_frame=archive.seconds_per_frame * MANY / max(config.workers))
    table.add_row(*_measured(slower, threads_for_sleepers, MANY, console))
    console.print(table)
    _with_faults(archive, console)
    console.print(f"the driver hands out {tasks_per_second():.0f} tasks that take no time in a second")


def _measured(
    archive: Archive, workers: Callable[[Archive, Path, int], AbstractContextManager[Do]], num: int, console: Console
) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder, workers(archive, Path(folder), num) as do:
        totals, watched, seconds = predict_archive(archive, do, console)
    rate = totals.num_frames / seconds
    ideal = num / archive.seconds_per_frame
    figures = (num, totals.num_bags, totals.num_frames, round(seconds), round(rate), f"{rate / ideal:.0%}")
    memory = (round(watched.memory_mb[0]), round(watched.memory_mb[-1]), watched.most_in_flight)
    return tuple(map(str, figures + memory))


def _with_faults(archive: Archive, console: Console) -> None:
    """The archive with faults, cut off in the middle and started again."""
    faulty = replace(archive, kill_every=archive.num_bags // 10, broken=archive.num_bags // 3)
    with tempfile.TemporaryDirectory() as folder:
        for num_bags in (archive.num_bags // 2, None):
            with sleepers(faulty, Path(folder), 4) as do:
                totals, _, _ = predict_archive(faulty, do, console, num_bags)
            console.print(
                f"{totals.num_frames} frames of {totals.num_bags} bags, {totals.num_there} of them there already, "
                f"{totals.num_failed_bags} bag failed"
            )
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
    num_killed = sum(path.suffix == ".killed" for path in files)
    console.print(f"{len(files) - num_killed} of {archive.num_bags} bags are there, {num_killed} workers were killed")


if __name__ == "__main__":
    main(tyro.cli(ScaleOutConfig))
