"""Tables of the options of a command line: of a dataclass that tyro reads, or of an argparse parser."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import tyro

Row = tuple[str, str, str]
"""An option, its default, and what it means."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def attributes(kind: type[Any]) -> dict[str, str]:
    """What the docstring of a class says of each of its attributes, in one line each."""
    section = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def summary(kind: Any) -> str:
    """The first sentence of a docstring, in one line."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def dataclass_options(kind: type[Any], prefix: str = "") -> Iterator[Row]:
    """The options of a dataclass of settings, those of a dataclass inside it with its name in front."""
    meanings, hints = attributes(kind), get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        hint = hints[item.name]
        markers = getattr(hint, "__metadata__", ())
        if tyro.conf.Suppress in markers:
            continue
        if is_dataclass(hint) and isinstance(hint, type):
            yield from dataclass_options(hint, f"{prefix}{item.name}.")
            continue
        name = (prefix + item.name).replace("_", "-")
        shown = item.name.upper() if tyro.conf.Positional in markers else f"--{name}"
        yield f"`{shown}`", _default(item), meanings[item.name] + _choices(hint)


def _default(item: Field[Any]) -> str:
    value = item.default_factory() if item.default_factory is not MISSING else item.default
    return "required" if value is MISSING else _shown(value)


def _choices(hint: Any) -> str:
    found: list[str] = []
    for each in (hint, *get_args(hint)):
        if get_origin(each) is Literal:
            found = [str(choice) for choice in get_args(each)]
    return f" One of {', '.join(f'`{choice}`' for choice in found)}." if found else ""


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        value = " ".join(str(each) for each in value)
    is_off = value is None or value is False or value in ("", {}, argparse.SUPPRESS)
    return "" if is_off else f"`{value}`"


def parser_options(parser: argparse.ArgumentParser) -> Iterator[Row]:
    """The options of an argparse parser."""
    for action in parser._actions:
        if action.dest == "help":
            continue
        name = ", ".join(action.option_strings) or action.dest.upper()
        meaning, _, said = (action.help or "").removesuffix(")").partition(" (default: ")
        default = _shown(action.default) if said in ("", "%(default)s") else said
        if action.choices:
            meaning += f"; one of {', '.join(f'`{choice}`' for choice in action.choices)}"
        yield f"`{name}`", "required" if action.required else default, meaning
