"""From a trained network to an artifact: safetensors and an ONNX graph with free height and width."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import save

from desert_seg.artifact import ONNX, WEIGHTS, Artifact, ModelCard, save_artifact
from desert_seg.labels import LabelMap
from desert_seg.network import DeployedNetwork, SegmentationNetwork
from desert_seg.views import SIZE_MULTIPLE

OPSET = 18


def to_onnx(network: SegmentationNetwork, input_size: tuple[int, int]) -> bytes:
    """Export the deployed graph: input `image` 1xHxWx3 uint8, output `scores` 1xKxhxw float32, H and W multiples of 32.

    Args:
        network: The network; it is left in evaluation mode.
        input_size: (H, W) to trace with.
    """
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
        return bytes(_with_half_weights(onnx.load(path)).SerializeToString())


def _with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weight tensors as float16, each followed by a cast to float32, which engines fold away when they load."""
    graph = model.graph
    for tensor in [
        each for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT and len(each.dims) > 1
    ]:
        half = onnx.numpy_helper.from_array(
            onnx.numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half"
        )
        cast = onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT)
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        graph.node.insert(0, cast)
    return model


def save_network(
    path: str | Path,
    network: SegmentationNetwork,
    name: str,
    input_size: tuple[int, int],
    label_map: LabelMap,
    metrics: Mapping[str, float] | None = None,
    provenance: Mapping[str, str] | None = None,
    with_graph: bool = True,
) -> Artifact:
    """Write an artifact of a trained network; see `desert_seg.artifact.ModelCard` for the arguments.

    Weight tensors are stored in half precision, which halves the artifact and moves less than 0.1 % of the mask; the
    arithmetic stays the engine's choice. Without the graph, only the torch engine runs it until it is exported.
    """
    weights = {
        key: (value.half() if value.ndim > 1 else value).contiguous()
        for key, value in network.model.state_dict().items()
    }
    card = ModelCard(
        name=name,
        network=asdict(network.config),
        input_size=input_size,
        label_map=label_map,
        metrics=metrics or {},
        provenance={"torch": torch.__version__, "git": git_hash(), **(provenance or {})},
    )
    graph = {ONNX: to_onnx(network, input_size)} if with_graph else {}
    return save_artifact(path, card, {WEIGHTS: save(weights), **graph})


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
