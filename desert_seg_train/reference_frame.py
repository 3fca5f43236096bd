"""A synthetic frame with everything that a desert has, the same on every machine: models are self-tested on it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

HEIGHT, WIDTH = 72, 128
_SKY, _HAZE, _SAND = (120, 170, 225), (215, 215, 205), (214, 178, 138)
_BUSH, _TREE, _ROCK, _DRY_BUSH, _GRASS = (92, 110, 52), (40, 74, 34), (120, 100, 88), (140, 112, 70), (190, 160, 90)
_NUM_THINGS = 40
_STEP = 8
"""Step between values of a colour, which keeps the PNG small."""


def reference_frame() -> npt.NDArray[np.uint8]:
    """72x128x3 uint8 RGB: sky, sand with grain, and bushes, trees, rocks and grass that grow towards the camera."""
    generator = np.random.default_rng(2024)
    horizon = HEIGHT * 2 // 5
    frame = np.empty((HEIGHT, WIDTH, 3), np.float32)
    fade = np.linspace(0, 1, horizon, dtype=np.float32)[:, None, None]
    frame[:horizon] = np.array(_SKY, np.float32) * (1 - fade) + np.array(_HAZE, np.float32) * fade
    grain = generator.normal(0, 4, (HEIGHT - horizon, WIDTH, 1)).astype(np.float32)
    frame[horizon:] = np.array(_SAND, np.float32) + grain
    for number in range(_NUM_THINGS):
        colour = (_BUSH, _TREE, _ROCK, _DRY_BUSH, _GRASS)[number % 5]
        near = (number / _NUM_THINGS) ** 1.5
        centre = int(generator.integers(0, WIDTH)), int(horizon + 1 + near * (HEIGHT - horizon - 4))
        shade = np.array(colour, np.float32) * generator.uniform(0.8, 1.15)
        cv2.ellipse(frame, centre, (int(2 + 7 * near), int(2 + 5 * near)), 0, 0, 360, shade.tolist(), -1)
    return np.asarray(np.clip(frame // _STEP * _STEP, 0, 255), np.uint8)
