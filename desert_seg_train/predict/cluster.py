"""Distributes chunks to the workers of a Ray cluster. A chunk whose worker is lost is repeated by its successor.

Predicting a frame twice is harmless and finished frames are skipped, so nothing is lost or duplicated. The machines of
the cluster must see the same files. Ray is an optional package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from desert_seg.errors import DesertSegError
from desert_seg_train.predict.inputs import Chunk, FileChunk
from desert_seg_train.predict.worker import Done, Job, Worker

NOTHING = FileChunk(())
"""Done as soon as a worker has its model."""

MAX_LOSSES = 5
"""How often a worker is restarted and a chunk is retried before giving up."""


@contextmanager
def cluster(job: Job, address: str, num_workers: int) -> Iterator[Callable[[Sequence[Chunk]], Iterator[Done]]]:
    """Start workers on a cluster, and wait until the first has its model.

    Args:
        job: The settings for all chunks; 0 threads shares the processors among the workers.
        address: Address of the cluster; `local` starts one on this machine, which ends with this process.
        num_workers: 0 = one per machine.

    Yields:
        A function that does chunks and yields the outcome of every frame, in no particular order.

    Raises:
        DesertSegError: Ray is not installed, there is no such cluster, the model cannot be loaded there, or, in the
            block, workers were lost again and again.
    """
    try:
        import ray
        from ray.exceptions import RayActorError, RayTaskError
        from ray.util import ActorPool
    except ModuleNotFoundError as error:
        raise DesertSegError("--ray needs the package ray; install the extra: pip install '.[cluster]'") from error
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DesertSegError(f"there is no Ray cluster at {address} ({reason}); start one, or give local") from error
    try:
        num_workers = num_workers or sum(bool(node["Alive"]) for node in ray.nodes())
        processors = int(ray.cluster_resources().get("CPU", 1))
        threads = job.threads or max(1, processors // num_workers)
        kind = ray.remote(num_cpus=min(threads, processors), max_restarts=MAX_LOSSES, max_task_retries=MAX_LOSSES)(
            _RemoteWorker
        )
        workers: list[Any] = [kind.remote(replace(job, threads=threads)) for _ in range(num_workers)]
        first, _ = ray.wait([worker.do_all.remote(NOTHING) for worker in workers])
        ray.get(first)

        def do(chunks: Sequence[Chunk]) -> Iterator[Done]:
            pool = ActorPool(workers)
            for done in pool.map_unordered(lambda worker, chunk: worker.do_all.remote(chunk), list(chunks)):
                yield from done

        yield do
    except RayTaskError as error:
        raise DesertSegError(f"a worker failed: {_last_line(error.cause)}") from error
    except RayActorError as error:
        raise DesertSegError(f"workers were lost again and again: {_last_line(error)}; see their logs") from error
    finally:
        ray.shutdown()


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1]


class _RemoteWorker(Worker):
    """A worker whose results travel in one message."""

    def do_all(self, chunk: Chunk) -> list[Done]:
        return list(self.do(chunk))
