"""Finding a network's weights in what a training saved, however they are wrapped.

The names that smp gives a network's tensors are looked for at any depth and behind any prefix: `state_dict`, `module.`,
`net.` and whatever else a training or a compiler puts before them. Of raw and averaged weights the averaged are taken.
What does not fit without a guess is refused. Knows nothing of files. Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from desert_seg.errors import ArtifactError
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.weight_sets import (
    AVERAGE,
    COUNTER,
    NamedTensor,
    WeightSet,
    all_tensors,
    equal,
    is_average,
    lacking,
    weight_sets,
    words,
)

_BESIDE = {"loss", "losses", "criterion", "metric", "metrics"}
_AUXILIARY = "classification_head"
"""smp's head that classifies the whole image, which has no influence on the mask."""


@dataclass(frozen=True)
class Weights:
    """What was found.

    Attributes:
        state: State dict of `SegmentationNetwork.model`, complete.
        notes: Decisions on the way, one phrase each.
    """

    state: Mapping[str, Tensor]
    notes: tuple[str, ...]


def network_from_checkpoint(
    config: NetworkConfig, content: Mapping[str, Any], source: str
) -> tuple[SegmentationNetwork, Weights]:
    """Build a network and give it the weights that a checkpoint holds; see `find_weights`."""
    network = SegmentationNetwork(config)
    weights = find_weights(content, network, source)
    network.model.load_state_dict(dict(weights.state))
    return network.eval(), weights


def network_from_state_dict(config: NetworkConfig, state: Mapping[str, Tensor], source: str) -> SegmentationNetwork:
    """Build a network and give it exactly the weights of a state dict in smp's names; raises ArtifactError."""
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


def find_weights(content: Mapping[str, Any], network: SegmentationNetwork, source: str) -> Weights:
    """Find the weights of a network.

    Args:
        content: From `desert_seg.checkpoint.read_checkpoint`.
        network: Whose weights they should be; it is left as it is.
        source: What to call the checkpoint in an error.

    Raises:
        ArtifactError: There are none, they are another network's, there are several, an average is there that cannot be
            read, or a value is not finite.
    """
    expected: dict[str, Tensor] = network.model.state_dict()
    entries = all_tensors(content, expected)
    candidates = weight_sets(entries, expected, source)
    complete = [found for found in candidates if not lacking(found, expected)]
    averaged = {id(found) for found in candidates if is_average(found.prefix, content)}
    raw = [found for found in complete if id(found) not in averaged]
    averages = [found for found in complete if id(found) in averaged]
    notes = []
    if not averages:  # those that are kept by hand are often of the parameters alone
        averages = [_filled(found, raw, network) for found in candidates if id(found) in averaged]
        averages = [found for found in averages if not lacking(found, expected)]
        if averages:
            notes.append("running statistics are those beside the averaged weights, which have none of their own")
    if raw and not averages:
        _check_no_average(entries, len(expected), source)
    chosen = _the_one(averages or raw, candidates, network, source)
    beside = _beside(chosen, [*raw, *averages], entries)
    _check_surplus(chosen, beside, network, source)
    if averages and raw:
        notes.insert(0, f"took the averaged weights ({chosen.title}), not the raw ones ({raw[0].title})")
    elif chosen.prefix:
        notes.insert(0, f"took the weights under {chosen.title}")
    if beside:
        more = f" and {len(beside) - 5} more" if len(beside) > 5 else ""
        names = ", ".join(".".join(entry.place) for entry in beside[:5])
        notes.append(f"left out what is not the network's: {names}{more}")
    return Weights(_checked(chosen, expected, source), tuple(notes))


def _filled(average: WeightSet, raw: Sequence[WeightSet], network: SegmentationNetwork) -> WeightSet:
    """An average of all parameters with the buffers of the raw weights beside it, if there is one such set."""
    parameters = dict(network.model.named_parameters())
    if len(raw) != 1 or not parameters.keys() <= average.state.keys():
        return average
    return WeightSet(average.prefix, {**raw[0].state, **average.state})


def _check_no_average(entries: Sequence[NamedTensor], num_tensors: int, source: str) -> None:
    """Raise ArtifactError if many tensors lie under a name that says average: which set is meant cannot be known."""
    averaged = [entry for entry in entries if words(entry.place[:-1]) & AVERAGE]
    if len(averaged) >= num_tensors // 4:
        raise ArtifactError(
            f"{source}: holds averaged weights ({'.'.join(averaged[0].place)} and others) that do not fit the network "
            "by name and shape; copy the average into the model and save its state_dict()"
        )


