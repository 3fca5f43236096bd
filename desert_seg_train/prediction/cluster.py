"""Handing chunks to the workers of a Ray cluster. A chunk whose worker is lost is done again by its successor.

Doing a frame twice does no harm and what is done is skipped, so nothing is lost or doubled. The machines of the cluster
must see the same files. Ray is an optional package.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from desert_seg.errors import DataError, DesertSegError
from desert_seg_train.prediction.inputs import Chunk
from desert_seg_train.prediction.worker import Done, Job, Worker

MAX_LOSSES = 5
"""Times that a worker is started again and a chunk is tried again; what kills more of them will not work at all."""

_LOCAL: dict[str, Any] = {
    "include_dashboard": False,
    "_node_ip_address": "127.0.0.1",
    "object_store_memory": 100 * 2**20,  # all that travels is lists of names
}


@dataclass(frozen=True)
class Share:
    """What Ray sets aside for one worker.

    Attributes:
        processors: Whole processors, at least 1.
        gpus: 1, or 1/2, 1/3 .. where workers share them, or 0 where none are used.
    """

    processors: int
    gpus: float


@contextmanager
def workers_on_cluster(
    job: Job, address: str, num_workers: int
) -> Iterator[Callable[[Sequence[Chunk]], Iterator[Done]]]:
    """Workers with loaded models, while the context lasts.

    Args:
        job: What is the same for all chunks; of its threads, 0 means as many as a worker's share of processors.
        address: Of the cluster; `local` starts one on this machine, which ends with the context.
        num_workers: 0 = one for each GPU, or for each machine of a cluster without.

    Yields:
        What does chunks and tells what became of every frame, in no particular order.

    Raises:
        DesertSegError: Ray is not installed, there is no such cluster or it is too small, a worker met an error that
            ends a run, or workers were lost again and again.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        from ray.exceptions import RayActorError, RayTaskError
        from ray.util import ActorPool
    except ModuleNotFoundError as error:
        raise DesertSegError("--ray needs the package ray; install the extra: pip install '.[cluster]'") from error
    try:
        ray.init(
            address, logging_level=logging.ERROR, log_to_driver=False, **(_LOCAL if address == "local" else {})
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DesertSegError(f"there is no Ray cluster at {address} ({reason}); start one, or give local") from error
    try:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        use_gpus = job.device != "cpu" and job.engine != "openvino"
        num_workers = num_workers or int(sum(each.get("GPU", 0) for each in machines) * use_gpus) or len(machines)
        share = share_out(machines, num_workers, use_gpus)
        kind = ray.remote(
            num_cpus=share.processors, num_gpus=share.gpus, max_restarts=MAX_LOSSES, max_task_retries=MAX_LOSSES
        )(_RemoteWorker)
        workers = [kind.remote(replace(job, threads=job.threads or share.processors)) for _ in range(num_workers)]
        ray.get([worker.load.remote() for worker in workers])
        pool = ActorPool(workers)
        yield lambda chunks: (
            done
            for some in pool.map_unordered(lambda worker, chunk: worker.do_all.remote(chunk), list(chunks))
            for done in some
        )
    except RayTaskError as error:
        if isinstance(error.cause, DesertSegError):
            raise DesertSegError(str(error.cause)) from error
        raise
    except RayActorError as error:
        raise DesertSegError(
            f"workers were lost again and again, memory may be short ({_last_line(error)}); run this again with fewer "
            "--workers"
        ) from error
    finally:
        ray.shutdown()


def share_out(machines: Sequence[Mapping[str, float]], num_workers: int, use_gpus: bool) -> Share:
    """The largest equal share with which all workers find room.

    Args:
        machines: Of each, how much it has of `CPU` and `GPU`, as Ray calls them.
        num_workers: At least 1.
        use_gpus: Put the workers where GPUs are, if there are any.

    Raises:
        DataError: There are fewer processors than workers.
    """
    with_gpus = [each for each in machines if use_gpus and each.get("GPU", 0) >= 1]
    places = [(int(each.get("CPU", 0)), int(each.get("GPU", 0))) for each in with_gpus or machines]
    num_gpus = sum(gpus for _, gpus in places) if with_gpus else 0
    workers_per_gpu = -(-num_workers // num_gpus) if num_gpus else 0
    for processors in range(max(cpus for cpus, _ in places), 0, -1):
        room = [cpus // processors for cpus, _ in places]
        if num_gpus:
            room = [min(fit, gpus * workers_per_gpu) for fit, (_, gpus) in zip(room, places, strict=True)]
        if sum(room) >= num_workers:
            return Share(processors, 1 / workers_per_gpu if num_gpus else 0)
    total = sum(cpus for cpus, _ in places)
    raise DataError(f"found --workers {num_workers}, expected at most the {total} processors of the cluster; give fewer")


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1].rstrip(".")


class _RemoteWorker:
    """A worker that loads its model when first asked, so that what is wrong with it comes back as an error."""

    def __init__(self, job: Job) -> None:
        self._job = job

    @cached_property
    def _worker(self) -> Worker:
        return Worker(self._job)

    def load(self) -> None:
        assert self._worker

    def do_all(self, chunk: Chunk) -> list[Done]:
        return list(self._worker.do(chunk))
