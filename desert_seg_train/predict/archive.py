"""An archive: many bags, each into a folder of its own, by one worker, with a record of its own.

So whoever distributes them holds no more than their paths, a rerun passes over a finished bag by its record, and a bag
is read once, from its first message to its last. Knows nothing of Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

from desert_seg.console import BarColumn, Console, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from desert_seg.errors import DataError, OutputError
from desert_seg_train.predict.cluster import Failed
from desert_seg_train.predict.config import PredictConfig
from desert_seg_train.predict.inputs import BagChunk, refuse_input_in
from desert_seg_train.predict.output import RECORD
from desert_seg_train.predict.run import make_run
from desert_seg_train.predict.worker import Tally, Worker
from desert_seg_train.written import refuse_links


@dataclass(frozen=True)
class Bag:
    """A bag of an archive, and the name of its folder in the output."""

    name: str
    path: Path


@dataclass(frozen=True)
class BagDone:
    """The outcome of a bag.

    Attributes:
        name: Of the bag.
        num_frames: How many frames it has, as far as it could be read.
        num_there: How many of them were predicted before.
        num_failed: How many could not be read.
        failure: The first of the errors, or empty.
        remarks: Faults of the bag in spite of which it was read.
        warning: What else there is to say of its frames, or empty.
    """

    name: str
    num_frames: int = 0
    num_there: int = 0
    num_failed: int = 0
    failure: str = ""
    remarks: tuple[str, ...] = ()
    warning: str = ""


@dataclass
class Totals:
    """What was done of an archive."""

    num_bags: int = 0
    num_frames: int = 0
    num_there: int = 0
    num_failed_frames: int = 0
    num_failed_bags: int = 0

    def add(self, outcome: BagDone | Failed[Bag]) -> tuple[str, ...]:
        """Count a bag; returns what there is to say of it."""
        self.num_bags += 1
        if isinstance(outcome, Failed):
            self.num_failed_bags += 1
            return (f"failed: {outcome.task.name}: {outcome.reason}",)
        self.num_frames += outcome.num_frames
        self.num_there += outcome.num_there
        self.num_failed_frames += outcome.num_failed
        failed = f"failed: {outcome.num_failed} of {outcome.num_frames} frames of {outcome.name}: {outcome.failure}"
        remarks = [*outcome.remarks, *([f"{outcome.name}: {outcome.warning}"] if outcome.warning else [])]
        return (*(f"warning: {remark}" for remark in remarks), *([failed] if outcome.num_failed else []))


def start_worker(config: PredictConfig, digest: str, threads: int) -> Callable[[Bag], BagDone]:
    """Load the model, and return what predicts a bag with it.

    Args:
        config: The settings; the output is the folder for all bags.
        digest: Of the artifact.
        threads: CPU threads of the model, 0 = all.
    """
    return partial(_predict_bag, Worker(replace(config, threads=threads)), config, digest)


def _predict_bag(worker: Worker, config: PredictConfig, digest: str, bag: Bag) -> BagDone:
    """Predict the frames of a bag that are not done yet; one that cannot be used does not stop the others."""
    run = make_run(replace(config, input=str(bag.path), output=config.output / bag.name), digest)
    if (num_finished := run.num_finished()) is not None:
        return BagDone(bag.name, num_finished, num_there=num_finished)
    tally = Tally()
    with closing(run.carry_out(lambda chunks: worker.do_all(chunks, run.output))) as work:
        for done in work:
            tally.add(done)
    return BagDone(
        bag.name, tally.num_frames, tally.num_there, tally.num_failed, tally.failure, run.remarks, tally.warning
    )


def refuse_archive(root: Path, bags: Sequence[Bag]) -> None:
    """Check that an archive may be predicted into a folder; the folders of its bags are checked when they are done.

    Raises:
        DataError: It holds the predictions of a single input, a link in a bag's place, or a bag.
    """
    if (root / RECORD).exists():
        raise DataError(f"{root}: holds predictions of a single input; choose another --output for those of many bags")
    refuse_input_in(root, [BagChunk(bag.path, "", 0) for bag in bags])
    places = {place for bag in bags for place in (bag.name, *map(str, PurePath(bag.name).parents[:-1]))}
    refuse_links(root, sorted(places), "--output")


def do_here(do: Callable[[Bag], BagDone], bags: Iterable[Bag]) -> Iterator[BagDone | Failed[Bag]]:
    """Do the bags in this process, one after the other; only a disk that does not take the masks ends that."""
    for bag in bags:
        try:
            yield replace(do(bag), remarks=())  # they were logged in this process
        except OutputError:
            raise
        except DataError as error:
            yield Failed(bag, str(error))


def follow(outcomes: Iterable[BagDone | Failed[Bag]], num_bags: int, console: Console) -> Totals:
    """Show the progress of bags to the end, say what is wrong with one as soon as it is known, and count."""
    totals = Totals()
    progress = Progress(
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("bags {task.fields[frames]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with progress:
        task = progress.add_task("", total=num_bags, frames="")
        for outcome in outcomes:
            for sentence in totals.add(outcome):
                console.print(sentence)
            elapsed = progress.tasks[0].elapsed or 0
            rate = f", {(totals.num_frames - totals.num_there) / elapsed:.1f}/s" if elapsed else ""
            progress.update(task, advance=1, frames=f"{totals.num_frames} frames{rate}")
    return totals
