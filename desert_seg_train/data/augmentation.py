"""Random views of a training sample: scaled native-resolution crops, mirroring, colours, another frame's style.

All randomness comes from the generator passed in. Knows nothing of files, networks or losses.

Shape letters: H, W of a frame; h, w of a crop.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms import v2

from desert_seg_train.data.config import SamplingConfig
from desert_seg_train.folder import Sample

PLACES = 8
"""Places tried for a crop that should show a certain class."""

STYLE_BAND = 0.01
"""Half width of the band of exchanged frequencies, as a share of the crop's shorter side (Yang and Soatto's beta)."""


def random_crop(
    sample: Sample, config: SamplingConfig, wanted: int | None, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Cut a scaled, possibly mirrored crop.

    Args:
        sample: The frame to cut from.
        config: Sizes and zooms.
        wanted: Class that the crop should show: of several places the one with most of it is taken. None: any place.
        rng: Source of randomness.

    Returns:
        The crop, hxwx3 uint8 RGB, and its target, hxw uint8.
    """
    height, width = sample.target.shape
    zoom = float(np.exp(rng.uniform(np.log(config.min_zoom), np.log(config.max_zoom))))
    zoom = max(zoom, config.height / height, config.width / width)
    cut_height, cut_width = min(height, round(config.height / zoom)), min(width, round(config.width / zoom))
    best: tuple[float, int, int] = (-1.0, 0, 0)
    for _ in range(1 if wanted is None else PLACES):
        top, left = int(rng.integers(height - cut_height + 1)), int(rng.integers(width - cut_width + 1))
        seen = sample.target[top : top + cut_height : 4, left : left + cut_width : 4]
        best = max(best, (0.0 if wanted is None else float((seen == wanted).mean()), top, left))
    _, top, left = best
    window = slice(top, top + cut_height), slice(left, left + cut_width)
    size = (config.width, config.height)
    image = cv2.resize(sample.image[window], size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    target = cv2.resize(sample.target[window], size, interpolation=cv2.INTER_NEAREST_EXACT)
    if rng.random() < 0.5:
        image, target = image[:, ::-1], target[:, ::-1]
    return np.ascontiguousarray(image, np.uint8), np.ascontiguousarray(target, np.uint8)


def photometric(strength: float) -> v2.Transform:
    """Changes of colour, contrast and sharpness for 3HW uint8, drawn from torch's global generator.

    Args:
        strength: 0 = none, 1 = as tuned on held-out frames; more is allowed.
    """
    jitter = min(0.45 * strength, 0.95)
    return v2.Compose(
        [
            v2.RandomApply([v2.ColorJitter(jitter, jitter, jitter, hue=min(0.06 * strength, 0.5))], p=0.85),
            v2.RandomGrayscale(p=min(0.05 * strength, 1.0)),
            v2.RandomApply([v2.GaussianBlur(5, sigma=(0.3, 1.4))], p=min(0.2 * strength, 1.0)),
        ]
    )


def compress(image: npt.NDArray[np.uint8], strength: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Sometimes add the artefacts of JPEG at quality 50 to 95, as compressed image topics have them.

    Args:
        image: hxwx3 uint8.
        strength: 0 = never, 1 = every other time.
        rng: Source of randomness.

    Returns:
        hxwx3 uint8.
    """
    quality = int(rng.integers(50, 96))
    if rng.random() >= 0.5 * strength:
        return image
    # JPEG treats the channels differently, so they are in the order in which files have them.
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def color_cast(image: npt.NDArray[np.uint8], strength: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Multiply each channel by its own gain and bend the tone curve: another sun, another camera.

    Args:
        image: hxwx3 uint8.
        strength: 0 = none, 1 = as tuned.
        rng: Source of randomness.

    Returns:
        hxwx3 uint8.
    """
    gain = np.exp(rng.normal(0, 0.12 * strength, 3))
    gamma = np.exp(rng.normal(0, 0.2 * strength))
    curve = 255 * (np.arange(256)[:, None] / 255) ** gamma * gain
    return np.asarray(cv2.LUT(image, np.clip(curve, 0, 255).round().astype(np.uint8)[:, None]), np.uint8)


class ColorChange:
    """Other light, another camera, another transport: changes of colour, tone, sharpness and compression."""

    def __init__(self, strength: float) -> None:
        """0 = none, 1 = as tuned on held-out frames; more is allowed."""
        self._strength, self._change = strength, photometric(strength)

    def __call__(self, image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """A changed copy of hxwx3 uint8 RGB."""
        with torch.random.fork_rng(devices=[]):  # torchvision only draws from the global generator
            torch.manual_seed(int(rng.integers(2**62)))
            planes = torch.from_numpy(color_cast(image, self._strength, rng)).permute(2, 0, 1)
            changed = self._change(planes).permute(1, 2, 0).numpy()
        return compress(np.ascontiguousarray(changed), self._strength, rng)


def mix_style(
    image: npt.NDArray[np.uint8], style: npt.NDArray[np.uint8], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Replace the amplitudes of the lowest frequencies by those of another picture, the phases stay.

    After Yang and Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", 2020; with random strength.

    Args:
        image: hxwx3 uint8.
        style: A picture of the same size.
        rng: Source of randomness.

    Returns:
        hxwx3 uint8.
    """
    height, width = image.shape[:2]
    band = max(1, round(STYLE_BAND * min(height, width)))
    degree = rng.uniform(0.3, 1.0)
    changed = np.empty_like(image)
    for channel in range(3):
        own = np.fft.rfft2(image[..., channel].astype(np.float32))
        other = np.fft.rfft2(cv2.resize(style[..., channel], (width, height)).astype(np.float32))
        for rows in (slice(0, band + 1), slice(height - band, height)):
            window = rows, slice(0, band + 1)
            amplitude = (1 - degree) * np.abs(own[window]) + degree * np.abs(other[window])
            own[window] = amplitude * np.exp(1j * np.angle(own[window]))
        changed[..., channel] = np.clip(np.fft.irfft2(own, (height, width)), 0, 255)
    return changed
