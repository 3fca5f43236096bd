"""Makes the self-test of a network: its float32 mask of the reference frame.

Shape letters: K classes, H, W the frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from desert_seg.artifact import SELF_TEST, ModelCard
from desert_seg.decode import enlarge
from desert_seg.labels import IGNORE
from desert_seg.network import SegmentationNetwork
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.self_test import SelfTest
from desert_seg_train.network_engine import NetworkEngine
from desert_seg_train.reference_frame import reference_frame

SURE = 2.0
"""Margin between the two highest scores above which the network counts as sure, logits.

On the shipped model that is 78 % of the frame, of which int8 gets 99.96 % right; with a lead of 1, 99.1 % of 90 %.
"""


def self_test_files(network: SegmentationNetwork, card: ModelCard) -> Mapping[str, bytes]:
    """The artifact's self-test files by name.

    Args:
        network: On the CPU, with the weights as they were trained; it is left in evaluation mode.
        card: Its classes and input size.

    Raises:
        EngineError: The network's scores are not finite.
    """
    frame = reference_frame()
    segmenter = Segmenter(NetworkEngine(network, torch.device("cpu")), card, "")
    (scored,) = segmenter.score([frame], SegmentOptions())
    planes = np.stack([enlarge(plane, (frame.shape[0], frame.shape[1])) for plane in scored.scores])
    next_best, best = np.sort(planes, axis=0)[-2:] if len(planes) > 1 else (planes[0] - SURE, planes[0])
    mask = segmenter.decode(scored, SegmentOptions()).mask
    mask[best - next_best < SURE] = IGNORE
    return dict(zip(SELF_TEST, SelfTest(frame, mask).to_png(), strict=True))
