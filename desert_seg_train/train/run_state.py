"""Progress of a training and its checkpoints: `last.ckpt` to resume from, `best.ckpt` to make a model from.

Both hold only tensors and plain containers, and are replaced atomically. Knows nothing of the loop.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import torch

from desert_seg.checkpoint import read_checkpoint
from desert_seg.errors import ArtifactError, DataError, OutputError
from desert_seg.files import refusal, write_text, writing
from desert_seg.json_file import parse_json
from desert_seg.labels import LabelMap
from desert_seg.network import NetworkConfig
from desert_seg_train.train.config import TrainConfig

FREE_TO_CHANGE = ("out", "resume", "workers", "device", "validation", "early_stop", "stop_after")
"""Settings that may differ when a training is resumed: they do not decide the weights."""


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch, a line of log.csv.

    Attributes:
        epoch: From 1.
        loss: Mean training loss of the steps.
        skipped_steps: Steps skipped because their gradient was absurd.
        seconds: Duration of the training steps, without validation.
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
        """Record a finished epoch and move to the start of the next."""
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

    def __init__(self, config: TrainConfig, network: NetworkConfig, label_map: LabelMap, frames: str) -> None:
        """Name the files.

        Args:
            config: The settings.
            network: What is trained.
            label_map: Of the first source.
            frames: Digest of the frames that are trained on.
        """
        self.root = config.out
        self.last, self.best, self.artifact = (self.root / name for name in ("last.ckpt", "best.ckpt", "artifact"))
        self.recipe = _recipe(config)
        self._facts = {
            "network_config": asdict(network),
            "label_map": label_map.to_dict(),
            "recipe": self.recipe,
            "frames": frames,
        }

    def start(self, resume: bool) -> None:
        """Create the folder, or refuse to overwrite an earlier training.

        Raises:
            DataError: It holds a training that is not to be resumed.
            OutputError: It cannot be made.
        """
        if self.last.exists() and not resume:
            raise DataError(f"{self.root}: holds a training already; go on with --resume, or choose another --out")
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)

    def load(self, parts: Mapping[str, Any]) -> Position:
        """Restore the parts of a training and return its position.

        Args:
            parts: Objects with `load_state_dict`, by the names given to `save`.

        Raises:
            ArtifactError: The checkpoint is unreadable, or of a training of another model, other settings or frames.
        """
        content = read_checkpoint(self.last)
        try:
            found, expected = parse_json(content["recipe"]), json.loads(self.recipe)
            changed = [name for name in expected if found.get(name) != expected[name]]
            # Frames tell by themselves whether they are the same, wherever they lie.
            if "frames" in content and _without_folders(found) == _without_folders(expected):
                changed = []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"{self.last}: is no checkpoint of this version's trainings ({type(error).__name__}: {error}); start "
                "anew in another --out"
            ) from error
        if changed:
            name = changed[0]
            raise ArtifactError(
                f"{self.last}: is of a training with {name} {found.get(name)}, expected {expected[name]}; resume with "
                "the settings it was started with, or choose another --out"
            )
        if content.get("frames", self._facts["frames"]) != self._facts["frames"]:
            raise ArtifactError(
                f"{self.last}: is of a training with other frames, masks or label maps, which have been changed since; "
                f"put them back, or begin a new one in another --out, perhaps with --start {self.best}"
            )
        try:
            for name, part in parts.items():
                part.load_state_dict(content[name])
            position = content["position"]
            return Position(**position | {"history": [EpochResult(**result) for result in position["history"]]})
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise ArtifactError(
                f"{self.last}: does not hold what a training goes on from ({type(error).__name__}: {reason}); start "
                "anew in another --out, perhaps with --start and best.ckpt beside it"
            ) from error

    def save(self, position: Position, parts: Mapping[str, Any]) -> None:
        """Write last.ckpt; raises OutputError if it cannot be written; the earlier one is kept then."""
        state = {name: part.state_dict() for name, part in parts.items()}
        self._write(self.last, {"position": asdict(position), **state})

    def save_best(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Write best.ckpt; raises OutputError like `save`."""
        self._write(self.best, {"average": dict(weights)})

    def write_log(self, history: Sequence[EpochResult]) -> None:
        """Rewrite log.csv from all epochs; a field is empty if its value was not measured."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([item.name for item in fields(EpochResult)])
        for result in history:
            writer.writerow(["" if value != value else f"{value:.6g}" for value in asdict(result).values()])
        write_text(self.root / "log.csv", text.getvalue())

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                _save({**self._facts, **content}, file)
            partial.replace(path)
        except OSError as error:
            raise OutputError(f"{refusal(path, error)}, and go on with --resume") from error
        finally:
            partial.unlink(missing_ok=True)


def _save(content: dict[str, Any], file: BinaryIO) -> None:
    """torch.save, with the machine's own error where it refuses: torch's writer speaks of positions in an archive."""
    try:
        torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


def _without_folders(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose sources are a label map and a weight each."""
    return recipe | {"sources": [source[1:] for source in recipe["sources"]]}


def _recipe(config: TrainConfig) -> str:
    """Everything that decides the weights, as JSON."""
    settings = {name: value for name, value in asdict(config).items() if name not in FREE_TO_CHANGE}
    return json.dumps(settings, default=str)
