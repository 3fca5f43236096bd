"""The training samples of an epoch as a torch dataset: decode, crop, change colours.

Shape letters: N batch, h, w crop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from desert_seg_train.data.augmentation import color_cast, compress, mix_style, photometric, random_crop
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
        self._change_colors = photometric(augmentation.photometric)

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
            image = self._change(image, self._augmentation.photometric, rng)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(target).long()

    def _change(self, image: npt.NDArray[np.uint8], strength: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Change the light, the camera and the transport."""
        with torch.random.fork_rng(devices=[]):  # torchvision only draws from the global generator
            torch.manual_seed(int(rng.integers(2**62)))
            changed = self._change_colors(torch.from_numpy(color_cast(image, strength, rng)).permute(2, 0, 1))
        return compress(np.ascontiguousarray(changed.permute(1, 2, 0).numpy()), strength, rng)


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
