"""Compares engines with the network: their masks with its own in float32 and eager torch, on the same images.

Both go through the robot's own inference path, and masks are compared at the images' own size. Random weights have no
clear winner and images of noise no regions, so neither says anything about a precision: real images are required.

Shape letters: K classes, h, w score grid, H, W image size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from desert_seg.artifact import ModelCard
from desert_seg.console import Console
from desert_seg.engines.engine import Engine
from desert_seg.network import SegmentationNetwork
from desert_seg.parity import ParityResult
from desert_seg.scoring import Confusion
from desert_seg.segmenter import Segmenter
from desert_seg_train.export.frames import Frame
from desert_seg_train.network_engine import NetworkEngine


class _Recorder:
    """An engine that passes on another one's scores and keeps them."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.description, self.precision = engine, engine.description, engine.precision
        self.last: npt.NDArray[np.float32]

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """NHW3 uint8 RGB to NKhw float32."""
        self.last = self._engine.scores(images).copy()
        return self.last


@dataclass(frozen=True)
class _Answer:
    """An engine's result for an image: `mask` HxW uint8 and `scores` 1Khw float32."""

    mask: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float32]


class Judge:
    """Has the network's own result for every image and compares engines with it."""

    def __init__(
        self, network: SegmentationNetwork, card: ModelCard, frames: Sequence[Frame], console: Console
    ) -> None:
        """Run the network over the images.

        Args:
            network: The network with its trained weights.
            card: Its classes and input size.
            frames: At least one image.
            console: Shows the progress.

        Raises:
            DataError: An image or mask cannot be read, or has a value that the label map does not name.
        """
        self._card, self._frames, self._console = card, frames, console
        engine = NetworkEngine(network, torch.device("cpu"))
        self._expected, self._expected_miou = self._answers(engine, "torch f32, the reference")

    @property
    def num_images(self) -> int:
        """Number of images that engines are compared on."""
        return len(self._frames)

    @property
    def num_labelled(self) -> int:
        """Those with masks."""
        return sum(frame.labelled is not None for frame in self._frames)

    def judge(self, engine: Engine, name: str, precision: str) -> ParityResult:
        """Compare an engine with the network.

        Args:
            engine: Runs the network as it was exported.
            name: One of `desert_seg.engines.engine.ENGINES`.
            precision: One of `desert_seg.engines.engine.PRECISIONS`.
        """
        found, miou = self._answers(engine, f"{name} {precision}")
        same = np.array([(a.mask == b.mask).sum() for a, b in zip(found, self._expected, strict=True)])
        pixels = np.array([answer.mask.size for answer in found])
        worst = int((same / pixels).argmin())
        draft = ParityResult(
            engine=name,
            precision=precision,
            agreement=float(same.sum() / pixels.sum()),
            worst_agreement=float(same[worst] / pixels[worst]),
            worst_image=self._frames[worst].path.name,
            max_score_difference=max(
                float(np.abs(a.scores - b.scores).max()) for a, b in zip(found, self._expected, strict=True)
            ),
            miou_change=None if miou is None or self._expected_miou is None else miou - self._expected_miou,
            valid=False,
        )
        return replace(draft, valid=not draft.shortfall())

    def _answers(self, engine: Engine, name: str) -> tuple[list[_Answer], float | None]:
        """An engine's result for every image, and its mIoU if any image has a mask."""
        recorder = _Recorder(engine)
        segmenter, confusion = Segmenter(recorder, self._card, ""), Confusion(len(self._card.label_map.labels))
        answers = []
        for frame in self._console.track(self._frames, name):
            rgb, target = frame.read()
            mask = segmenter.segment(rgb).mask
            answers.append(_Answer(mask, recorder.last))
            if target is not None:
                confusion.add(target, mask)
        miou = confusion.scores().miou_present
        return answers, None if np.isnan(miou) else miou
