"""What is exported: a training's checkpoint, a plain state dict, or an earlier artifact, as a network and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from desert_seg.artifact import ModelCard, load_artifact
from desert_seg.checkpoint import network_from_state_dict, read_checkpoint, state_dict_of
from desert_seg.errors import DataError
from desert_seg.labels import LabelMap, label_map_from_dict, load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.views import SIZE_MULTIPLE
from desert_seg_train.export.config import ExportConfig
from desert_seg_train.saving import software

DEFAULT_SIZE = (512, 896)


def read_source(config: ExportConfig) -> tuple[SegmentationNetwork, ModelCard]:
    """Read the network with its weights in float32, and what its artifact will say about it.

    Raises:
        ArtifactError: The checkpoint or the artifact is missing, damaged, or of another network.
        DataError: Not exactly one of the two is given, or the label map or the input size is none.
    """
    if config.checkpoint is not None and config.model is None:
        return _read_checkpoint(config, config.checkpoint)
    if config.model is not None and config.checkpoint is None:
        return _read_artifact(config, config.model)
    found = "both" if config.model else "neither"
    raise DataError(f"found {found} of --checkpoint FILE and --model ARTIFACT, expected one; say what to export")


def _read_checkpoint(config: ExportConfig, path: Path) -> tuple[SegmentationNetwork, ModelCard]:
    content = read_checkpoint(path)
    label_map = _label_map_of(content, config, path)
    own = content.get("network_config")
    choice = NetworkConfig(**own) if own else NetworkConfig(config.architecture, config.encoder, len(label_map.labels))
    network = network_from_state_dict(choice, state_dict_of(content), str(path))
    recipe = {"recipe": content["recipe"]} if isinstance(content.get("recipe"), str) else {}
    trained_at = json.loads(recipe["recipe"])["input_size"] if recipe else DEFAULT_SIZE
    card = ModelCard(
        name=config.name or config.out.name,
        network=asdict(network.config),
        input_size=_input_size(config, trained_at),
        label_map=label_map,
        provenance={
            **software(),
            "data": config.data,
            "label_map": label_map.name,
            "checkpoint": path.name,
            **recipe,
        },
    )
    return network, card


def _label_map_of(content: Mapping[str, Any], config: ExportConfig, path: Path) -> LabelMap:
    """The label map in a training's checkpoint, which may be by name, else the one that the user gives."""
    inside = content.get("label_map", config.label_map)
    return label_map_from_dict(inside, str(path)) if isinstance(inside, dict) else load_label_map(inside)


def _read_artifact(config: ExportConfig, path: Path) -> tuple[SegmentationNetwork, ModelCard]:
    artifact = load_artifact(path)
    state = {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_file(artifact.weights).items()
    }
    network = network_from_state_dict(NetworkConfig(**artifact.card.network), state, str(artifact.weights))
    card, size = artifact.card, _input_size(config, artifact.card.input_size)
    data = {"data": config.data} if config.data else {}
    earlier = {key: value for key, value in card.provenance.items() if key != "int8"}  # that graph is not taken along
    return network, replace(
        card,
        name=config.name or card.name,
        input_size=size,
        metrics=card.metrics if size == card.input_size else {},  # they were measured at the other size
        provenance={**earlier, **software(), "model": artifact.digest, **data},
    )


def _input_size(config: ExportConfig, default: tuple[int, int]) -> tuple[int, int]:
    size = (config.input_height or default[0], config.input_width or default[1])
    if any(side <= 0 or side % SIZE_MULTIPLE for side in size):
        raise DataError(
            f"found input size {size[0]}x{size[1]}, expected multiples of {SIZE_MULTIPLE}; try "
            f"{DEFAULT_SIZE[0]}x{DEFAULT_SIZE[1]}"
        )
    return size
