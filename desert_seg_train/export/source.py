"""The source of an export: a training's checkpoint, a plain state dict, or an artifact, as a network and its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from desert_seg.artifact import ModelCard, load_artifact
from desert_seg.checkpoint import read_checkpoint
from desert_seg.errors import ArtifactError, DataError
from desert_seg.json_file import parse_json
from desert_seg.labels import LabelMap, label_map_from_dict, load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.views import SIZE_MULTIPLE
from desert_seg.weights import network_from_checkpoint, network_from_state_dict
from desert_seg_train.export.config import ExportConfig
from desert_seg_train.export.normalization import encoder_normalization
from desert_seg_train.saving import software, without_folders

DEFAULT_SIZE = (512, 896)


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        network: The network with its weights, in float32.
        card: The description for its artifact.
        notes: Sentences on what was read and decided.
    """

    network: SegmentationNetwork
    card: ModelCard
    notes: tuple[str, ...] = ()


def read_source(config: ExportConfig) -> Source:
    """Read the source of an export.

    Raises:
        ArtifactError: The checkpoint or the artifact is missing, damaged, or of another network.
        DataError: Not exactly one of the two is given, or the label map, normalisation or input size is invalid.
    """
    if config.checkpoint is not None and config.model is None:
        return _read_checkpoint(config, config.checkpoint)
    if config.model is not None and config.checkpoint is None:
        return _read_artifact(config, config.model)
    found = "both" if config.model else "neither"
    raise DataError(f"found {found} of --checkpoint FILE and --model ARTIFACT, expected one; say what to export")


def _read_checkpoint(config: ExportConfig, path: Path) -> Source:
    if path.is_dir() and (path / "artifact.json").is_file():
        raise ArtifactError(f"{path}: is a model artifact, not a checkpoint; give it as --model")
    content = read_checkpoint(path)
    label_map = _label_map_of(content, config, path)
    choice, normalised_by = _network_of(content, config, len(label_map.labels), path)
    network, weights = network_from_checkpoint(choice, content, str(path))
    recipe = {"recipe": content["recipe"]} if isinstance(content.get("recipe"), str) else {}
    card = ModelCard(
        name=config.name or config.out.resolve().name,
        network=asdict(network.config),
        input_size=_input_size(config, _trained_at(recipe, path)),
        label_map=label_map,
        provenance={
            **software(),
            "data": config.data,
            "label_map": label_map.name,
            "checkpoint": path.name,
            **{name: without_folders(text) for name, text in recipe.items()},
        },
    )
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (choice.mean, choice.std))
    notes = (
        f"read {path}: {choice.architecture} with {choice.encoder}, {choice.num_classes} classes of {label_map.name}",
        *weights.notes,
        f"normalisation: mean {mean}, std {std}, {normalised_by}",
    )
    return Source(network, card, notes)


def _network_of(
    content: Mapping[str, Any], config: ExportConfig, num_classes: int, path: Path
) -> tuple[NetworkConfig, str]:
    """The network's settings, from the checkpoint or else the user, and the source of its normalisation."""
    own = content.get("network_config")
    if own is None:
        choice = NetworkConfig(config.architecture, config.encoder, num_classes)
    else:
        try:
            choice = NetworkConfig(**own)
        except TypeError as error:
            raise ArtifactError(
                f"{path}: describes its network in another way than this version ({error}); export it with the "
                "version it was trained with"
            ) from error
    if choice.num_classes != num_classes:
        raise ArtifactError(
            f"{path}: predicts {choice.num_classes} classes, expected the {num_classes} of the label map; name the "
            "label map it was trained with"
        )
    mean, std = encoder_normalization(choice.encoder)
    said_by = f"that of the pretrained {choice.encoder}; if it was trained with another, give --mean and --std"
    if own is not None and "mean" in own and "std" in own:
        mean, std, said_by = choice.mean, choice.std, "as it was trained with"
    if config.mean is not None or config.std is not None:
        mean, std, said_by = config.mean or mean, config.std or std, "as given"
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
        raise DataError(
            f"found mean {mean} and std {std}, expected shares of the full range, from 0 to 1; divide figures for "
            "0..255 by 255"
        )
    return replace(choice, mean=mean, std=std), said_by


def _trained_at(recipe: Mapping[str, str], path: Path) -> tuple[int, int]:
    """The input size in a training's recipe."""
    if not recipe:
        return DEFAULT_SIZE
    try:
        height, width = parse_json(recipe["recipe"])["input_size"]
        return int(height), int(width)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArtifactError(f"{path}: its recipe holds no input_size ({error}); it is no checkpoint of ours") from error


def _label_map_of(content: Mapping[str, Any], config: ExportConfig, path: Path) -> LabelMap:
    """The label map in a training's checkpoint, which may be by name, else the one that the user gives."""
    inside = content.get("label_map", config.label_map)
    return label_map_from_dict(inside, str(path)) if isinstance(inside, dict) else load_label_map(inside)


def _read_artifact(config: ExportConfig, path: Path) -> Source:
    if config.mean is not None or config.std is not None:
        raise DataError("found --mean or --std beside --model, which has its own; leave them out")
    artifact = load_artifact(path)
    state = {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_file(artifact.weights).items()
    }
    network = network_from_state_dict(NetworkConfig(**artifact.card.network), state, str(artifact.weights))
    card, size = artifact.card, _input_size(config, artifact.card.input_size)
    data = {"data": config.data} if config.data else {}
    earlier = {key: value for key, value in card.provenance.items() if key != "int8"}  # that graph is not copied
    changed = replace(
        card,
        name=config.name or card.name,
        input_size=size,
        metrics=card.metrics if size == card.input_size else {},  # measured at another size
        provenance={**earlier, **software(), "model": artifact.digest, **data},
    )
    return Source(network, changed)


def _input_size(config: ExportConfig, default: tuple[int, int]) -> tuple[int, int]:
    size = (config.input_height or default[0], config.input_width or default[1])
    if any(side <= 0 or side % SIZE_MULTIPLE for side in size):
        raise DataError(
            f"found input size {size[0]}x{size[1]}, expected multiples of {SIZE_MULTIPLE}; try "
            f"{DEFAULT_SIZE[0]}x{DEFAULT_SIZE[1]}"
        )
    return size
