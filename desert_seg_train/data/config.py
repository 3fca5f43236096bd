"""Which crops a training sees. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingConfig:
    """Which frames are seen, and which part of them.

    Attributes:
        height: Height of a crop, pixels.
        width: Width of a crop, pixels.
        min_zoom: Smallest zoom of a frame before it is cropped, 1 = native; a crop never exceeds the frame.
        max_zoom: Largest zoom.
        rare_class: Fraction of crops that are chosen to show a rare class: a class is drawn, then a frame that has it,
            then the best of eight places (after Hoyer et al., DAFormer, 2022).
        balance_scenes: Draw scenes (the letters that file names begin with) equally often, not frames.
    """

    height: int = 320
    width: int = 448
    min_zoom: float = 0.72
    max_zoom: float = 1.5
    rare_class: float = 0.5
    balance_scenes: bool = False


@dataclass(frozen=True)
class AugmentationConfig:
    """How crops are changed.

    Attributes:
        photometric: Strength of changes of colour, tone, sharpness and compression; 0 = none, 1 = as tuned.
        style: Share of crops that take on the colours and the coarse contrast of another frame: the amplitudes of its
            lowest frequencies (Yang and Soatto, FDA, 2020).
    """

    photometric: float = 1.0
    style: float = 0.0
