"""Reading training checkpoints: a plain smp state dict, as the reference project saves it, or this project's own.

Only tensors and plain containers are read (`weights_only=True`); nothing is unpickled. Needs torch.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from desert_seg.errors import ArtifactError
from desert_seg.network import NetworkConfig, SegmentationNetwork

_WRAPPERS = ("average", "model_state_dict", "state_dict", "model")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint file.

    Raises:
        ArtifactError: It is missing, damaged, or holds more than tensors and plain containers.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ArtifactError(f"there is no checkpoint {path}; check the path") from error
    except pickle.UnpicklingError as error:
        raise ArtifactError(
            f"{path}: is damaged, or holds Python objects beside tensors, which are never loaded; "
            "save the model's state_dict() and try again"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ArtifactError(f"{path}: cannot be read as a checkpoint ({reason}); copy it again") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: holds a {type(content).__name__}, expected a state dict; save model.state_dict()")
    return content


def state_dict_of(content: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Find the network's state dict in a checkpoint and strip what wrappers put before its names."""
    for key in _WRAPPERS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    state = {}
    for name, value in content.items():
        for prefix in ("module.", "model."):
            name = name.removeprefix(prefix)
        if isinstance(value, torch.Tensor):
            state[name] = value
    return state


def network_from_state_dict(
    config: NetworkConfig, state: Mapping[str, torch.Tensor], source: str
) -> SegmentationNetwork:
    """Build a network and load all of its weights.

    Args:
        config: What to build.
        state: State dict in smp's names.
        source: What to call it in an error.

    Raises:
        ArtifactError: A tensor is missing, left over, or of another shape.
    """
    network = SegmentationNetwork(config)
    expected = network.model.state_dict()
    missing, surplus = expected.keys() - state.keys(), state.keys() - expected.keys()
    reshaped = [name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape]
    if missing or surplus or reshaped:
        name = sorted([*missing, *surplus, *reshaped])[0]
        raise ArtifactError(
            f"{source}: is not a {config.architecture} with {config.encoder} and {config.num_classes} classes: "
            f"{len(missing)} tensors missing, {len(surplus)} too many, {len(reshaped)} of another shape "
            f"(first: {name}); name the right architecture, encoder and label map"
        )
    network.model.load_state_dict(dict(state))
    return network.eval()
