"""`desert-seg predict`: masks for images, folders and bags, at their original resolution.

    desert-seg predict --model models/light --input FOLDER --output DIR

It uses the robot's own inference path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from desert_seg.artifact import load_artifact
from desert_seg.console import BarColumn, Console, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from desert_seg.errors import DataError
from desert_seg_train.predict.archive import Bag, do_here, follow, refuse_archive, start_worker
from desert_seg_train.predict.cluster import Failed, cluster
from desert_seg_train.predict.config import PredictConfig
from desert_seg_train.predict.inputs import Chunk, divided, find_bags
from desert_seg_train.predict.output import Output
from desert_seg_train.predict.run import Run, make_run
from desert_seg_train.predict.worker import Done, Tally, Worker


def predict(config: PredictConfig) -> None:
    """Predict every frame that is not done yet, and say where the masks are.

    Raises:
        DataError: There is nothing to predict, the folder holds other predictions or other files, or frames could not
            be read; by then all others are done.
        ArtifactError: The model is missing or damaged.
        EngineError: The engine cannot be had.
    """
    digest = load_artifact(config.model).digest
    here = replace(config, model=config.model.resolve(), output=config.output.resolve())  # wherever a worker runs
    if bags := find_bags(config.input):
        _predict_archive(here, config.output, digest, [Bag(name, path) for name, path in bags.items()])
        return
    run = make_run(here, digest)
    with _worker(here, run.output) as do, closing(run.carry_out(do)) as work:
        _follow(config, run, work)


def _predict_archive(config: PredictConfig, shown: Path, digest: str, bags: list[Bag]) -> None:
    """Predict every bag that is not done yet into a folder of its own."""
    refuse_archive(config.output, bags)
    console, start = Console(), partial(start_worker, config, digest)
    if config.ray:
        with cluster(start, config.ray, config.workers, config.threads) as do:
            totals = follow(do(bags), len(bags), console)
    else:
        totals = follow(do_here(start(config.threads), bags), len(bags), console)
    num_done = totals.num_frames - totals.num_failed_frames
    there = f", {totals.num_there} of them there already" if totals.num_there else ""
    console.print(f"{num_done} frames of {totals.num_bags - totals.num_failed_bags} bags in {shown}{there}")
    if totals.num_failed_bags or totals.num_failed_frames:
        raise DataError(
            f"{totals.num_failed_bags} of {totals.num_bags} bags and {totals.num_failed_frames} frames of the others "
            "failed, as said above, and the rest is done; mend them and start the command again, which does what is "
            "missing"
        )


def _follow(config: PredictConfig, run: Run, work: Iterable[Done]) -> None:
    """Follow the work to its end and say what was done."""
    console = Console()
    tally = Tally()
    progress = Progress(
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = progress.add_task("", total=run.num_declared, rate="")
    with progress:
        for done in work:
            tally.add(done)
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate=f"{speed:.1f}/s" if speed else "")
    if not tally.num_frames:
        raise DataError(f"{config.input}: found no frame; give an image, a folder or a bag that has images")
    if tally.warning:
        console.print(f"warning: {tally.warning}")
    there = f", {tally.num_there} of them there already" if tally.num_there else ""
    console.print(
        f"{tally.num_frames - tally.num_failed} frames in {config.output}{there}: {', '.join(run.output.kinds)}"
    )
    if tally.num_failed:
        others = "" if tally.num_failed == tally.num_frames else ", the others are done"
        raise DataError(f"{tally.num_failed} of {tally.num_frames} frames failed{others}; the first: {tally.failure}")


@contextmanager
def _worker(config: PredictConfig, output: Output) -> Iterator[Callable[[list[Chunk]], Iterator[Done]]]:
    """What does chunks, with its model loaded: whatever is wrong with that is said before anything is written."""
    if config.ray:
        start = partial(_start_worker, config, output)
        with cluster(start, config.ray, config.workers, config.threads) as do:
            yield lambda chunks: _frames(do(divided(chunks)))
    else:
        yield partial(Worker(config).do_all, output=output)


def _start_worker(config: PredictConfig, output: Output, threads: int) -> Callable[[Chunk], list[Done]]:
    worker = Worker(replace(config, threads=threads))
    return lambda chunk: list(worker.do(chunk, output))


def _frames(outcomes: Iterable[list[Done] | Failed[Chunk]]) -> Iterator[Done]:
    """The outcomes of frames from those of chunks: every frame of a chunk that was given up failed."""
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            yield from (Done(name, f"{name}: {outcome.reason}") for name in outcome.task.places())
        else:
            yield from outcome
