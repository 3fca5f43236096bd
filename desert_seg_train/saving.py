"""From a trained network to an artifact: safetensors and an ONNX graph with free height and width.

Weight tensors are stored in half precision, which halves the artifact; the arithmetic stays the engine's choice. Knows
nothing of engines, and does not evaluate the result: `desert_seg_train.export` does.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save

from desert_seg.artifact import ONNX, WEIGHTS, Artifact, ModelCard, save_artifact
from desert_seg.labels import LabelMap
from desert_seg.network import DeployedNetwork, SegmentationNetwork
from desert_seg.rounding import F16_BITS, round_keeping_sums
from desert_seg.speeds import SPEEDS
from desert_seg.views import SIZE_MULTIPLE
from desert_seg_train.self_test_files import self_test_files

if TYPE_CHECKING:  # a training needs no onnx
    import onnx

OPSET = 18
"""Version of the ONNX operator set that the graphs use."""


def to_onnx(network: SegmentationNetwork, input_size: tuple[int, int]) -> onnx.ModelProto:
    """Export the deployed graph: input `image` 1xHxWx3 uint8, output `scores` 1xKxhxw float32, H and W multiples of 32.

    Args:
        network: The network; it is left in evaluation mode.
        input_size: (H, W) to trace with.
    """
    import onnx

    side = {name: SIZE_MULTIPLE * torch.export.Dim(name, min=2, max=128) for name in ("rows", "columns")}
    example = torch.zeros(1, *input_size, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        path = Path(folder) / ONNX
        torch.onnx.export(
            DeployedNetwork(network),
            (example,),
            path,
            input_names=["image"],
            output_names=["scores"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({1: side["rows"], 2: side["columns"]},),
            external_data=False,
        )
        model = onnx.load(path)
    _forget_source(model.graph)
    return model


def _forget_source(graph: onnx.GraphProto) -> None:
    """Remove torch's stack traces, which name folders of the machine that exported."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]


def weights_file(network: SegmentationNetwork) -> bytes:
    """The network's weights as safetensors in smp's names."""
    depthwise = {
        f"{name}.weight"
        for name, module in network.model.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.groups > 1
    }
    weights = {
        key: torch.from_numpy(_to_half(value.cpu().numpy(), key in depthwise)) if value.ndim > 1 else value.contiguous()
        for key, value in network.model.state_dict().items()
    }
    return save(weights)


def graph_file(model: onnx.ModelProto) -> bytes:
    """The graph that `to_onnx` made, as it is stored."""
    return bytes(_with_half_weights(model).SerializeToString())


def _with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weight tensors as float16, each followed by a cast to float32, which engines fold away when they load."""
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    depthwise = {
        node.input[1]
        for node in graph.node
        if node.op_type == "Conv" and any(each.name == "group" and each.i > 1 for each in node.attribute)
    }
    for tensor in [
        each for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT and len(each.dims) > 1
    ]:
        half = onnx.numpy_helper.from_array(
            _to_half(onnx.numpy_helper.to_array(tensor), tensor.name in depthwise), f"{tensor.name}_half"
        )
        cast = onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT)
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        graph.node.insert(0, cast)
    return result


def _to_half(weights: npt.NDArray[np.float32], depthwise: bool) -> npt.NDArray[np.float16]:
    """Round to nearest, except that depthwise filters keep their sums; see `desert_seg.rounding`."""
    return (round_keeping_sums(weights, F16_BITS) if depthwise else weights).astype(np.float16)


def save_network(
    path: str | Path,
    network: SegmentationNetwork,
    name: str,
    input_size: tuple[int, int],
    label_map: LabelMap,
    metrics: Mapping[str, float] | None = None,
    provenance: Mapping[str, str] | None = None,
    with_graph: bool = True,
    speeds: Mapping[str, float] = SPEEDS,
) -> Artifact:
    """Write an artifact of a trained network; see `desert_seg.artifact.ModelCard` for the arguments.

    Without the graph, only the torch engine runs it until it is exported.
    """
    card = ModelCard(
        name=name,
        network=asdict(network.config),
        input_size=input_size,
        label_map=label_map,
        metrics=metrics or {},
        provenance={**software(), **(provenance or {})},
        speeds=speeds,
    )
    files = {WEIGHTS: weights_file(network), **self_test_files(network, card)}
    if with_graph:
        files[ONNX] = graph_file(to_onnx(network, input_size))
    return save_artifact(path, card, files)


def without_folders(recipe: str) -> str:
    """A recipe, JSON, as artifacts carry it: of every path the last two parts, for only the model travels."""
    return json.dumps(_shortened(json.loads(recipe)))


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return "/".join(Path(value).parts[-2:]) if "/" in value else value
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    return {key: _shortened(each) for key, each in value.items()} if isinstance(value, dict) else value


def software() -> dict[str, str]:
    """What made an artifact, for its provenance."""
    return {"torch": torch.__version__, "git": git_hash()}


def git_hash() -> str:
    """Commit of the source tree this runs from, with `+` if it has local changes; `unknown` outside one."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip()
