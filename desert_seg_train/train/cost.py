"""What a training costs here, and what it reaches: the program behind `make bench-train`.

    python -m desert_seg_train.train.cost --train FOLDER [--validation FOLDER --encoder-weights FILE --full]

Prints how fast crops are made against how fast they are used, an epoch of the real loop against nothing but forward,
backward and step on the same batches (interleaved, so that other load slows both alike), the memory of three steps of
the reference recipe, and with `--full` the whole light recipe: time and mIoU.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from desert_seg.console import Console
from desert_seg.errors import DesertSegError
from desert_seg.files import write_text
from desert_seg.machine import processor
from desert_seg.memory import keep_freed_memory
from desert_seg_train.data.crops import Crops, batches
from desert_seg_train.data.sampling import Sampler
from desert_seg_train.train.command import train
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.train.losses import CrossEntropyAndDice
from desert_seg_train.train.optimization import make_optimizer
from desert_seg_train.train.setup import network_config_of, open_sources
from desert_seg_train.train.start import start_network
from desert_seg_train.yaml_config import read_yaml_config

LIMITS = {"epoch_over_pure_step": 1.10, "reference_memory_gb": 12.0, "light_minutes": 60.0, "light_miou": 0.58}
"""Limits on the figures: the mIoU is a lower bound, all others are upper bounds."""


@dataclass(frozen=True)
class BenchmarkTrainingConfig:
    """Measure training.

    Attributes:
        train: Labelled folder to train on.
        validation: Labelled folder to validate on; needed for the full recipe.
        encoder_weights: ImageNet weights of the light encoder, .safetensors; `random` if not given.
        label_map: Label map of both folders.
        rounds: Interleaved rounds of the comparison.
        steps: Steps in a round.
        full: Also run the whole light recipe, about three quarters of an hour on two cores.
        out: Folder for results.json and the full run.
        recipes: Folder with light.yaml and reference.yaml.
        reference_steps: Only run this many steps of the reference recipe; used by this program itself.
    """

    train: Path
    validation: Path | None = None
    encoder_weights: Path | None = None
    label_map: str = "falcon7"
    rounds: int = 3
    steps: int = 4
    full: bool = False
    out: Path = Path("out/bench-train")
    recipes: Path = Path("config")
    reference_steps: int = 0


def main() -> None:
    """Measure, print a table, write results.json; exit code 1 if a limit does not hold."""
    config = tyro.cli(BenchmarkTrainingConfig, description=__doc__)
    try:
        if config.reference_steps:
            run_reference_steps(config)
            return
        figures = measure(config, Console())
    except DesertSegError as error:
        sys.exit(f"error: {error}")
    path = config.out / "results.json"
    write_text(path, json.dumps({"machine": processor(), **figures}, indent=2))
    print(f"wrote {path}")
    missed = [name for name, limit in LIMITS.items() if name in figures and not _holds(name, figures[name], limit)]
    if missed:
        sys.exit(f"error: {', '.join(f'{name} is {figures[name]:.3f}, limit {LIMITS[name]}' for name in missed)}")


def measure(config: BenchmarkTrainingConfig, console: Console) -> dict[str, float]:
    """All figures by name: those of `LIMITS` and those they are computed from."""
    light = _recipe("light", config)
    figures = compare_with_pure_steps(config, light, console)
    console.print(
        f"crops are made at {figures['crops_made_per_s']:.1f}/s and used at {figures['crops_used_per_s']:.1f}/s, "
        f"so making them takes {figures['crops_used_per_s'] / figures['crops_made_per_s']:.1%} of a step"
    )
    console.print(
        f"an epoch of the loop takes {figures['epoch_over_pure_step']:.3f} of forward + backward + step alone "
        f"(rounds {figures['epoch_over_pure_step_min']:.3f} to {figures['epoch_over_pure_step_max']:.3f})"
    )
    figures["reference_memory_gb"] = reference_memory_gb(config)
    console.print(
        f"three steps of the reference recipe (ResNet-101, 4 x 512x896, float32) stay below "
        f"{figures['reference_memory_gb']:.1f} GB"
    )
    if config.full:
        began = time.monotonic()
        train(replace(light, out=config.out / "light"))
        figures["light_minutes"] = (time.monotonic() - began) / 60
        rows = (config.out / "light" / "log.csv").read_text(encoding="utf-8").splitlines()[1:]
        figures["light_miou"] = max(float(row.rsplit(",", 1)[1]) for row in rows)
        console.print(
            f"the light recipe took {figures['light_minutes']:.1f} minutes and reached mIoU {figures['light_miou']:.4f}"
        )
    return figures


def compare_with_pure_steps(config: BenchmarkTrainingConfig, light: TrainConfig, console: Console) -> dict[str, float]:
    """Time of the real loop's steps, loading included, relative to the same steps on batches made beforehand."""
    keep_freed_memory()
    training, _ = open_sources(replace(light, validation=None), Console(quiet=True))
    labels = training[0].folder.label_map.labels
    network = start_network(network_config_of(light, labels), "random", labels).to(memory_format=torch.channels_last)
    network.train()
    criterion, optimizer = CrossEntropyAndDice(light.loss, labels), make_optimizer(network, light.optimizer)
    draws = Sampler(training, light.sampling, 0).epoch(0, config.steps * light.batch_size)
    crops = Crops(training, draws, light.sampling, light.augmentation)

    def step(images: torch.Tensor, targets: torch.Tensor) -> None:
        loss = criterion(network(images.contiguous(memory_format=torch.channels_last)), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    began = time.perf_counter()
    ready = list(batches(crops, light.batch_size, 0, 0, 1, 0))
    made = time.perf_counter() - began
    step(*ready[0])
    ratios, pure = [], []
    for number in console.track(range(config.rounds), "the loop against pure steps", transient=True):
        # Epoch 0 of a training of one epoch draws exactly the crops of `crops`. The order alternates between rounds.
        loop_first = _loop_seconds(light, config.steps) if number % 2 else 0.0
        began = time.perf_counter()
        for images, targets in ready:
            step(images, targets)
        pure.append(time.perf_counter() - began)
        ratios.append((loop_first or _loop_seconds(light, config.steps)) / pure[-1])
    samples = config.steps * light.batch_size
    return {
        "crops_made_per_s": samples / made,
        "crops_used_per_s": samples / min(pure),
        "epoch_over_pure_step": statistics.median(ratios),
        "epoch_over_pure_step_min": min(ratios),
        "epoch_over_pure_step_max": max(ratios),
    }


def reference_memory_gb(config: BenchmarkTrainingConfig) -> float:
    """Peak resident memory of three steps of the reference recipe, in a separate process, 10^9 bytes."""
    command = [sys.executable, "-m", "desert_seg_train.train.cost", "--train", str(config.train)]
    command += ["--label-map", config.label_map, "--recipes", str(config.recipes), "--reference-steps", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DesertSegError(f"the reference recipe did not run: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.split()[-1])


def run_reference_steps(config: BenchmarkTrainingConfig) -> None:
    """Run steps of the reference recipe from random weights and print this process's peak memory, 10^9 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        reference = _recipe("reference", config)
        run = replace(reference, start="random", epochs=1, steps_per_epoch=config.reference_steps, validation=None)
        whole = replace(reference.optimizer, freeze_encoder_epochs=0)
        train(replace(run, optimizer=whole, out=Path(folder) / "run"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def _recipe(name: str, config: BenchmarkTrainingConfig) -> TrainConfig:
    recipe = read_yaml_config(TrainConfig, config.recipes / f"{name}.yaml")
    return replace(
        recipe,
        sources=((config.train, config.label_map, 1.0),),
        validation=config.validation,
        start=str(config.encoder_weights or "random"),
        out=config.out / name,
        device="cpu",
    )


def _loop_seconds(light: TrainConfig, num_steps: int) -> float:
    """Seconds of the real loop's steps by its own log, from loading to averaging the weights."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        run = replace(light, start="random", epochs=1, steps_per_epoch=num_steps, validation=None)
        run = replace(run, out=Path(folder) / "run")
        train(run)
        return float((run.out / "log.csv").read_text(encoding="utf-8").splitlines()[1].split(",")[3])


def _holds(name: str, figure: float, limit: float) -> bool:
    return figure >= limit if name == "light_miou" else figure <= limit


if __name__ == "__main__":
    main()
