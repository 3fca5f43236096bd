"""The reference network with random weights, as an artifact: as fast as a trained one, with meaningless masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from desert_seg.artifact import INT8_ONNX, ONNX, WEIGHTS, save_artifact
from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg_train.saving import save_network, to_onnx
from speed.bars import REFERENCE_ENCODER, SIZE

NUM_CALIBRATION = 4


def make_reference(path: Path, frames: Sequence[npt.NDArray[np.uint8]], int8: bool, with_graph: bool = True) -> None:
    """Build it, and export it for the engines that need a graph.

    Args:
        path: Artifact folder to write.
        frames: HxWx3 uint8 RGB, to calibrate int8 on.
        int8: Also quantise it, which needs the graph.
        with_graph: Without, only torch runs it, and neither onnx nor onnxscript is needed.
    """
    torch.manual_seed(0)
    label_map = load_label_map("falcon7")
    config = NetworkConfig("DeepLabV3Plus", REFERENCE_ENCODER, len(label_map.labels))
    network = SegmentationNetwork(config).eval()
    artifact = save_network(path, network, "reference, random weights", SIZE, label_map, with_graph=with_graph)
    if int8:
        from desert_seg_train.export.quantization import quantize

        inputs = [cv2.resize(frame, SIZE[::-1])[None].astype(np.uint8) for frame in frames[:NUM_CALIBRATION]]
        graph = quantize(to_onnx(network, SIZE), inputs)
        files = {name: (path / name).read_bytes() for name in (WEIGHTS, ONNX)}
        save_artifact(path, artifact.card, {**files, INT8_ONNX: graph})
