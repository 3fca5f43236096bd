"""Reads a command's settings from YAML: every key must be a field, every value of the field's type.

Imports nothing heavy, so that `--help` is instant.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from desert_seg.errors import DataError
from desert_seg.yaml_file import read_yaml, shown

Config = TypeVar("Config")


def read_yaml_config(kind: type[Config], path: Path) -> Config:
    """Build a config dataclass from a YAML file; required fields that are not in it are left to the command line.

    Raises:
        DataError: The file cannot be read, a key is unknown (the nearest one is named), or a value has another type.
    """
    content = read_yaml(path)
    return _build(kind, {} if content is None else content, str(path), "")


def _build(kind: type[Config], content: Any, source: str, prefix: str) -> Config:
    if not isinstance(content, dict):
        raise DataError(
            f"{source}: found {shown(content)} for {prefix.rstrip('.') or 'the file'}, expected keys and values"
        )
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1, 0.4)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"it has: {', '.join(known)}"
            raise DataError(f"{source}: there is no setting {prefix}{key}; {hint}")
    values = {key: _convert(hints[key], value, source, f"{prefix}{key}") for key, value in content.items()}
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name not in values and item.default is MISSING and item.default_factory is MISSING:
            values[item.name] = tyro.MISSING
    return kind(**values)


def _convert(hint: Any, value: Any, source: str, name: str) -> Any:
    """The value as the type that the field declares."""
    origin, arguments = get_origin(hint), get_args(hint)
    wrong = DataError(f"{source}: found {shown(value)} for {name}, expected {_describe(hint)}")
    if is_dataclass(hint):
        return _build(hint, value, source, f"{name}.")  # type: ignore[arg-type]
    if origin in (Union, UnionType):
        kinds = [kind for kind in arguments if kind is not type(None)]
        return None if value is None else _convert(kinds[0], value, source, name)
    if origin is Literal:
        if value not in arguments:
            raise wrong
        return value
    if origin is tuple:
        if not isinstance(value, list) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise wrong
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        return tuple(_convert(kind, each, source, name) for kind, each in zip(kinds, value, strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise wrong
        return {str(key): _convert(arguments[1], each, source, f"{name}.{key}") for key, each in value.items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)  # YAML 1.1 reads 1e-3, without a dot, as a string
        except ValueError:
            raise wrong from None
        if not math.isfinite(number):
            raise wrong
        return number
    if hint is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not hint:
        raise wrong
    return value


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of: {', '.join(map(str, get_args(hint)))}"
    names = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false", Path: "a path"}
    return names.get(hint, "a list" if get_origin(hint) is tuple else str(hint))
