"""Progress of a training: the steps of the whole run with the time left, and a line for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from desert_seg.console import BarColumn, Console, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from desert_seg.scoring import Scores
from desert_seg_train.train.run_state import EpochResult, Position


class TrainingDisplay(AbstractContextManager["TrainingDisplay"]):
    """A live line on a terminal; a pipe or a log file only gets the lines of the epochs."""

    def __init__(self, console: Console, epochs: int, steps_per_epoch: int, position: Position) -> None:
        """Begin at the position of an earlier run, or at its start."""
        self._console, self._epochs = console, epochs
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=600,
        )
        done = position.epoch * steps_per_epoch + position.step
        total = epochs * steps_per_epoch
        self._task = self._progress.add_task(
            "", total=total, completed=done, epoch=position.epoch + 1, epochs=epochs, loss=float("nan")
        )

    def __enter__(self) -> TrainingDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, position: Position) -> None:
        """Advance by one step."""
        self._progress.update(self._task, advance=1, epoch=position.epoch + 1, loss=position.losses[-1])

    def epoch(self, result: EpochResult) -> None:
        """Print a line about a finished epoch."""
        line = f"epoch {result.epoch}/{self._epochs}: loss {result.loss:.4f}, {result.seconds:.0f} s"
        if result.skipped_steps:
            line += f", {result.skipped_steps} steps skipped for an absurd gradient"
        if result.val_miou == result.val_miou:
            line += f", validation mIoU {result.val_miou:.4f}"
        self._console.print(line)


def tensorboard_values(result: EpochResult, scores: Scores | None, names: Sequence[str]) -> dict[str, float]:
    """The curves of an epoch by name; with `scores`, also the validation IoU of each of the `names`."""
    values = {"loss": result.loss, "learning_rate": result.learning_rate, "skipped_steps": result.skipped_steps}
    if scores is not None:
        values["validation/mIoU"] = scores.miou_present
        values |= {f"validation/IoU {name}": iou for name, iou in zip(names, scores.iou, strict=True) if iou == iou}
    return values
