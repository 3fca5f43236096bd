"""The self-test of a model: one frame, and what the float32 network saw in it, which travel in the artifact.

A miscompiled engine, a graph of other weights or a faulty processor gives wrong masks that look plausible. Before a
model is used, this frame is segmented and compared, which takes as long as one frame does. Pixels that the network
itself was not sure of are left out, because rounding decides them at borders between classes.

Shape letters: H, W the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.labels import IGNORE
from desert_seg.parity import MIN_AGREEMENT

MAX_SIDE = 512
"""Largest height and width of the frame; a larger one is refused."""


@dataclass(frozen=True, eq=False)
class SelfTest:
    """See the module.

    Attributes:
        frame: HxWx3 uint8 RGB.
        mask: HxW uint8, classes as the float32 network saw them, `IGNORE` where it was not sure.
    """

    frame: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        fits = self.frame.ndim == 3 and self.frame.shape[2] == 3 and self.frame.shape[:2] == self.mask.shape
        if not fits or max(self.mask.shape) > MAX_SIDE:
            raise ValueError(f"a self-test with a frame {self.frame.shape} and a mask {self.mask.shape}")

    def agreement(self, mask: npt.NDArray[np.uint8]) -> float:
        """Share of the pixels that the network was sure of which have the same class in a mask, HxW uint8."""
        sure = self.mask != IGNORE
        return float((mask[sure] == self.mask[sure]).mean()) if sure.any() else 1.0

    def shortfall(self, mask: npt.NDArray[np.uint8], precision: str) -> str:
        """What was found and what was expected of a mask at a precision, in words; empty if it passes."""
        agreement, bar = self.agreement(mask), MIN_AGREEMENT[precision]
        if agreement >= bar:
            return ""
        return f"{agreement:.1%} of the pixels of its self-test get their class, expected at least {bar:.1%}"

    def to_png(self) -> tuple[bytes, bytes]:
        """Frame and mask as the artifact stores them; `self_test_from_png` is the inverse."""
        bgr = cv2.cvtColor(self.frame, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".png", bgr)[1].tobytes(), cv2.imencode(".png", self.mask)[1].tobytes()


def self_test_from_png(frame: bytes, mask: bytes) -> SelfTest:
    """Read what `SelfTest.to_png` made; raises ValueError if it is something else."""
    planes = [
        cv2.imdecode(np.frombuffer(data, np.uint8), how) if data else None
        for data, how in ((frame, cv2.IMREAD_COLOR), (mask, cv2.IMREAD_GRAYSCALE))
    ]
    if planes[0] is None or planes[1] is None:
        raise ValueError("a self-test that is no pair of PNG images")
    return SelfTest(np.asarray(cv2.cvtColor(planes[0], cv2.COLOR_BGR2RGB), np.uint8), np.asarray(planes[1], np.uint8))
