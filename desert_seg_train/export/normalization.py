"""Which mean and standard deviation an encoder's pretrained weights were trained with. Needs timm, but no network."""

from __future__ import annotations

import timm

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_TIMM_NAMES = {
    "inceptionv4": "inception_v4",
    "inceptionresnetv2": "inception_resnet_v2",
    "xception": "legacy_xception",
}
"""timm's names of smp's own encoders whose figures are not ImageNet's, where the names differ."""


def encoder_normalization(encoder: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of RGB, in 0..1; ImageNet's if timm does not know them.

    Args:
        encoder: smp's name, also one of an older version: `timm-` is what `tu-` is now.
    """
    name = encoder.removeprefix("tu-").removeprefix("timm-")
    if name.startswith("mobilenetv3") and encoder.startswith("timm-"):  # see get_encoder of smp.encoders
        name = f"tf_{name}"
    found = timm.models.get_pretrained_cfg(_TIMM_NAMES.get(name, name))
    if found is None:
        return IMAGENET_MEAN, IMAGENET_STD
    mean, std = found.mean, found.std
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
