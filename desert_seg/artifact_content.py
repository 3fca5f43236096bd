"""What `artifact.json` may contain: types, bounds and plain names, so that it never chooses what is loaded.

A network's configuration names classes and functions of other libraries, and those of an encoder may fetch from the
network or read anywhere on the disk (`hf-hub:...`, `local-dir:/...`). Knows nothing of files.

Shape letters: K classes, H, W.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from desert_seg.errors import DataError
from desert_seg.speeds import BALANCED, SLOWEST, SPEEDS
from desert_seg.views import SIZE_MULTIPLE

MAX_SIDE = 128 * SIZE_MULTIPLE
"""Largest height and width of a network's input; graphs are made for no more."""

MAX_CLASSES = 255
"""Masks are uint8, and one value means unknown."""

_KINDS = {str: "text", dict: "mapping", list: "list"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NETWORK = {"architecture", "encoder", "num_classes", "mean", "std", "options"}
_LOADING_OPTIONS = re.compile(r"pretrained.*|.*weights|.*path|.*dir|.*file|.*url")


def check_network(network: Any) -> None:
    """Check that a network's configuration names only what its library has.

    Args:
        network: Arguments of `desert_seg.network.NetworkConfig`, not validated yet.

    Raises:
        DataError: It names something else, or is not a configuration.
    """
    if not isinstance(network, Mapping) or not {"architecture", "encoder", "num_classes"} <= network.keys() <= _NETWORK:
        raise DataError(f"network is {_short(network)}, expected architecture, encoder and num_classes; train it again")
    for key in ("architecture", "encoder"):
        if not _is_plain(network[key]):
            raise DataError(
                f"network has the {key} {_short(network[key])}, expected a plain name like resnet18, for nothing is "
                "fetched or read from elsewhere; use one that segmentation-models-pytorch or timm has itself"
            )
    num_classes = network["num_classes"]
    if not _is_whole(num_classes) or not 1 <= num_classes <= MAX_CLASSES:
        raise DataError(f"network has num_classes {_short(num_classes)}, expected 1 to {MAX_CLASSES}; train it again")
    for key, low in (("mean", -math.inf), ("std", 0.0)):
        values = network.get(key, (1.0,) * 3)
        is_colour = isinstance(values, (list, tuple)) and len(values) == 3 and all(map(_is_number, values))
        if not is_colour or min(values) <= low:
            raise DataError(f"network has the {key} {_short(values)}, expected three numbers; train it again")
    options = network.get("options", {})
    if not isinstance(options, Mapping):
        raise DataError(f"network has the options {_short(options)}, expected names and values; train it again")
    for name, value in options.items():
        if _LOADING_OPTIONS.fullmatch(str(name)) or not _is_plain_value(value):
            raise DataError(
                f"network has the option {name} = {_short(value)}, expected settings that load nothing: numbers, plain "
                "names, or lists of these; leave it out"
            )


def check_content(content: Any) -> None:
    """Check that the parsed `artifact.json` has the types that its reader relies on.

    Raises:
        DataError: An entry has the wrong type or is out of bounds; the message names it.
    """
    kinds = {
        "name": str,
        "network": dict,
        "input_size": list,
        "label_map": dict,
        "metrics": dict,
        "provenance": dict,
        "files": dict,
    }
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind):
            raise DataError(f"{key} is {_short(content.get(key))}, expected a {_KINDS[kind]}; export the model again")
    check_network(content["network"])
    size = content["input_size"]
    if len(size) != 2 or not all(map(_is_side, size)):
        raise DataError(
            f"input_size is {_short(size)}, expected height and width in multiples of {SIZE_MULTIPLE} up to "
            f"{MAX_SIDE}; export the model again"
        )
    speeds = content.get("speeds", SPEEDS)
    if not isinstance(speeds, Mapping) or speeds.keys() != SPEEDS.keys() or not all(map(_is_speed, speeds.values())):
        raise DataError(
            f"speeds is {_short(speeds)}, expected {', '.join(SPEEDS)} with numbers above 0 up to {SLOWEST:g}; export "
            "the model again"
        )
    if speeds[BALANCED] != 1:
        raise DataError(
            f"speeds has {BALANCED} = {speeds[BALANCED]}, expected 1, which is input_size; export the model again"
        )
    classes = content["label_map"].get("classes")
    if not isinstance(classes, list) or len(classes) != content["network"]["num_classes"]:
        found = len(classes) if isinstance(classes, list) else _short(classes)
        raise DataError(
            f"label_map has the classes {found} and the network {content['network']['num_classes']}, expected a list "
            "of as many; export the model again with its own label map"
        )
    for name, digest in content["files"].items():
        if not _is_plain(name) or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise DataError(
                f"files has {_short(name)} = {_short(digest)}, expected a name without a folder and its SHA-256; "
                "export the model again"
            )


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and _PLAIN_NAME.fullmatch(value) is not None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_side(value: Any) -> bool:
    return _is_whole(value) and 0 < value <= MAX_SIDE and value % SIZE_MULTIPLE == 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_speed(value: Any) -> bool:
    return _is_number(value) and 0 < value <= SLOWEST


def _is_plain_value(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain_value(each) for each in value)
    return value is None or isinstance(value, bool) or _is_number(value) or _is_plain(value)


def _short(value: Any) -> str:
    return repr(value)[:80]
