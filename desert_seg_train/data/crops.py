"""The training samples of an epoch as a torch dataset: decode, crop, change colours.

Shape letters: N batch, h, w crop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from desert_seg_train.data.augmentation import ColorChange, mix_style, random_crop
from desert_seg_train.data.config import AugmentationConfig, SamplingConfig
from desert_seg_train.data.sampling import Draw
from desert_seg_train.data.sources import Source


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Augmented crops, one for each draw; the same draw always gives the same crop."""

    def __init__(
        self,
        sources: Sequence[Source],
        draws: Sequence[Draw],
        sampling: SamplingConfig,
        augmentation: AugmentationConfig,
    ) -> None:
        self._sources, self._draws, self._sampling, self._augmentation = sources, draws, sampling, augmentation
        self._change_colors = ColorChange(augmentation.photometric)

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Make a sample: 3hw uint8 image and hw int64 target."""
        draw = self._draws[index]
        rng = np.random.default_rng(draw.seed)
        source = self._sources[draw.source]
        image, target = random_crop(source[draw.frame], self._sampling, draw.wanted, rng)
        if rng.random() < self._augmentation.style:
            donor = self._sources[int(rng.integers(len(self._sources)))]
            image = mix_style(image, donor[int(rng.integers(len(donor)))].image, rng)
        if self._augmentation.photometric:
            image = self._change_colors(image, rng)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(target).long()


def batches(
    crops: Crops, batch_size: int, first_step: int, rank: int, world_size: int, workers: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Load one process's part of each batch, from a given step on.

    Args:
        crops: The samples of the whole epoch.
        batch_size: Samples in a step over all processes.
        first_step: Where to begin.
        rank: This process, 0..world_size - 1.
        world_size: Number of processes; divides the batch size.
        workers: Processes that prepare samples, 0 = this one.

    Returns:
        Loader of N3hw uint8 images and Nhw int64 targets with N = batch_size / world_size.
    """
    share = batch_size // world_size
    starts = range(first_step * batch_size + rank * share, len(crops), batch_size)
    places = [list(range(start, start + share)) for start in starts]
    # Not fork: a copy of a process whose libraries have threads may crash.
    context = "forkserver" if workers else None
    return DataLoader(
        crops,
        batch_sampler=places,
        num_workers=workers,
        multiprocessing_context=context,
        pin_memory=torch.cuda.is_available(),
    )
