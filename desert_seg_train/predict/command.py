"""`desert-seg predict`: masks for images, folders and bags, at their original resolution.

    desert-seg predict --model models/light --input FOLDER --output DIR

It uses the robot's own inference path.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from desert_seg.artifact import load_artifact
from desert_seg.console import BarColumn, Console, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from desert_seg.errors import DataError
from desert_seg_train.predict.cluster import do_on_cluster
from desert_seg_train.predict.config import PredictConfig
from desert_seg_train.predict.inputs import Chunk, divided, find_chunks, refuse_input_in
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
    console = Console()
    artifact = load_artifact(config.model)
    chunks = find_chunks(config.input, config.topic)
    num_declared = sum(map(len, chunks))
    output = Output(config.output.resolve(), _kinds(config))
    settings = {name: getattr(config, name) for name in ("tta", "engine", "device", "precision")}
    manifest = Manifest(artifact.digest, _absolute(config.input), settings)
    refuse_input_in(output.root, chunks)
    written = prepare(output.root, manifest, config.overwrite)
    manifest.write(output.root, num_declared, [], written, finished=False)
    job = Job(
        config.model.resolve(), output, config.tta, config.engine, config.device, config.precision, config.threads
    )
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
            for done in _work(job, chunks, config):
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


def _work(job: Job, chunks: list[Chunk], config: PredictConfig) -> Iterator[Done]:
    if config.ray:
        yield from do_on_cluster(job, divided(chunks), config.ray, config.workers)
        return
    worker = Worker(job)
    for chunk in chunks:
        yield from worker.do(chunk)


def _kinds(config: PredictConfig) -> tuple[str, ...]:
    wanted = {"color": True, "raw": True, "overlay": config.overlay, "confidence": config.confidence}
    return tuple(kind for kind in KINDS if wanted[kind])


def _absolute(text: str) -> str:
    """The input as an absolute path or pattern."""
    return str(Path(text).absolute())
