"""Distributes tasks to the workers of a Ray cluster: one at a time to each, drawn only when a worker is free.

So memory does not grow with the number of tasks. A task that fails, or whose worker is lost, is tried again by the
worker that is free next. Tasks must bear being done twice. Knows nothing of what they do. Ray is an optional package.
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from desert_seg.errors import DesertSegError

_log = logging.getLogger(__name__)

RETRIES = 3
"""How often a task is tried again before it is given up."""

RESTARTS = 100
"""How often a worker is; every try of a task that kills workers takes one, and so does a start that fails."""

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failed(Generic[Task]):
    """A task that was given up, and why its last try failed."""

    task: Task
    reason: str


@contextmanager
def cluster(
    start: Callable[[int], Callable[[Task], Result]], address: str, num_workers: int, threads: int
) -> Iterator[Callable[[Iterable[Task]], Generator[Result | Failed[Task], None, None]]]:
    """Start workers on a cluster, and wait until the first is ready.

    Args:
        start: Called once in every worker with its number of threads; returns what does a task there.
        address: Address of the cluster; `local` starts one on this machine, which ends with this process.
        num_workers: 0 = one per machine.
        threads: Of each worker; 0 shares the processors of a machine among its workers.

    Yields:
        A function that does tasks and yields the outcome of each, in no particular order.

    Raises:
        DesertSegError: Ray is not installed, there is no such cluster, a worker cannot start, or, in the block, all
            workers were lost.
    """
    try:
        import ray
        from ray.exceptions import RayActorError
    except ModuleNotFoundError as error:
        raise DesertSegError("--ray needs the package ray; install the extra: pip install '.[cluster]'") from error
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        _knock(address)
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DesertSegError(f"there is no Ray cluster at {address} ({reason}); start one, or give local") from error
    try:
        machines = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        machines = [processors for processors in machines if processors] or [1]
        num_workers = num_workers or len(machines)
        share = min(machines) / math.ceil(num_workers / len(machines))
        threads = threads or max(1, int(share))
        # Ray takes whole processors, or parts of one; only what is free is given out, so parts are rounded down.
        processors = min(threads, int(share) or math.floor(100 * share) / 100)
        kind = ray.remote(num_cpus=processors, max_restarts=RESTARTS)(RemoteWorker)
        workers: list[Any] = [kind.remote(start, threads) for _ in range(num_workers)]
        ready = {_ready(worker): worker for worker in workers}
        first, _ = ray.wait(list(ready))
        try:
            ray.get(first)
        except RayActorError as error:
            raise DesertSegError(f"a worker failed: {_last_line(error)}") from error
        yield lambda tasks: distribute(ready, tasks)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT, which takes Ray itself minutes to find out."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


class RemoteWorker:
    """The part of a worker that Ray calls; `start` is that of `cluster`."""

    def __init__(self, start: Callable[[int], Callable[[Any], Any]], threads: int) -> None:
        self._do = start(threads)

    def ready(self) -> None:
        """Answered when there is a worker, also by the successor of one that was lost."""

    def do(self, task: Any) -> Any:
        """Do a task."""
        return self._do(task)


@dataclass(frozen=True)
class _Try(Generic[Task]):
    task: Task
    number: int = 0


def distribute(ready: dict[Any, Any], tasks: Iterable[Task]) -> Generator[Any, None, None]:
    """Yield the outcomes of tasks; `ready` is a future for every worker, done when that worker may be given a task."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    stream = (_Try(task) for task in tasks)
    failed: list[_Try[Task]] = []
    free: list[Any] = []
    starting, running = dict(ready), dict[Any, tuple[Any, _Try[Task]]]()
    while True:
        while free and (attempt := failed.pop() if failed else next(stream, None)):
            worker = free.pop()
            running[worker.do.remote(attempt.task)] = worker, attempt
        if not running and not failed and free:
            return  # whether lost workers come back does not matter any more
        if not running and not starting:
            raise DesertSegError("all workers were lost again and again; see their logs")
        (future,), _ = ray.wait([*running, *starting])
        worker, attempt = running.pop(future, None) or (starting.pop(future), None)
        try:
            result = ray.get(future)
        except RayTaskError as error:  # the worker itself is well
            free.append(worker)
            reason = _last_line(error.cause)
        except RayError as error:
            if attempt is None:
                _log.warning("warning: a worker did not start, the others go on: %s", _last_line(error))
                continue
            starting[_ready(worker)] = worker
            reason = "its worker was lost; see that worker's log"
        else:
            free.append(worker)
            if attempt is not None:
                yield result
            continue
        assert attempt is not None
        if attempt.number < RETRIES:
            failed.append(replace(attempt, number=attempt.number + 1))
        else:
            yield Failed(attempt.task, f"{reason} (tried {attempt.number + 1} times)")


def _ready(worker: Any) -> Any:
    return worker.ready.options(max_task_retries=-1).remote()


def _last_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
