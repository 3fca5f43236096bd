"""The curves of a training, read from its log.csv, of which only the columns are known here."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError

NAME = "log.csv"


@dataclass(frozen=True)
class TrainingLog:
    """A training, epoch by epoch.

    Attributes:
        path: The file.
        columns: Float64 values of each column by name, one per epoch; NaN where a field is empty.
    """

    path: Path
    columns: dict[str, npt.NDArray[np.float64]]

    def has(self, name: str) -> bool:
        """True if a column exists and is not entirely empty."""
        return name in self.columns and not bool(np.isnan(self.columns[name]).all())

    def facts(self) -> list[tuple[str, str]]:
        """Facts that the curves do not show at a glance, as pairs of a term and its value."""
        facts = [("epochs", f"{len(self.columns['epoch'])}")]
        if self.has("val_miou"):
            best = int(np.nanargmax(self.columns["val_miou"]))
            epoch = self.columns["epoch"][best]
            facts.append(("best validation mIoU", f"{self.columns['val_miou'][best]:.3f} after epoch {epoch:.0f}"))
        if self.has("seconds"):
            facts.append(("time of the steps", f"{np.nansum(self.columns['seconds']) / 60:.0f} minutes"))
        if self.has("skipped_steps"):
            facts.append(("steps skipped", f"{np.nansum(self.columns['skipped_steps']):.0f}"))
        return [*facts, ("log", str(self.path))]


def find_training_log(model: Path) -> Path | None:
    """The log in an artifact's folder, or in the training's folder above it, if there is one."""
    for folder in (model, model.resolve().parent):
        path = folder / NAME
        if path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith("epoch,loss"):
            return path
    return None


def read_training_log(path: Path) -> TrainingLog:
    """Read a log.

    Raises:
        DataError: There is no such file, or it is not a training's log.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}); give the {NAME} of a training") from error
    if not rows or not {"epoch", "loss"} <= rows[0].keys():
        raise DataError(
            f"{path}: found no epochs with a loss, expected columns epoch, loss, ...; give a training's {NAME}"
        )
    try:
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0] if name}
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: holds something that is no number ({error}); give a training's {NAME}") from error
    return TrainingLog(path, columns)
