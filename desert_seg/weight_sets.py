"""The sets of weights in a checkpoint: tensors that have a network's names, at any depth and behind any prefix.

Knows nothing of files, nor which of several sets is the right one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from desert_seg.errors import ArtifactError

_MAX_DEPTH = 8
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
"""What DataParallel, torch.compile, FSDP and Fabric put into names, also in the middle of them."""

AVERAGE = {"ema", "swa", "average", "averaged"}
"""Words in the name of weights that were averaged over the steps of a training."""

COUNTER = "num_batches_tracked"
"""Counts the updates of running statistics: irrelevant to inference."""


@dataclass(frozen=True)
class NamedTensor:
    """A tensor: which container it lies in, and its whole name from the outermost on without wrappers."""

    container: int
    place: tuple[str, ...]
    value: Tensor


@dataclass(frozen=True)
class WeightSet:
    """The tensors behind one prefix that have names of the network's."""

    prefix: tuple[str, ...]
    state: Mapping[str, Tensor]

    @property
    def title(self) -> str:
        """The prefix, for people."""
        return ".".join(self.prefix) or "the file itself"


def all_tensors(content: Mapping[str, Any], expected: Mapping[str, Tensor]) -> list[NamedTensor]:
    """All tensors in containers of containers.

    Args:
        content: What a checkpoint holds.
        expected: State dict of the network that is looked for.
    """
    return list(_walk(content, _WRAPPERS - {part for name in expected for part in name.split(".")}, (), 0))


def _walk(content: Any, wrappers: Set[str], above: tuple[str, ...], depth: int) -> Iterator[NamedTensor]:
    items = content.items() if isinstance(content, Mapping) else enumerate(content)
    for key, value in items:
        place = (*above, *(part for part in str(key).split(".") if part not in wrappers))
        if isinstance(value, Tensor):
            yield NamedTensor(id(content), place, value)
        elif isinstance(value, (Mapping, list, tuple)) and depth < _MAX_DEPTH:
            yield from _walk(value, wrappers, place, depth + 1)


def weight_sets(entries: Sequence[NamedTensor], expected: Mapping[str, Tensor], source: str) -> list[WeightSet]:
    """The tensors behind every prefix that precedes names of the network, the largest set first.

    Raises:
        ArtifactError: Two different tensors have the same name once wrappers are taken out of it.
    """
    names = _known_names(expected)
    found: dict[tuple[str, ...], dict[str, Tensor]] = defaultdict(dict)
    for entry in entries:
        for start in range(len(entry.place)):
            name = names.get(".".join(entry.place[start:]))
            if name is None:
                continue
            earlier = found[entry.place[:start]].setdefault(name, entry.value)
            if earlier is not entry.value and not equal(earlier, entry.value):
                raise ArtifactError(
                    f"{source}: holds two different tensors for {name}, with and without a wrapper's prefix; save the "
                    "state_dict() of the one model that is meant"
                )
    candidates = [WeightSet(prefix, state) for prefix, state in found.items()]
    return sorted(candidates, key=lambda candidate: -len(candidate.state))


def _known_names(expected: Mapping[str, Tensor]) -> dict[str, str]:
    """Names in checkpoints -> the network's names.

    Encoders that smp had ported itself before it took them from timm have no `model.` in their older names; GERNet's
    stages were numbered differently, too (see smp's `SegmentationModel.load_state_dict`).
    """
    names = {}
    for name in expected:
        if name.startswith("encoder.model."):
            older = name.replace("encoder.model.", "encoder.", 1)
            names[older] = name
            names[older.replace(".stages_", ".stages.")] = name
    return names | {name: name for name in expected}


def lacking(candidate: WeightSet, expected: Mapping[str, Tensor]) -> list[str]:
    """Names that are missing or of another shape; how often statistics were updated does not matter."""
    return [
        name
        for name, value in expected.items()
        if not name.endswith(COUNTER) and (name not in candidate.state or candidate.state[name].shape != value.shape)
    ]


def is_average(prefix: Sequence[str], content: Mapping[str, Any]) -> bool:
    """True if the names before a set of weights say that it was averaged over the steps of a training."""
    if prefix[:1] == ("state_dict",) and "averaging_state" in content:  # Lightning's WeightAveraging swaps them
        return True
    return bool(words(prefix) & AVERAGE)


def words(names: Sequence[str]) -> set[str]:
    """The words in names: model and ema for `model_ema` and `ModelEMA`."""
    return {word.lower() for name in names for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def equal(one: Tensor, other: Tensor) -> bool:
    """True if two tensors have the same shape and values."""
    return one is other or (one.shape == other.shape and bool(torch.equal(one, other)))
