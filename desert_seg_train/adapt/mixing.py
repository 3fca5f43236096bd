"""Pseudo-labels and mixed crops: how a model teaches itself a place without labels. Knows nothing of files or loops.

After Tranheden et al., "DACS", 2021, with the classes of Olsson et al., "ClassMix", 2021: half of the classes of a
labelled crop are pasted into a crop of the new place, whose other pixels have the class that the teacher is surest of.

Shape letters: N crops, K classes, H, W their size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from desert_seg.labels import IGNORE

BINS = 100
"""Of the histograms of confidence."""

MEMORY = 0.98
"""Share of the histograms that is kept at each step."""


class PseudoLabels:
    """Keeps the surest share of each class, so that common and easy classes do not crowd out the others."""

    def __init__(self, num_classes: int, share: float) -> None:
        """Begin with empty histograms.

        Args:
            num_classes: K.
            share: Share of the pixels of each predicted class that are taught, 0..1.
        """
        self._histograms = torch.zeros(num_classes, BINS)
        self._share = share

    def __call__(self, scores: Tensor) -> Tensor:
        """What to teach.

        Args:
            scores: NKHW float32, the teacher's.

        Returns:
            NHW int64, 0..K-1, or `IGNORE` where the teacher is not among its surest of the class.
        """
        confidence, labels = scores.softmax(1).max(1)
        bins = (confidence * BINS).long().clamp(max=BINS - 1)
        num_classes = len(self._histograms)
        counts = torch.bincount((labels * BINS + bins).flatten().cpu(), minlength=num_classes * BINS)
        self._histograms = MEMORY * self._histograms + counts.view(num_classes, BINS)
        return torch.where(bins >= self._lowest_bins().to(labels.device)[labels], labels, IGNORE)

    def _lowest_bins(self) -> Tensor:
        """K int64: the bin of each class above which its surest share lies."""
        from_the_top = self._histograms.flip(1).cumsum(1)
        wanted = self._share * from_the_top[:, -1:]
        return BINS - 1 - (from_the_top < wanted).sum(1).clamp(max=BINS - 1)


def paste_classes(
    images: Tensor, targets: Tensor, onto_images: Tensor, onto_targets: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paste half of the classes of each labelled crop onto a crop of the new place.

    Args:
        images: N3HW uint8, labelled.
        targets: NHW int64, 0..K-1 or `IGNORE`.
        onto_images: N3HW uint8.
        onto_targets: NHW int64, likewise.
        generator: Source of randomness.

    Returns:
        Mixed images and targets, of the same shapes.
    """
    pasted = torch.zeros_like(targets, dtype=torch.bool)
    for index, target in enumerate(targets):
        classes = target.unique()
        classes = classes[classes != IGNORE]
        order = torch.randperm(len(classes), generator=generator)
        pasted[index] = torch.isin(target, classes[order[: (len(classes) + 1) // 2]])
    return torch.where(pasted.unsqueeze(1), images, onto_images), torch.where(pasted, targets, onto_targets)
