"""int8 by static quantisation: an ONNX graph with QDQ nodes, which both OpenVINO and ONNX Runtime run in 8 bits.

Weights get a scale per output channel, activations one per tensor from the smallest and largest value on the
calibration images. NNCF was tried, too: it gives the inputs of depthwise layers a scale per channel, which gained no
accuracy, and ONNX Runtime refuses to run it. Knows nothing of what is accurate enough.

Shape letters: H, W network input size.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from desert_seg.artifact import INT8_ONNX, ModelCard
from desert_seg.segmenter import Segmenter
from desert_seg.views import SIZE_MULTIPLE
from desert_seg_train.export.frames import Frame

_LAST = 4
"""Number of last convolutions that stay in float first: no later layers average their errors out.

Measured on the shipped model: with the first 16 of 63 in float 98.87 % of the pixels agree, with the last 4 and the
first 12 it is 99.40 %.
"""


def convolutions(graph: onnx.ModelProto) -> list[str]:
    """Names of the convolutions in the order in which they are left in float: the last few, then from the first on."""
    names = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    return names[-_LAST:][::-1] + names[:-_LAST]


def quantize(graph: onnx.ModelProto, inputs: Sequence[npt.NDArray[np.uint8]], in_float: Collection[str] = ()) -> bytes:
    """Quantise a float32 graph.

    Args:
        graph: From `desert_seg_train.saving.to_onnx`; it is left as it is.
        inputs: 1xHxWx3 uint8 RGB, network inputs to calibrate with.
        in_float: Names of nodes that stay in float32.

    Returns:
        The graph with 8-bit weights, serialised.
    """
    with tempfile.TemporaryDirectory() as folder, _silence():
        path, source = Path(folder) / INT8_ONNX, onnx.ModelProto()
        source.CopyFrom(graph)
        quantize_static(
            source,
            path,
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(in_float),
        )
        return path.read_bytes()


def network_input(frame: Frame, card: ModelCard) -> npt.NDArray[np.uint8]:
    """A frame as the inference path brings it to the engine: 1xHxWx3 uint8 RGB."""
    engine = _InputCatcher(len(card.label_map.labels))
    Segmenter(engine, card, "").segment(frame.read()[0])
    return engine.images


class _InputCatcher:
    """An engine that records its input."""

    description, precision = "none", "f32"

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self.images: npt.NDArray[np.uint8]

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.images = images
        num_images, height, width = images.shape[:3]
        return np.zeros((num_images, self._num_classes, height // SIZE_MULTIPLE, width // SIZE_MULTIPLE), np.float32)


class _Reader(CalibrationDataReader):
    """Gives the quantiser one input after the other."""

    def __init__(self, inputs: Sequence[npt.NDArray[np.uint8]]) -> None:
        self._left = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._left, None)
        return None if image is None else {"image": image}


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress the quantiser's advice to preprocess the graph, which does not need it."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
