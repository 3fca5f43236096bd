"""Where a training stands, and keeping it on disk: `last.ckpt` to go on from, `best.ckpt` to make a model of.

Both hold tensors and plain containers only and are replaced in one go. Knows nothing of the loop.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from desert_seg.checkpoint import read_checkpoint
from desert_seg.errors import ArtifactError, DataError
from desert_seg.images import write_bytes
from desert_seg.labels import LabelMap
from desert_seg.network import NetworkConfig
from desert_seg_train.train.config import TrainConfig

FREE_TO_CHANGE = ("out", "resume", "workers", "device", "validation", "early_stop", "stop_after")
"""Settings that a resumed training may change without becoming another training."""


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch, a line of log.csv.

    Attributes:
        epoch: From 1.
        loss: Mean training loss of the steps.
        skipped_steps: Steps not taken because their gradient was absurd.
        seconds: Time of the training steps, without validation.
        learning_rate: The head's at the end.
        val_miou: Mean IoU over classes present in the validation frames; NaN without validation.
    """

    epoch: int
    loss: float
    skipped_steps: int
    seconds: float
    learning_rate: float
    val_miou: float


@dataclass
class Position:
    """How far a training has come: `step` steps into epoch `epoch` (from 0), and what happened so far."""

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    skipped_steps: int = 0
    seconds: float = 0.0
    history: list[EpochResult] = field(default_factory=list)

    def finish_epoch(self, result: EpochResult) -> None:
        """Go to the beginning of the next epoch."""
        self.epoch, self.step, self.losses, self.skipped_steps, self.seconds = self.epoch + 1, 0, [], 0, 0.0
        self.history.append(result)

    def best(self) -> EpochResult | None:
        """The epoch with the highest validation mIoU; the last one without validation."""
        if not self.history:
            return None
        validated = [result for result in self.history if result.val_miou == result.val_miou]
        return max(validated, key=lambda result: result.val_miou) if validated else self.history[-1]

    def is_stale(self, early_stop: int) -> bool:
        """True if the best epoch lies `early_stop` or more epochs back; never for 0."""
        best = self.best()
        return bool(early_stop and best is not None and self.epoch - best.epoch >= early_stop)


class RunFolder:
    """The folder of one training."""

    def __init__(self, config: TrainConfig, network: NetworkConfig, label_map: LabelMap) -> None:
        self.root = config.out
        self.last, self.best, self.artifact = (self.root / name for name in ("last.ckpt", "best.ckpt", "artifact"))
        self.recipe = _recipe(config)
        self._facts = {"network_config": asdict(network), "label_map": label_map.to_dict(), "recipe": self.recipe}

    def start(self, resume: bool) -> None:
        """Make the folder, or refuse to write over an earlier training.

        Raises:
            DataError: It holds a training that is not to be resumed, or cannot be made.
        """
        if self.last.exists() and not resume:
            raise DataError(f"{self.root}: holds a training already; go on with --resume, or choose another --out")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.root}: cannot be made ({error.strerror}); choose another --out") from error

    def load(self, parts: Mapping[str, Any]) -> Position:
        """Bring the parts of a training to where it stopped.

        Args:
            parts: What has `load_state_dict`, by name; as given to `save`.

        Raises:
            ArtifactError: The checkpoint is unreadable, of another model, or of a training with other settings.
        """
        content = read_checkpoint(self.last)
        if not isinstance(content.get("recipe"), str):
            raise ArtifactError(f"{self.last}: is no checkpoint of this version; start anew in another --out")
        found, expected = json.loads(content["recipe"]), json.loads(self.recipe)
        for name in expected:
            if found.get(name) != expected[name]:
                raise ArtifactError(
                    f"{self.last}: is of a training with {name} {found.get(name)}, expected {expected[name]}; resume "
                    "with the settings it was started with, or choose another --out"
                )
        for name, part in parts.items():
            part.load_state_dict(content[name])
        position = content["position"]
        return Position(**position | {"history": [EpochResult(**result) for result in position["history"]]})

    def save(self, position: Position, parts: Mapping[str, Any]) -> None:
        """Write last.ckpt; raises DataError if the disk does not take it, and then the earlier one is still there."""
        state = {name: part.state_dict() for name, part in parts.items()}
        self._write(self.last, {"position": asdict(position), **state})

    def save_best(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Write best.ckpt; raises DataError like `save`."""
        self._write(self.best, {"average": dict(weights)})

    def write_log(self, history: Sequence[EpochResult]) -> None:
        """Write log.csv anew from all epochs; an empty field stands for what was not measured."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([item.name for item in fields(EpochResult)])
        for result in history:
            writer.writerow(["" if value != value else f"{value:.6g}" for value in asdict(result).values()])
        write_bytes(self.root / "log.csv", text.getvalue().encode())

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        partial = path.with_suffix(".partial")
        try:
            torch.save({**self._facts, **content}, partial)
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
            partial.unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:120]
            raise DataError(
                f"{path}: could not be written ({reason}); make room on the disk and go on with --resume"
            ) from error


def _recipe(config: TrainConfig) -> str:
    """Everything that decides the weights, as JSON."""
    settings = {name: value for name, value in asdict(config).items() if name not in FREE_TO_CHANGE}
    return json.dumps(settings, default=str)
