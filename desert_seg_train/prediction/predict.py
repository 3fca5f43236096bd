"""`desert-seg predict`: masks for images, folders and bags, at their original resolution.

    desert-seg predict --model models/light --input FOLDER --output DIR

The same inference path as the robot's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from desert_seg.artifact import load_artifact
from desert_seg.errors import DataError
from desert_seg_train.prediction.cluster import workers_on_cluster
from desert_seg_train.prediction.config import PredictConfig
from desert_seg_train.prediction.inputs import Chunk, find_chunks
from desert_seg_train.prediction.output import KINDS, Manifest, Output, remove_predictions
from desert_seg_train.prediction.worker import Done, Job, Worker


def predict(config: PredictConfig) -> None:
    """Predict every frame that is not done yet, and say where the masks are.

    Raises:
        DataError: There is nothing to predict, the folder holds other predictions or cannot be written to, or frames
            could not be read; all others are done by then.
        ArtifactError: The model is missing or damaged.
        EngineError: The engine cannot be had.
    """
    console = Console()
    artifact = load_artifact(config.model)
    chunks = find_chunks(config.input, config.topic, config.output)
    total = sum(map(len, chunks))
    output = Output(config.output.absolute(), _kinds(config))
    settings = {name: getattr(config, name) for name in ("tta", "engine", "device", "precision")}
    manifest = Manifest(artifact.digest, str(Path(config.input).absolute()), settings)
    if not config.overwrite:
        manifest.check(output.root)
    job = Job(
        config.model.absolute(), output, config.tta, config.engine, config.device, config.precision, config.threads
    )
    num_done, num_there, failures = 0, 0, []
    with _workers(job, config) as do:  # what is wrong with the engine shows here, before anything is replaced
        if config.overwrite:
            remove_predictions(output.root)
        manifest.write(output.root, total, 0, [], finished=False)
        with _progress(console) as progress:
            task = progress.add_task("", total=total, rate="")
            for done in do(chunks):
                if done.failure:
                    failures.append((done.name, done.failure))
                num_done += not done.failure
                num_there += done.was_there
                speed = progress.tasks[0].speed
                progress.update(task, advance=1, rate=f"{speed:.1f}/s" if speed else "")
    manifest.write(output.root, total, num_done, failures, finished=True)
    there = f" ({num_there} of them were there already)" if num_there else ""
    console.print(
        f"{num_done} frames in {config.output}{there}: {', '.join(output.kinds)}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    if failures:
        raise DataError(
            f"{len(failures)} of {total} frames could not be read, the others are done; the first: {min(failures)[1]}"
        )


@contextmanager
def _here(job: Job) -> Iterator[Callable[[Sequence[Chunk]], Iterator[Done]]]:
    worker = Worker(job)
    yield lambda chunks: (done for chunk in chunks for done in worker.do(chunk))


def _workers(
    job: Job, config: PredictConfig
) -> AbstractContextManager[Callable[[Sequence[Chunk]], Iterator[Done]]]:
    return workers_on_cluster(job, config.ray, config.workers) if config.ray else _here(job)


def _kinds(config: PredictConfig) -> tuple[str, ...]:
    wanted = {"color": True, "raw": True, "overlay": config.overlay, "confidence": config.confidence}
    return tuple(kind for kind in KINDS if wanted[kind])


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
