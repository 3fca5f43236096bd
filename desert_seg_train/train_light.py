"""Train the light network on two CPU cores: one straight loop from labelled folders to a checkpoint.

    python -m desert_seg_train.train_light --help

Float32 on a CPU, gradients clipped, insane steps skipped and counted, weights averaged (EMA). `last.ckpt` is
written after every epoch and `--resume` goes on from it. `desert_seg_train.package` turns it into an artifact.
"""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from safetensors.torch import load_file
from timm.utils import ModelEmaV3
from torch.nn.utils import clip_grad_norm_

from desert_seg.errors import DataError
from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg_train.augmentation import CropConfig, color_cast, photometric, random_crop, rarity_from_targets
from desert_seg_train.cli import run
from desert_seg_train.folder import Sample, SegmentationFolder
from desert_seg_train.losses import cross_entropy_and_dice, gradient_is_sane

NETWORK = NetworkConfig("DeepLabV3Plus", "timm-tf_efficientnet_lite0", 7, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Source:
    """A folder of labelled frames, what its mask values mean, and its share of the batches."""

    folder: Path
    label_map: str
    share: float


@dataclass(frozen=True)
class TrainConfig:
    """Train the light network.

    Attributes:
        source: Labelled folders, each as FOLDER LABEL_MAP SHARE.
        encoder_weights: ImageNet weights of the encoder, safetensors in timm's names.
        out: Folder for last.ckpt and log.csv.
        epochs: Passes of steps_per_epoch optimiser steps.
        steps_per_epoch: Optimiser steps in an epoch.
        batch_size: Crops in a step.
        learning_rate: Peak rate of decoder and head; the encoder trains at 0.3 of it.
        seed: Seed of everything random.
        resume: Go on from OUT/last.ckpt.
        crop: How crops are drawn.
    """

    source: tuple[tuple[Path, str, float], ...]
    encoder_weights: Path
    out: Path
    epochs: int = 20
    steps_per_epoch: int = 60
    batch_size: int = 8
    learning_rate: float = 1.5e-3
    seed: int = 0
    resume: bool = False
    crop: CropConfig = field(default_factory=CropConfig)


def load_samples(sources: list[Source], console: Console) -> list[list[Sample]]:
    """Decode every frame once and keep it: a few hundred frames fit in memory, and decoding is slower than a step."""
    loaded = []
    for source in sources:
        folder = SegmentationFolder(source.folder, load_label_map(source.label_map))
        if folder.label_map.labels.names != load_label_map(sources[0].label_map).labels.names:
            raise DataError(f"{source.label_map} has other classes than {sources[0].label_map}; use maps with one class list")
        loaded.append([folder[i] for i in track(range(len(folder)), f"reading {source.folder}", console=console)])
    return loaded


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Write a checkpoint so that it is there in full or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def train(config: TrainConfig) -> Path:
    """Run the training; returns the path of the last checkpoint."""
    console = Console()
    config.out.mkdir(parents=True, exist_ok=True)
    checkpoint_path = config.out / "last.ckpt"
    sources = [Source(folder, label_map, share) for folder, label_map, share in config.source]
    samples = load_samples(sources, console)
    shares = np.array([source.share for source in sources]) / sum(source.share for source in sources)
    rarity = rarity_from_targets([sample.target for source in samples for sample in source], NETWORK.num_classes)

    torch.manual_seed(config.seed)
    network = SegmentationNetwork(NETWORK)
    network.model.encoder.load_state_dict(load_file(config.encoder_weights))
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    encoder = list(network.model.encoder.parameters())
    decoder = [*network.model.decoder.parameters(), *network.model.segmentation_head.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": encoder}, {"params": decoder}], lr=config.learning_rate, weight_decay=0.02
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[0.3 * config.learning_rate, config.learning_rate],
        total_steps=config.epochs * config.steps_per_epoch,
        pct_start=0.12,
    )
    average = ModelEmaV3(network, decay=0.998, use_warmup=True)
    start = 0
    if config.resume and checkpoint_path.exists():
        saved = torch.load(checkpoint_path, weights_only=True)
        network.load_state_dict(saved["network"])
        average.module.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        start = saved["epoch"]

    change_colors = photometric()
    log_path = config.out / "log.csv"
    if not start:
        log_path.write_text("epoch,loss,skipped_steps,seconds\n", encoding="utf-8")
    for epoch in range(start, config.epochs):
        rng = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(config.seed * 1000 + epoch)
        losses, skipped, began = [], 0, time.monotonic()
        for step in track(range(config.steps_per_epoch), f"epoch {epoch + 1}/{config.epochs}", console=console):
            images, targets = [], []
            for which in rng.choice(len(samples), config.batch_size, p=shares):
                sample = samples[which][rng.integers(len(samples[which]))]
                image, target = random_crop(sample, config.crop, rarity, rng)
                changed = change_colors(torch.from_numpy(image).permute(2, 0, 1))
                images.append(color_cast(changed.float(), rng))
                targets.append(torch.from_numpy(target).long())
            batch = torch.stack(images).contiguous(memory_format=torch.channels_last)
            loss = cross_entropy_and_dice(network(batch), torch.stack(targets))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if gradient_is_sane(clip_grad_norm_(network.parameters(), 2.0)):
                optimizer.step()
                average.update(network, step=epoch * config.steps_per_epoch + step)
            else:
                skipped += 1
            schedule.step()
            losses.append(loss.item())
        row = [epoch + 1, f"{np.mean(losses):.4f}", skipped, f"{time.monotonic() - began:.0f}"]
        with log_path.open("a", encoding="utf-8", newline="") as log:
            csv.writer(log).writerow(row)
        save_checkpoint(
            checkpoint_path,
            {
                "epoch": epoch + 1,
                "network": network.state_dict(),
                "average": average.module.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "network_config": asdict(NETWORK),
                "label_map": sources[0].label_map,
            },
        )
        console.print(f"epoch {row[0]}: loss {row[1]}, {row[2]} skipped steps, {row[3]} s")
    console.print(f"wrote {checkpoint_path} and {log_path}")
    return checkpoint_path


def main() -> None:
    """Command-line entry."""
    run(train, TrainConfig)


if __name__ == "__main__":
    main()
