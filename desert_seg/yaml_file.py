"""YAML files, read within bounds: anything but plain data of a reasonable size is refused.

PyYAML's safe loader creates no objects but sets no bounds: a few lines of aliases expand to billions of values, a
thousand brackets end in a traceback, and a key given twice silently loses its first value. It also reads YAML 1.1, in
which 0254 is 172, 1:30 is 90 and a class named `no` is false: here these are text, as are dates. Knows nothing of what
the files mean.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import yaml

from desert_seg.errors import DataError

MAX_BYTES = 256 * 1024
"""Size of a file, and of its text with aliases expanded. Ours have 4 KB at most."""

MAX_VALUES = 20_000
"""Keys and values of a file, including lists and mappings, with aliases expanded."""

MAX_DEPTH = 50
"""Nesting of lists and mappings."""

MAX_NUMBER_LENGTH = 100
"""Characters of anything but text: parsing a very long number takes very long."""

_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"

# Each a part of what PyYAML takes for one, so that text which its writer leaves without quotes is read as text.
_PLAIN = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+)", list("-+0123456789")),
    (
        "float",
        r"([-+]?[0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
)


def read_yaml(path: Path) -> Any:
    """Read a YAML file as mappings, lists and scalars; None if it is empty.

    Numbers may be infinite or NaN; callers that need finite ones must check.

    Raises:
        DataError: The file cannot be read, is no regular file, is larger than `MAX_BYTES`, is not UTF-8 or not YAML,
            names a key twice, refers to itself, or exceeds one of the other bounds.
    """
    try:
        return yaml.load(_read_text(path), Loader=_BoundedLoader)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise DataError(f"{path}: not readable as YAML ({line}{_shortened(error.problem)}); fix the file") from error
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, ValueError) as error:
        # PyYAML's own, for a character that may not be; the others it lets through for a value that looks like a
        # number or date, or is tagged as one, and is none.
        raise DataError(f"{path}: not readable as YAML ({_shortened(error)}); fix the file") from error


def find_yaml(name_or_path: str | Path, shipped: Path, kind: str) -> Path:
    """Path of a shipped file by its name; what ends in .yaml or .yml is a path already.

    Args:
        name_or_path: What a person gave.
        shipped: Folder of the files that come with the package.
        kind: What to call such a file in an error, for example `label map`.

    Raises:
        DataError: There is no shipped file of this name.
    """
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        return Path(name_or_path)
    names = shipped_names(shipped)
    if str(name_or_path) not in names and Path(name_or_path).is_file():
        raise DataError(
            f"{name_or_path}: does not end in .yaml, expected a {kind}, which is a YAML file; write what it says as one"
        )
    if str(name_or_path) not in names:
        raise DataError(
            f"there is no {kind} {str(name_or_path)!r}; give the path of a YAML file or one of: {', '.join(names)}"
        )
    return shipped / f"{name_or_path}.yaml"


def shipped_names(shipped: Path) -> list[str]:
    """Names of the YAML files in a folder, sorted."""
    return sorted(path.stem for path in shipped.glob("*.yaml"))


def shown(value: object) -> str:
    """A value as Python writes it, shortened for an error message."""
    return _shortened(repr(value))


def _shortened(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 120 else f"{line[:117]}..."


def _read_text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise DataError(f"found {kind}, expected a YAML file; give the path of one")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); check the path") from error
    if len(content) > MAX_BYTES:
        size = max(status.st_size, len(content))
        raise DataError(f"found {size} bytes, expected at most {MAX_BYTES} of YAML; give another file, or shorten it")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"found a byte that is not UTF-8 at {error.start}; save the file as UTF-8") from error


class _BoundedLoader(yaml.SafeLoader):
    """PyYAML's safe loader with bounds, and `_PLAIN` scalars; raises DataError without the file's name."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._num_values, self._num_characters, self._depth = 0, 0, 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Check the bounds while parsing, before aliases are expanded."""
        self._num_values, self._depth = self._num_values + 1, self._depth + 1
        _require_bounds(self._num_values, self._depth)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_document(self, node: yaml.Node) -> Any:
        """Check the bounds with aliases expanded, before any object is made."""
        self._num_values = 0
        self._check(node, ())
        return super().construct_document(node)

    def _check(self, node: yaml.Node, parents: tuple[yaml.Node, ...]) -> None:
        line = node.start_mark.line + 1
        if any(node is parent for parent in parents):
            raise DataError(f"what begins in line {line} contains itself through an alias; write out what is meant")
        self._num_values += 1
        _require_bounds(self._num_values, len(parents) + 1)
        if isinstance(node, yaml.MappingNode):
            for pair in node.value:
                for part in pair:
                    self._check(part, (*parents, node))
            self._check_keys(node)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._check(item, (*parents, node))
        else:
            self._check_scalar(node, line)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise DataError(f"found a list or mapping as a key in line {line}, expected text or a number; fix it")
            key = "<<" if key_node.tag == _MERGE else self.construct_object(key_node, deep=True)
            if key in keys:
                raise DataError(f"found {shown(key)} again in line {line}, expected each key once; remove one of them")
            keys.add(key)

    def _check_scalar(self, node: yaml.Node, line: int) -> None:
        self._num_characters += len(node.value)
        if self._num_characters > MAX_BYTES:
            raise DataError(f"found more than {MAX_BYTES} characters, aliases written out, expected fewer; shorten it")
        if node.tag != _TEXT and len(node.value) > MAX_NUMBER_LENGTH:
            raise DataError(
                f"found a number of {len(node.value)} characters in line {line}, expected at most {MAX_NUMBER_LENGTH}; "
                "put quotes around it if it is text"
            )


_BoundedLoader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _PLAIN:
    _BoundedLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)


def _require_bounds(num_values: int, depth: int) -> None:
    if num_values > MAX_VALUES:
        raise DataError(f"found more than {MAX_VALUES} values, aliases written out, expected fewer; shorten it")
    if depth > MAX_DEPTH:
        raise DataError(f"found values nested more than {MAX_DEPTH} deep, expected fewer levels; make it flatter")
