"""Artifacts of a few operators for tests of what engines do with a graph: no torch, built in milliseconds.

The graph gives class c the mean of 4x4 pixels' red, times `gains[c]`; what it does to the scores at the end can be
replaced.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from desert_seg.artifact import ONNX, WEIGHTS, ModelCard, save_artifact
from desert_seg.labels import load_label_map

GAINS = (1, -1, 2, 0, -2, 3, -3)
SIZE = (64, 96)


def tiny_graph(gains=GAINS, end=("Identity",), pool=4):
    """The graph; `end` is an operator by name and its further inputs, scalars."""
    weights = np.zeros((len(gains), 3, 1, 1), np.float32)
    weights[:, 0, 0, 0] = gains
    more = {f"more{index}": np.float32(value) for index, value in enumerate(end[1:])}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["small"], kernel_shape=[pool] * 2, strides=[pool] * 2),
        helper.make_node("Conv", ["small", "weights"], ["plain"]),
        helper.make_node(end[0], ["plain", *more], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "rows", "columns", 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(weights, "weights")]
    constants += [numpy_helper.from_array(value, name) for name, value in more.items()]
    graph = helper.make_graph(nodes, "tiny", [image], [scores], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def save_graph(path, graph, **changes):
    """An artifact of seven classes with a graph, a ModelProto or bytes, and no weights worth the name."""
    card = ModelCard(
        name="tiny",
        network={"architecture": "DeepLabV3Plus", "encoder": "timm-tf_efficientnet_lite0", "num_classes": 7},
        input_size=SIZE,
        label_map=load_label_map("falcon7_stones"),
    )
    data = graph.SerializeToString() if isinstance(graph, onnx.ModelProto) else graph
    return save_artifact(path, card, {WEIGHTS: b"", ONNX: data, **changes})
