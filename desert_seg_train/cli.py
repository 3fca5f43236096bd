"""`desert-seg`: every offline command, found by its name.

`desert-seg NAME` runs the function `NAME` of `desert_seg_train.NAME.command` with the settings `NameConfig` of
`desert_seg_train.NAME.config`. Commands are imported when they run, so that `--help` is instant. Any other name is
looked for as a program `desert-seg-NAME`, as git does.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from difflib import get_close_matches
from functools import partial, reduce
from itertools import chain
from operator import or_
from pathlib import Path
from typing import Annotated, Any, NoReturn

from desert_seg.errors import DataError, DesertSegError
from desert_seg.files import check_output_file, check_output_folder
from desert_seg.program import Work, fail_at_command_line, run_program
from desert_seg.share import find_artifact

GROUPS = {
    "Make data": ("synth", "label", "read-labels", "inspect"),
    "Make a model": ("site", "train", "adapt", "calibrate", "export"),
    "Judge a model": ("info", "evaluate", "benchmark", "profile"),
    "Use a model": ("predict", "view", "consumers", "doctor"),
}
"""What the commands are for, in the order in which one gets to them."""

COMMANDS = tuple(chain.from_iterable(GROUPS.values()))

PROGRAMS = {
    "demo": "Run the node on a drive and show what it answers, as desert-seg-demo does.",
    "replay": "Publish a bag or a folder of images on live topics, as desert-seg-replay does.",
}
"""Programs of the robot's shell that are found by a short name, too."""

DESCRIPTION = "Make, judge and use models for off-road segmentation."

HINTS = """
`desert-seg COMMAND --help` explains a command. Every command also takes
--config FILE, its settings in YAML, which the options given beside it override.
`desert-seg-benchmark` measures the node on a bag; `desert-seg --version` says
what is installed. Bash completes commands and options (for zsh: `zsh`) after

  source <(desert-seg --tyro-print-completion bash)
"""


def main() -> None:
    """Run the command that the command line names; see `run_program` for how it ends."""
    run_program("desert-seg", prepare)


def prepare(arguments: Sequence[str]) -> Work:
    """Import a command and check its settings; returns what runs it.

    Raises:
        DesertSegError: The command cannot be run; see `parse`.
    """
    name = arguments[0] if arguments else ""
    if list(arguments) in ([], ["--help"], ["-h"]):
        return _print_overview
    program = Path(sys.argv[0]).with_name(f"desert-seg-{name}")
    if name not in COMMANDS and os.access(program, os.X_OK):
        os.execv(program, [str(program), *arguments[1:]])
    if name not in COMMANDS and not name.startswith("-"):
        _refuse_unknown(name)
    try:
        name, config = parse(list(arguments))
        _check_outputs(config)
        return partial(_run, name, _part(name, "command", name.replace("-", "_")), config)
    except ModuleNotFoundError as error:
        raise _missing_package(name, error) from error


def _print_overview() -> None:
    """Every command, by what it is for."""
    columns = textwrap.TextWrapper(
        shutil.get_terminal_size().columns, subsequent_indent=" " * 15, break_on_hyphens=False
    )
    lines = ["usage: desert-seg COMMAND [options]", "", DESCRIPTION]
    for group, names in GROUPS.items():
        about = {name: (config_of(name).__doc__ or "").splitlines()[0] for name in names}
        if group == "Use a model":
            about |= PROGRAMS
        lines += ["", group, *(columns.fill(f"  {name:13}{text}") for name, text in about.items())]
    sys.stdout.write("\n".join([*lines, HINTS]))


def _run(name: str, command: Any, config: Any) -> None:
    try:
        command(config)
    except ModuleNotFoundError as error:
        raise _missing_package(name, error) from error


def _missing_package(name: str, error: ModuleNotFoundError) -> Exception:
    if str(error.name).startswith("desert_seg"):
        return error
    return DesertSegError(
        f"desert-seg {name} needs the package {error.name}; install the extra: pip install '.[train]'"
    )


