"""Initial weights of a training: pretrained, random, or those of an earlier model, even one with other classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from desert_seg.artifact import load_artifact
from desert_seg.checkpoint import read_checkpoint
from desert_seg.errors import ArtifactError, DataError, DesertSegError
from desert_seg.labels import LabelSet, label_map_from_dict
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.share import find_artifact
from desert_seg.weights import find_weights, network_from_state_dict

_HEAD = "segmentation_head."


def start_network(config: NetworkConfig, start: str, labels: LabelSet) -> SegmentationNetwork:
    """Build a network and initialise its weights.

    Args:
        config: What to build.
        start: See `desert_seg_train.train.config.TrainConfig.start`.
        labels: The classes it will predict.

    Raises:
        ArtifactError: An artifact or checkpoint is unreadable or of another network.
        DataError: There is no such file, or encoder weights are unreadable or of another encoder.
        DesertSegError: Pretrained weights cannot be fetched.
    """
    if start == "random":
        return SegmentationNetwork(config)
    if start == "imagenet":
        return _with_fetched_encoder(config)
    path = _find(start)
    if (path / "artifact.json").exists():
        artifact = load_artifact(path)
        state, known = load_file(artifact.weights), artifact.card.label_map.labels
        state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    elif path.suffix == ".safetensors":
        return _with_encoder_of(config, path)
    else:
        content, known = read_checkpoint(path), labels
        if isinstance(content.get("label_map"), dict):
            known = label_map_from_dict(content["label_map"], start).labels
        earlier = SegmentationNetwork(replace(config, num_classes=len(known)))
        state = dict(find_weights(content, earlier, start).state)
    if known.names != labels.names:
        state = _with_head_for(labels, SegmentationNetwork(config), state, known)
    return network_from_state_dict(config, state, start)


def _find(start: str) -> Path:
    path = Path(start).expanduser()
    if path.exists():
        return path
    try:
        return find_artifact(start)
    except ArtifactError as error:
        raise DataError(
            f"there is nothing at {start} to start from; give imagenet, random, a model artifact or the name of a "
            "shipped one, a checkpoint or a .safetensors file"
        ) from error


def _with_head_for(
    labels: LabelSet, fresh: SegmentationNetwork, state: Mapping[str, Tensor], known: LabelSet
) -> dict[str, Tensor]:
    """The state with a fresh last layer, in which classes known by name keep their rows."""
    changed = dict(state)
    for name, value in fresh.model.state_dict().items():
        if name.startswith(_HEAD) and name in state and len(state[name]) == len(known):
            changed[name] = value.clone()
            for row, label in enumerate(labels.names):
                if label in known.names:
                    changed[name][row] = state[name][known.index(label)]
    return changed


def _with_fetched_encoder(config: NetworkConfig) -> SegmentationNetwork:
    try:
        return SegmentationNetwork(config, encoder_weights="imagenet")
    except DesertSegError:
        raise
    except Exception as error:  # the model hub's client raises other types in every version
        reason = " ".join(str(error).split())[:120]
        raise DesertSegError(
            f"pretrained weights of {config.encoder} could not be fetched ({type(error).__name__}: {reason}); check "
            "the network, or give --start a .safetensors file with the encoder's weights, a model artifact, or random"
        ) from error


def _with_encoder_of(config: NetworkConfig, path: Path) -> SegmentationNetwork:
    network = SegmentationNetwork(config)
    try:
        network.model.encoder.load_state_dict(read_checkpoint(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: is no safetensors file with weights of {config.encoder} ({reason})") from error
    return network