def _the_one(
    found: Sequence[WeightSet], candidates: Sequence[WeightSet], network: SegmentationNetwork, source: str
) -> WeightSet:
    """The only set of weights there is; several that are equal count as one."""
    if not found:
        raise ArtifactError(_what_does_not_fit(candidates, network, source))
    first = found[0]
    for other in found[1:]:
        if any(not equal(first.state[name], value) for name, value in other.state.items() if name in first.state):
            raise ArtifactError(
                f"{source}: holds several sets of weights ({', '.join(each.title for each in found)}), expected one; "
                "save the state_dict() of the one that is meant"
            )
    return first


def _what_does_not_fit(candidates: Sequence[WeightSet], network: SegmentationNetwork, source: str) -> str:
    config, expected = network.config, network.model.state_dict()
    wanted = f"{config.architecture} with {config.encoder} and {config.num_classes} classes"
    if not candidates:
        return (
            f"{source}: holds no tensor with a name of segmentation-models-pytorch's {wanted}; give a checkpoint of a "
            "model of that library"
        )
    state = candidates[0].state
    missing = [name for name in expected if name not in state and not name.endswith(COUNTER)]
    reshaped = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    if reshaped and not missing and all(name.startswith("segmentation_head.") for name in reshaped):
        return (
            f"{source}: predicts {len(state[reshaped[0]])} classes, expected the {config.num_classes} of the label "
            "map; name the label map it was trained with"
        )
    return (
        f"{source}: is not a {wanted}: {len(missing)} tensors missing, {len(reshaped)} of another shape (first: "
        f"{[*missing, *reshaped][0]}); name the right architecture, encoder and label map"
    )


def _beside(chosen: WeightSet, sets: Sequence[WeightSet], entries: Sequence[NamedTensor]) -> list[NamedTensor]:
    """What lies in the same containers as the chosen tensors and belongs to no set."""
    own = {id(value) for value in chosen.state.values()}
    used = {id(value) for each in sets for value in each.state.values()}
    containers = {entry.container for entry in entries if id(entry.value) in own}
    return [
        entry
        for entry in entries
        if entry.container in containers and id(entry.value) not in used and entry.place[-1:] != (COUNTER,)
    ]


def _check_surplus(chosen: WeightSet, beside: Sequence[NamedTensor], network: SegmentationNetwork, source: str) -> None:
    """Raise ArtifactError if the model had layers that the network does not: without them it would be another one.

    Layers have weights with more than one axis longer than 1; counters, means and weights of classes do not.
    """
    parts, depth = {name.split(".")[0] for name in network.model.state_dict()}, len(chosen.prefix)
    surplus = []
    for entry in beside:
        rest = entry.place[depth:]
        if entry.place[:depth] != chosen.prefix or not rest or rest[0] == _AUXILIARY:
            continue
        is_layer = sum(side > 1 for side in entry.value.shape) > 1 and not words(rest[:1]) & _BESIDE
        if rest[0] in parts or is_layer:
            surplus.append(".".join(rest))
    if surplus:
        raise ArtifactError(
            f"{source}: is not just a {network.config.architecture} with {network.config.encoder}: {len(surplus)} "
            f"tensors too many (first: {surplus[0]}); name the right architecture and encoder, or save the "
            "state_dict() of the smp model alone"
        )


def _checked(chosen: WeightSet, expected: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The complete state in the network's own types; refuses quantised and non-finite values."""
    state = {}
    for name, value in expected.items():
        found = chosen.state.get(name, value)
        if name.endswith(COUNTER):
            state[name] = found.to(value.dtype) if found.shape == value.shape else value
            continue
        if found.is_meta:
            raise ArtifactError(
                f"{source}: holds the shape of {name} but not its values, as where weights are divided or offloaded; "
                "gather them (DeepSpeed: zero_to_fp32.py) and save the whole state_dict()"
            )
        if found.layout != torch.strided:
            raise ArtifactError(f"{source}: holds {name} as a sparse tensor, expected a dense one; save its to_dense()")
        if found.is_floating_point() != value.is_floating_point():
            raise ArtifactError(f"{source}: holds {name} as {found.dtype}, expected {value.dtype}; save it unquantised")
        state[name] = found.to(value.dtype)
        if value.is_floating_point() and not state[name].isfinite().all():
            raise ArtifactError(
                f"{source}: holds values in {name} that are not finite, as a training leaves that diverged; take an "
                "earlier checkpoint"
            )
        if name.endswith("running_var") and (state[name] < 0).any():
            raise ArtifactError(f"{source}: holds variances in {name} that are negative; take an earlier checkpoint")
    if not any(value.any() for value in state.values() if value.ndim > 1):
        raise ArtifactError(
            f"{source}: holds nothing but zeros in its layers, as where weights are divided among processes; gather "
            "them, and save the whole state_dict()"
        )
    return state