def _refuse_unknown(name: str) -> NoReturn:
    names = [*COMMANDS, *PROGRAMS]
    near = get_close_matches(name, names, 1)
    cure = f"write `desert-seg {near[0]}`" if near else "`desert-seg` alone says what each does"
    fail_at_command_line(f"found the command {name!r}, expected one of: {', '.join(names)}; {cure}")


def _check_outputs(config: Any) -> None:
    """Refuse what could not be written before anything is worked out."""
    for name in ("out", "output"):
        if (path := getattr(config, name, None)) is not None:
            check_output_folder(path, f"--{name}")
    for name in ("json", "save"):
        if isinstance(path := getattr(config, name, None), Path):
            check_output_file(path, f"--{name}")
    if (path := getattr(config, "bag", None)) is not None:
        check_output_folder(path.parent, "--bag")


def parse(arguments: list[str]) -> tuple[str, Any]:
    """The command's name and its settings, in which the name of a shipped model has become its folder.

    Args:
        arguments: The command line, without the program's name.

    Raises:
        ArtifactError: There is no such model.
        DataError: The YAML file is invalid.
        SystemExit: The command line is invalid, or help was requested; the message has been printed.
    """
    import tyro

    from desert_seg_train.yaml_config import read_yaml_config

    rest, path = _take_config_option(arguments)
    kinds = {name: config_of(name) for name in COMMANDS}
    defaults: dict[str, Any] = {}
    if path is not None and rest and rest[0] in COMMANDS:
        defaults[rest[0]] = read_yaml_config(kinds[rest[0]], path)
    subcommands: list[Any] = []
    for name, kind in kinds.items():
        default = {"default": defaults[name]} if name in defaults else {}
        subcommands.append(Annotated[kind, tyro.conf.subcommand(name, prefix_name=False, **default)])
    with _whole_words():
        config: Any = tyro.cli(reduce(or_, subcommands), args=rest, prog="desert-seg", description=DESCRIPTION)
    if isinstance(getattr(config, "model", None), Path):
        config = replace(config, model=find_artifact(str(config.model)))
    return next((name, config) for name, kind in kinds.items() if isinstance(config, kind))


@contextmanager
def _whole_words() -> Iterator[None]:
    """On a terminal, break help between words: tyro does so in its boxes, and not in the lines above them."""
    if not sys.stdout.isatty():
        yield
        return
    shown = _Terminal()
    try:
        with redirect_stdout(shown):
            yield
    finally:
        shown.seek(0)
        if text := shown.read():
            from rich.text import Text

            from desert_seg.console import Console

            Console().print(Text.from_ansi(text))


class _Terminal(io.TextIOWrapper):
    """Keeps what is printed, and looks like the terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding=sys.stdout.encoding, errors=sys.stdout.errors, write_through=True)

    def isatty(self) -> bool:
        return True


def config_of(name: str) -> type:
    """The dataclass of a command's settings: `ReadLabelsConfig` for `read-labels`."""
    found: type = _part(name, "config", name.title().replace("-", "") + "Config")
    return found


def _part(name: str, module: str, attribute: str) -> Any:
    return getattr(importlib.import_module(f"desert_seg_train.{name.replace('-', '_')}.{module}"), attribute)


def _take_config_option(arguments: list[str]) -> tuple[list[str], Path | None]:
    """The arguments without `--config FILE`, and that file."""
    for place, argument in enumerate(arguments):
        if argument == "--config":
            if place + 1 == len(arguments):
                raise DataError("found --config without a file, expected a YAML file after it; add its path")
            return arguments[:place] + arguments[place + 2 :], Path(arguments[place + 1])
        if argument.startswith("--config="):
            return arguments[:place] + arguments[place + 1 :], Path(argument.removeprefix("--config="))
    return arguments, None


if __name__ == "__main__":
    main()
