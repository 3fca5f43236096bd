"""Lines about training: a recipe's own steps from random weights, and the same steps again after resuming.

The steps are those of `desert-seg train`: its loader, its loss, its clipping, its checkpoints.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch

from desert_seg.console import Console
from desert_seg.memory import keep_freed_memory
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.train.devices import make_fabric
from desert_seg_train.train.display import TrainingDisplay
from desert_seg_train.train.epoch import finish_epoch, train_epoch
from desert_seg_train.train.run_state import Position
from desert_seg_train.train.setup import Training, set_up
from desert_seg_train.train.stopping import stop_signals
from speed.figures import Bar, Figure
from speed.gpu import materials
from speed.gpu.outcome import NotRunError
from speed.gpu.plan import Setting

NUM_EPOCHS = 5
MAX_WORKERS = 8

FIRST_LOSS = Bar(1e-3)
"""Relative difference of the first loss after resuming: same weights and crops, kernels that add in another order."""


def lines(setting: Setting, subject: str) -> Mapping[str, Callable[[], Iterator[Figure]]]:
    """The functions behind the lines, by name; `subject` is a recipe."""
    num_steps = 500 if subject == "reference" else 100
    training = TrainingLines(setting, subject, num_steps)
    return {"steps": training.steps, "resumed": training.resumed}


class TrainingLines:
    """A recipe's lines; the second needs the first."""

    def __init__(self, setting: Setting, subject: str, num_steps: int) -> None:
        """Prepare.

        Args:
            setting: What to run with; a quick run takes four steps.
            subject: A recipe of `config/`.
            num_steps: In how many steps.
        """
        keep_freed_memory()
        self._setting = setting
        folder, label_map = materials.labelled_folder(setting)
        config = materials.recipe(setting, subject)
        self._config = replace(
            config,
            sources=((folder, label_map, 1.0),),
            out=setting.work / f"{subject}_training",
            validation=None,
            start="random",
            epochs=2 if setting.quick else NUM_EPOCHS,
            steps_per_epoch=2 if setting.quick else num_steps // NUM_EPOCHS,
            precision="auto",  # bf16 on CUDA
            device="cuda" if setting.device == "cuda" else "cpu",
            workers=0 if setting.quick else min(MAX_WORKERS, (os.cpu_count() or 1) - 1),
            optimizer=replace(config.optimizer, freeze_encoder_epochs=0),
        )
        self._again = self._config.out.with_name(f"{subject}_training_again")
        self._last_losses: list[float] = []

    def steps(self) -> Iterator[Figure]:
        """All steps: speed, memory, and whether the loss falls; keeps the checkpoint before the last epoch."""
        config, losses, rates, starts = self._config, list[float](), list[float](), list[float]()
        skipped = 0
        training = _set_up(config)
        display = _StepClock(training)
        with stop_signals(training.fabric) as stop, display:
            for epoch in range(config.epochs):
                if epoch == config.epochs - 1:
                    self._again.mkdir(parents=True)
                    shutil.copy2(training.folder.last, self._again)
                display.begin()
                train_epoch(training, display, stop)
                starts.append(display.first_s())
                rates.append(display.steps_hz())
                self._last_losses = list(training.position.losses)
                losses += self._last_losses
                skipped += training.position.skipped_steps
                finish_epoch(training, display)
        few = max(1, len(losses) // 10)
        fall = sum(losses[-few:]) / sum(losses[:few])
        name, bar = "steps", None if self._setting.quick else Bar(0.9)
        precision = "bf16" if self._setting.device == "cuda" else "f32"
        yield Figure(name, f"taken, in {precision}", (len(losses),), "steps", once=True)
        yield Figure(name, "steps per second", tuple(rates[1:]), "Hz", once=True)
        yield Figure(name, "crops per second", tuple(config.batch_size * each for each in rates[1:]), "Hz", once=True)
        yield Figure(name, "first step of an epoch, with the start of the loader", tuple(starts[1:]), "s", once=True)
        yield Figure(name, "memory", (materials.peak_memory_gb(self._setting.device),), "GB", once=True)
        yield Figure(name, "loss of the last tenth / of the first", (fall,), once=True, bar=bar)
        yield Figure(name, "steps skipped for an absurd gradient", (skipped,), "steps", once=True, bar=Bar(0))

    def resumed(self) -> Iterator[Figure]:
        """The last epoch once more, from its checkpoint: how far its losses are from those of the unbroken training."""
        if not self._last_losses:
            raise NotRunError("there is no training to resume")
        training = _set_up(replace(self._config, out=self._again, resume=True))
        with stop_signals(training.fabric) as stop, _StepClock(training) as display:
            train_epoch(training, display, stop)
        apart = [
            abs(one - other) / abs(other)
            for one, other in zip(training.position.losses, self._last_losses, strict=True)
        ]
        yield Figure("resumed", "first loss, relative difference", (apart[0],), once=True, bar=FIRST_LOSS)
        yield Figure("resumed", "all losses, mean relative difference", (sum(apart) / len(apart),), once=True)


def _set_up(config: TrainConfig) -> Training:
    """A training that stands at its start, or where its folder's checkpoint stopped."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    fabric = make_fabric(config)
    fabric.launch()
    return set_up(config, fabric, Console(quiet=True))


class _StepClock(TrainingDisplay):
    """Shows the training, and notes when each step of an epoch was over; its loss has been waited for by then."""

    def __init__(self, training: Training) -> None:
        config = training.config
        super().__init__(Console(), config.epochs, training.steps_per_epoch, training.position)
        self.begin()

    def begin(self) -> None:
        """An epoch begins."""
        self._began, self._ends = time.perf_counter(), list[float]()

    def step(self, position: Position) -> None:
        """See `TrainingDisplay`."""
        super().step(position)
        self._ends.append(time.perf_counter())

    def first_s(self) -> float:
        """Seconds until the first step was over."""
        return self._ends[0] - self._began

    def steps_hz(self) -> float:
        """Steps per second after the first, of which there must be at least one."""
        return (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])
