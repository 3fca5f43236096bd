"""Cross entropy plus Dice, the reference recipe's loss. Knows nothing of networks.

Shape letters: N batch, K classes, H, W target size, h, w decoder grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desert_seg.labels import IGNORE, LabelSet
from desert_seg_train.train.config import LossConfig


class CrossEntropyAndDice(nn.Module):
    """Mean of weighted cross entropy plus soft Dice over the classes present in the batch (Milletari et al., 2016)."""

    weights: Tensor

    def __init__(self, config: LossConfig, labels: LabelSet) -> None:
        """Look up the weighted classes.

        Raises:
            DataError: A weighted class does not exist.
        """
        super().__init__()
        weights = torch.ones(len(labels))
        for name, weight in config.class_weights.items():
            weights[labels.index(name)] = weight
        self.register_buffer("weights", weights, persistent=False)
        self._some_weigh_nothing = not bool(weights.all())
        self._dice = config.dice

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Compare scores with the truth.

        Args:
            scores: NKhw float32; upsampled here once on the half-pixel grid that inference uses.
            target: NHW int64, 0..K-1 or `IGNORE`.

        Returns:
            Scalar loss; 0 for a batch in which everything is ignored.
        """
        scores = F.interpolate(scores, target.shape[-2:], mode="bilinear", align_corners=False)
        valid = target != IGNORE
        if not valid.any():
            return scores.sum() * 0
        cross_entropy = F.cross_entropy(scores, target, self.weights, ignore_index=IGNORE)
        if self._some_weigh_nothing and not self.weights[target[valid]].any():
            cross_entropy = scores.sum() * 0  # a mean over nothing is no number
        probability = scores.softmax(1) * valid.unsqueeze(1)
        truth = F.one_hot(target.where(valid, 0), scores.shape[1]).permute(0, 3, 1, 2) * valid.unsqueeze(1)
        overlap = (probability * truth).sum((0, 2, 3))
        total = (probability + truth).sum((0, 2, 3))
        present = truth.sum((0, 2, 3)) > 0
        dice = 1 - (2 * overlap[present] + 1) / (total[present] + 1)
        return cross_entropy + self._dice * dice.mean()
