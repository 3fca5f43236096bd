"""Training: one straight line from labelled folders to a model artifact.

    desert-seg train --config config/light.yaml --sources FOLDER falcon7 1 --validation FOLDER --out runs/light
    torchrun --nproc-per-node 4 -m desert_seg_train.cli train --config config/reference.yaml ...

Float32 on a CPU, bf16 on CUDA; gradients clipped, absurd steps skipped and counted, weights averaged (EMA). A sample
depends on seed, epoch and place alone and randomness in the network is seeded per step, so `--resume` goes on exactly,
also in the middle of an epoch.
"""

from __future__ import annotations

from pathlib import Path

from desert_seg.checkpoint import read_checkpoint
from desert_seg.console import Console
from desert_seg.memory import keep_freed_memory
from desert_seg.weights import network_from_checkpoint
from desert_seg_train.saving import save_network, without_folders
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.train.devices import make_fabric
from desert_seg_train.train.display import TrainingDisplay
from desert_seg_train.train.epoch import finish_epoch, train_epoch
from desert_seg_train.train.limits import check_settings
from desert_seg_train.train.setup import Training, set_up
from desert_seg_train.train.stopping import StoppedError, stop_signals


def train(config: TrainConfig) -> Path:
    """Run a training; returns the folder of its artifact.

    Raises:
        DataError: The data, a setting or the first weights are unusable, or the disk is full.
        ArtifactError: What to start or resume from is unreadable or of another model.
        StoppedError: SIGINT, SIGTERM or `stop_after` ended it early; it can be resumed.
    """
    check_settings(config)
    keep_freed_memory()
    fabric = make_fabric(config)
    fabric.launch()
    console = Console(quiet=fabric.global_rank > 0)
    training = set_up(config, fabric, console)
    position, steps_per_epoch = training.position, training.steps_per_epoch
    first_epoch = position.epoch
    with stop_signals(fabric) as stop, TrainingDisplay(console, config.epochs, steps_per_epoch, position) as display:
        while position.epoch < config.epochs and not position.is_stale(config.early_stop):
            if config.stop_after and position.epoch - first_epoch >= config.stop_after:
                raise StoppedError(
                    f"stopped after {position.epoch} of {config.epochs} epochs as told; go on with --resume"
                )
            train_epoch(training, display, stop)
            finish_epoch(training, display)
    if fabric.is_global_zero:
        _save_artifact(training)
        written = f"{training.folder.artifact}, best.ckpt, last.ckpt, log.csv and tensorboard/ in {config.out}"
        console.print(f"wrote {written}")
    fabric.barrier()
    return training.folder.artifact


def _save_artifact(training: Training) -> None:
    """Make a model artifact of the best weights."""
    config, folder, label_map = training.config, training.folder, training.label_map
    network, _ = network_from_checkpoint(training.network.config, read_checkpoint(folder.best), str(folder.best))
    data = [
        f"{'/'.join(source.folder.root.parts[-2:])} ({len(source)} frames, {source.folder.label_map.name}, "
        f"weight {source.weight:g})"
        for source in training.sources
    ]
    best = training.position.best()
    provenance = {
        "data": "; ".join(data),
        "held out": ", ".join(config.hold_out),
        "label_map": label_map.name,
        "epochs": f"{best.epoch if best else 0} of {config.epochs}",
        "recipe": without_folders(folder.recipe),
    }
    metrics = {"val_miou": best.val_miou} if best is not None and best.val_miou == best.val_miou else {}
    name = config.out.name
    save_network(folder.artifact, network, name, config.input_size, label_map, metrics, provenance, with_graph=False)
