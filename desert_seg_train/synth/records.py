"""Frozen dataclasses <-> plain data as in YAML and JSON; unknown or missing keys are refused by name.

Fields may be numbers, strings, Literals, tuples, dataclasses, or a union of dataclasses, which a `kind` key with the
snake-case name of the class distinguishes. Knows nothing of what the records mean.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from desert_seg.errors import DataError
from desert_seg.yaml_file import shown

T = TypeVar("T")


def to_data(value: Any) -> Any:
    """A record as mappings, lists and scalars; `from_data` is its inverse."""
    if isinstance(value, tuple):
        return [to_data(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    hints = get_type_hints(type(value))
    data = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if isinstance(item, tuple) or not dataclasses.is_dataclass(item):
            data[field.name] = to_data(item)
        else:
            kind = {"kind": kind_of(type(item))} if isinstance(hints[field.name], types.UnionType) else {}
            data[field.name] = kind | to_data(item)
    return data


def from_data(cls: type[T], data: Any, where: str) -> T:
    """Build a record.

    Args:
        cls: A dataclass.
        data: A mapping of its fields; those with a default may be left out.
        where: What to call it in an error, for example `world.yaml: ground`.

    Raises:
        DataError: A key is unknown or missing, or a value is of another type.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"{where}: found {shown(data)}, expected a mapping of {_listed(cls)}")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise DataError(f"{where}: there is no key {shown(key)}; {_nearest(str(key), list(fields))}")
    for name, field in fields.items():
        if name not in data and field.default is dataclasses.MISSING:
            raise DataError(f"{where}: {name} is missing; a {kind_of(cls)} has the keys {_listed(cls)}")
    try:
        return cls(**{key: _value(hints[key], value, f"{where}.{key}") for key, value in data.items()})
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def kind_of(cls: type) -> str:
    """Name of a dataclass in data: `BroadTree` is `broad_tree`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def _value(hint: Any, data: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        return _of_union(get_args(hint), data, where)
    if dataclasses.is_dataclass(hint):
        return from_data(hint, data, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _of_tuple(get_args(hint), data, where)
    if get_origin(hint) is Literal:
        if data not in get_args(hint):
            raise DataError(f"{where}: found {shown(data)}; {_nearest(str(data), list(get_args(hint)))}")
        return data
    number = isinstance(data, int | float) and not isinstance(data, bool) and math.isfinite(data)
    if hint is float and number:
        return float(data)
    if type(data) is hint:
        return data
    raise DataError(f"{where}: found {shown(data)}, expected {_TYPE_NAMES[hint]}")


def _of_union(members: tuple[type, ...], data: Any, where: str) -> Any:
    kinds = {kind_of(member): member for member in members}
    if not isinstance(data, Mapping) or "kind" not in data:
        raise DataError(f"{where}: found no kind; expected kind: one of {', '.join(kinds)}")
    kind = data["kind"]
    if kind not in list(kinds):
        raise DataError(f"{where}: there is no kind {shown(kind)}; {_nearest(str(kind), list(kinds))}")
    return from_data(kinds[kind], {key: value for key, value in data.items() if key != "kind"}, where)


def _of_tuple(members: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    open_ended = members[-1] is Ellipsis
    if not isinstance(data, list) or (not open_ended and len(data) != len(members)):
        raise DataError(
            f"{where}: found {shown(data)}, expected a list" + ("" if open_ended else f" of {len(members)}")
        )
    hints = [members[0]] * len(data) if open_ended else members
    return tuple(_value(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(zip(hints, data, strict=True)))


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, 1, 0.5)
    return (f"did you mean {close[0]}? " if close else "") + f"there are: {', '.join(names)}"


def _listed(cls: Any) -> str:
    return ", ".join(field.name for field in dataclasses.fields(cls))


_TYPE_NAMES = {float: "a finite number", int: "a whole number", str: "text", bool: "true or false"}
