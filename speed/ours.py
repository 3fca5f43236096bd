"""The segmenter as a contender."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.painter import Painter
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.views import VIEW_SETS
from desert_seg_train.profile.stages import rgb_message, time_frame
from speed.contender import Program

BARE, WHOLE, COLOR = "bare", "whole", "color"
"""Tasks: the engine alone; message to mask message; frame to mask and colour mask, like the script."""


def load(frames: Sequence[npt.NDArray[np.uint8]], artifact: Path, engine: str, precision: str, device: str) -> Program:
    """Load the model and run it once.

    Args:
        frames: HxWx3 uint8 RGB.
        artifact: Model artifact.
        engine: One of `desert_seg.engines.engine.ENGINES`.
        precision: Likewise.
        device: Likewise.

    Raises:
        DesertSegError: The artifact or the engine is unavailable.
    """
    segmenter = Segmenter.load(artifact, engine, device, precision)
    segmenter.warm_up()
    height, width = segmenter.card.input_size
    inputs = [cv2.resize(frame, (width, height))[None].astype(np.uint8) for frame in frames]
    messages = [rgb_message(frame) for frame in frames]
    painter = Painter(segmenter.labels)

    def bare(number: int) -> float:
        segmenter.engine.scores(inputs[number])
        return 0.0  # not asked for

    def color(number: int) -> float:
        result = segmenter.segment(frames[number])
        painter.color(result.mask)
        return result.inference_ms

    def views(name: str, number: int) -> float:
        return segmenter.segment(frames[number], SegmentOptions(views=name)).inference_ms

    tasks: dict[str, Callable[[int], float]] = {
        BARE: bare,
        WHOLE: lambda number: time_frame(segmenter, messages[number]).engine,
        COLOR: color,
        **{name: partial(views, name) for name in VIEW_SETS},
    }
    return Program(segmenter.engine.description, len(frames), tasks, lambda n: segmenter.segment(frames[n]).mask)
