"""`desert-seg predict`: masks for images, folders and bags, at their original resolution.

    desert-seg predict --model models/light --input FOLDER --output DIR

It uses the robot's own inference path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from desert_seg.artifact import load_artifact
from desert_seg.console import BarColumn, Console, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from desert_seg.errors import DataError
from desert_seg_train.predict.cluster import cluster
from desert_seg_train.predict.config import PredictConfig
from desert_seg_train.predict.inputs import BagChunk, Chunk, FileChunk, divided, find_chunks, refuse_input_in
from desert_seg_train.predict.output import KINDS, Manifest, Output, prepare
from desert_seg_train.predict.worker import Done, Job, Worker


def predict(config: PredictConfig) -> None:
    """Predict every frame that is not done yet, and say where the masks are.

    Raises:
        DataError: There is nothing to predict, the folder holds other predictions or other files, or frames could not
            be read; by then all others are done.
        ArtifactError: The model is missing or damaged.
        EngineError: The engine cannot be had.
    """
    artifact = load_artifact(config.model)
    chunks = find_chunks(config.input, config.topic)
    num_declared = sum(map(len, chunks))
    output = Output(config.output.resolve(), _kinds(config))
    settings = {name: getattr(config, name) for name in ("speed", "tta", "engine", "device", "precision")}
    manifest = Manifest(artifact.digest, _absolute(config.input), settings, *_states(chunks))
    refuse_input_in(output.root, chunks)
    job = Job(
        config.model.resolve(),
        output,
        config.speed,
        config.tta,
        config.engine,
        config.device,
        config.precision,
        config.threads,
    )
    with _worker(job, config) as do:
        written = prepare(output.root, manifest, config.overwrite)
        manifest.write(output.root, num_declared, [], written, finished=False)
        _do_all(config, manifest, output, written, num_declared, do(chunks))


def _do_all(
    config: PredictConfig,
    manifest: Manifest,
    output: Output,
    written: set[str],
    num_declared: int,
    work: Iterator[Done],
) -> None:
    """Follow the work to its end, record it and say what was done."""
    console = Console()
    failures, total, num_there, finished = [], 0, 0, False
    progress = Progress(
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = progress.add_task("", total=num_declared, rate="")
    try:
        with progress:
            for done in work:
                total += 1
                if done.failure:
                    failures.append((done.name, done.failure))
                else:
                    written.add(done.name)
                num_there += done.was_there
                speed = progress.tasks[0].speed
                progress.update(task, advance=1, rate=f"{speed:.1f}/s" if speed else "")
        finished = True
    finally:
        manifest.write(output.root, total if finished else num_declared, failures, written, finished)
    if not total:
        raise DataError(f"{config.input}: found no frame; give an image, a folder or a bag that has images")
    there = f", {num_there} of them there already" if num_there else ""
    console.print(
        f"{total - len(failures)} frames in {config.output}{there}: {', '.join(output.kinds)}",
        markup=False,
    )
    if failures:
        raise DataError(
            f"{len(failures)} of {total} frames could not be read, the others are done; the first: {failures[0][1]}"
        )


@contextmanager
def _worker(job: Job, config: PredictConfig) -> Iterator[Callable[[list[Chunk]], Iterator[Done]]]:
    """What does chunks, with its model loaded: whatever is wrong with that is said before anything is written."""
    if config.ray:
        with cluster(job, config.ray, config.workers) as do:
            yield lambda chunks: do(divided(chunks))
    else:
        worker = Worker(job)
        yield lambda chunks: (done for chunk in chunks for done in worker.do(chunk))


def _states(chunks: list[Chunk]) -> tuple[str, dict[str, str]]:
    """In which state the input is: of a bag as a whole, of image files each."""
    files = [chunk for chunk in chunks if isinstance(chunk, FileChunk)]
    bag = "".join(chunk.state() for chunk in chunks if isinstance(chunk, BagChunk))
    return bag, {name: source for chunk in files for name, source in chunk.sources().items()}


def _kinds(config: PredictConfig) -> tuple[str, ...]:
    wanted = {"color": True, "raw": True, "overlay": config.overlay, "confidence": config.confidence}
    return tuple(kind for kind in KINDS if wanted[kind])


def _absolute(text: str) -> str:
    """The input as an absolute path or pattern."""
    return str(Path(text).absolute())
