"""Random views of a training sample: scaled native-resolution crops, flips and photometric changes.

Everything random comes from the generators handed in. Knows nothing of files, networks or losses.

Shape letters: H, W of a sample; h, w of a crop.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms import v2

from desert_seg.labels import IGNORE
from desert_seg_train.config import CropConfig
from desert_seg_train.folder import Sample


def random_crop(
    sample: Sample, config: CropConfig, rarity: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Cut a scaled, possibly mirrored crop, preferring places with rare classes.

    Args:
        sample: The frame to cut from.
        config: Sizes and scales.
        rarity: 256 values, how much a pixel of each target value is wanted; `IGNORE` should be 0.
        rng: Source of randomness.

    Returns:
        The crop, hxwx3 uint8 RGB, and its target, hxw uint8.
    """
    height, width = sample.target.shape
    zoom = float(np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale))))
    zoom = max(zoom, config.height / height, config.width / width)
    cut_height, cut_width = min(height, round(config.height / zoom)), min(width, round(config.width / zoom))
    best: tuple[float, int, int] = (-1.0, 0, 0)
    for _ in range(config.candidates if rng.random() < 0.5 else 1):
        top, left = int(rng.integers(height - cut_height + 1)), int(rng.integers(width - cut_width + 1))
        wanted = float(rarity[sample.target[top : top + cut_height : 8, left : left + cut_width : 8]].mean())
        best = max(best, (wanted, top, left))
    _, top, left = best
    window = slice(top, top + cut_height), slice(left, left + cut_width)
    size = (config.width, config.height)
    image = cv2.resize(sample.image[window], size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    target = cv2.resize(sample.target[window], size, interpolation=cv2.INTER_NEAREST_EXACT)
    if rng.random() < 0.5:
        image, target = image[:, ::-1], target[:, ::-1]
    return np.ascontiguousarray(image, np.uint8), np.ascontiguousarray(target, np.uint8)


def photometric() -> v2.Transform:
    """Changes of colour, contrast, sharpness and compression for 3HW uint8, drawn per call from torch's generator."""
    return v2.Compose(
        [
            v2.RandomApply([v2.ColorJitter(brightness=0.45, contrast=0.45, saturation=0.45, hue=0.06)], p=0.85),
            v2.RandomGrayscale(p=0.05),
            v2.RandomApply([v2.GaussianBlur(5, sigma=(0.3, 1.4))], p=0.2),
            v2.RandomApply([v2.JPEG((50, 95))], p=0.5),  # what compressed image topics carry
        ]
    )


def color_cast(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Multiply each channel by its own gain and bend the tone curve: another sun, another camera.

    Args:
        image: 3HW float32, 0..255.
        rng: Source of randomness.

    Returns:
        3HW float32, 0..255.
    """
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.12, (3, 1, 1)))).float()
    gamma = float(np.exp(rng.normal(0, 0.2)))
    return ((image / 255).pow(gamma) * gain).clamp(0, 1) * 255


def rarity_from_targets(targets: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """How rare each class is: 1 / sqrt(pixel share, at least 0.001), scaled to a maximum of 1.

    Args:
        targets: HxW uint8 masks.

    Returns:
        256 float64; 0 for `IGNORE` and for classes that do not occur.
    """
    counts = sum((np.bincount(target.ravel(), minlength=256) for target in targets), np.zeros(256, np.int64))
    counts[IGNORE] = 0
    share = counts / max(counts.sum(), 1)
    weights = np.where(counts > 0, 1 / np.sqrt(np.maximum(share, 1e-3)), 0.0)
    return np.asarray(weights / weights.max(initial=1e-9), np.float64)
