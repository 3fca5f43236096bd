"""Training the light network on CPU cores: one straight loop from labelled folders to a checkpoint.

Float32 on a CPU, gradients clipped, insane steps skipped and counted, weights averaged (EMA). `last.ckpt` is
written after every epoch and `--resume` goes on from it. `desert_seg_train.package` turns it into an artifact.
"""

from __future__ import annotations

import csv
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from desert_seg.checkpoint import network_from_state_dict, read_checkpoint, state_dict_of
from desert_seg.errors import DataError
from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg_train.augmentation import color_cast, photometric, random_crop, rarity_from_targets
from desert_seg_train.config import TrainConfig
from desert_seg_train.folder import Sample, SegmentationFolder
from desert_seg_train.losses import cross_entropy_and_dice, gradient_is_sane

NETWORK = NetworkConfig("DeepLabV3Plus", "timm-tf_efficientnet_lite0", 7, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def load_samples(config: TrainConfig, console: Console) -> list[list[Sample]]:
    """Decode every frame once and keep it: a few hundred frames fit in memory, and decoding is slower than a step.

    Raises:
        DataError: A folder is unusable, or the label maps do not share one class list.
    """
    loaded = []
    expected = load_label_map(config.source[0][1]).labels
    for folder_path, label_map, _ in config.source:
        folder = SegmentationFolder(folder_path, load_label_map(label_map))
        if folder.label_map.labels != expected:
            raise DataError(f"{label_map} has other classes than {config.source[0][1]}; use maps with one class list")
        loaded.append([folder[i] for i in track(range(len(folder)), f"reading {folder_path}", console=console)])
    return loaded


class Batches:
    """Augmented crops, drawn from several sources by their shares."""

    def __init__(self, samples: list[list[Sample]], config: TrainConfig) -> None:
        """Weigh the classes of each source by their rarity in it."""
        self._samples, self._config = samples, config
        shares = np.array([share for _, _, share in config.source])
        self._shares = shares / shares.sum()
        self._rarity = [rarity_from_targets([sample.target for sample in source]) for source in samples]
        self._change_colors = photometric()

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One batch: N3hw float32 images in 0..255, channels last, and Nhw int64 targets."""
        images, targets = [], []
        for source in rng.choice(len(self._samples), self._config.batch_size, p=self._shares):
            sample = self._samples[source][rng.integers(len(self._samples[source]))]
            image, target = random_crop(sample, self._config.crop, self._rarity[source], rng)
            changed = self._change_colors(torch.from_numpy(image).permute(2, 0, 1))
            images.append(color_cast(changed.float(), rng))
            targets.append(torch.from_numpy(target).long())
        return torch.stack(images).contiguous(memory_format=torch.channels_last), torch.stack(targets)


def start_network(start: Path) -> SegmentationNetwork:
    """The light network with its first weights.

    Args:
        start: ImageNet weights of the encoder (.safetensors, timm's names), or a checkpoint of an earlier training,
            whose averaged weights are taken.

    Raises:
        ArtifactError: The checkpoint is unreadable or of another network.
        DataError: The encoder's weights are unreadable or of another encoder.
    """
    if start.suffix != ".safetensors":
        return network_from_state_dict(NETWORK, state_dict_of(read_checkpoint(start)), str(start))
    network = SegmentationNetwork(NETWORK)
    try:
        network.model.encoder.load_state_dict(load_file(start))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{start}: is no safetensors file with weights of {NETWORK.encoder} ({reason})") from error
    return network


def train(config: TrainConfig) -> Path:
    """Run the training; returns the path of the last checkpoint.

    Raises:
        DataError: The data or the encoder's weights are unusable.
        ArtifactError: The checkpoint to start or resume from is unreadable.
    """
    console = Console()
    batches = Batches(load_samples(config, console), config)
    torch.manual_seed(config.seed)
    network = start_network(config.start)
    network = network.to(memory_format=torch.channels_last).train()
    decoder = [*network.model.decoder.parameters(), *network.model.segmentation_head.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": network.model.encoder.parameters()}, {"params": decoder}], weight_decay=0.02
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[0.3 * config.learning_rate, config.learning_rate],
        total_steps=config.epochs * config.steps_per_epoch,
        pct_start=0.12,
    )
    average = ModelEmaV3(network, decay=0.998, use_warmup=True)
    parts = {"network": network, "average": average.module, "optimizer": optimizer, "schedule": schedule}

    config.out.mkdir(parents=True, exist_ok=True)
    checkpoint_path, log_path = config.out / "last.ckpt", config.out / "log.csv"
    start = 0
    if config.resume and checkpoint_path.exists():
        saved = read_checkpoint(checkpoint_path)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        start = saved["epoch"]
    else:
        log_path.write_text("epoch,loss,skipped_steps,seconds\n", encoding="utf-8")
    for epoch in range(start, config.epochs):
        rng = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(config.seed * 1000 + epoch)
        losses, skipped, began = [], 0, time.monotonic()
        for step in track(range(config.steps_per_epoch), f"epoch {epoch + 1}/{config.epochs}", console=console):
            images, targets = batches.draw(rng)
            loss = cross_entropy_and_dice(network(images), targets)
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
        partial = checkpoint_path.with_suffix(".partial")
        state = {name: part.state_dict() for name, part in parts.items()}
        facts = {"epoch": epoch + 1, "network_config": asdict(NETWORK), "label_map": config.source[0][1]}
        torch.save({**facts, **state}, partial)
        partial.replace(checkpoint_path)
        console.print(f"epoch {row[0]}: loss {row[1]}, {row[2]} skipped steps, {row[3]} s")
    console.print(f"wrote {checkpoint_path} and {log_path}")
    return checkpoint_path
