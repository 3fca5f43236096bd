"""Cross entropy plus Dice, as the reference trains. Knows nothing of networks.

Shape letters: N batch, K classes, H, W target size, h, w decoder grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from desert_seg.labels import IGNORE


def cross_entropy_and_dice(scores: Tensor, target: Tensor) -> Tensor:
    """Mean of cross entropy plus soft Dice over the classes present in the batch (Milletari et al., 2016).

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
    cross_entropy = F.cross_entropy(scores, target, ignore_index=IGNORE)
    probability = scores.softmax(1) * valid.unsqueeze(1)
    truth = F.one_hot(target.where(valid, 0), scores.shape[1]).permute(0, 3, 1, 2) * valid.unsqueeze(1)
    overlap = (probability * truth).sum((0, 2, 3))
    total = (probability + truth).sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    dice = 1 - (2 * overlap[present] + 1) / (total[present] + 1)
    return cross_entropy + dice.mean()


def gradient_is_sane(norm: Tensor, limit: float = 1e4) -> bool:
    """False for a gradient norm that is not finite or absurdly large: such a step is skipped, not clipped."""
    return bool(torch.isfinite(norm)) and float(norm) < limit
