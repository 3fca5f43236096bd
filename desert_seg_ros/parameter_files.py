"""Files of parameters that hold none for this node, which ROS passes over silently."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from desert_seg.errors import DesertSegError
from desert_seg.yaml_file import read_yaml

_OPTION = "--params-file"
_PARAMETERS = "ros__parameters"
_MANY = 4


def unused_parameter_files(arguments: Sequence[str], node: str) -> list[str]:
    """Look for files of which nothing is used.

    Args:
        arguments: For rclpy, from `--ros-args` on.
        node: The node's name in full.

    Returns:
        A sentence for each file all of whose parameters are those of other nodes.
    """
    found = []
    for option, path in itertools.pairwise(arguments):
        if option != _OPTION:
            continue
        try:
            names = list(_names(read_yaml(Path(path)), ""))
        except DesertSegError:  # ROS reads it in its own way
            continue
        if names and not any(_fits(name, node) for name in names):
            others = ", ".join(names[:_MANY]) + (", …" if len(names) > _MANY else "")
            found.append(
                f"{path} has parameters of {others}, and this node is {node}, so none of them is used; name it /** or "
                f"{node} there"
            )
    return found


def _names(content: Any, above: str) -> Iterator[str]:
    """The names of nodes, in full, that a file has parameters of."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        name = f"{above}/{str(key).strip('/')}"
        if isinstance(value, Mapping):
            if _PARAMETERS in value:
                yield name
            yield from _names({key: each for key, each in value.items() if key != _PARAMETERS}, name)


def _fits(pattern: str, node: str) -> bool:
    """Whether a name, with `*` for one part of it and `**` for any number of parts, is that of the node."""
    expression = "".join(
        {"": "", "*": r"/\w+", "**": r"(/\w+)*"}.get(part, "/" + re.escape(part)) for part in pattern.split("/")
    )
    return re.fullmatch(expression, node) is not None
