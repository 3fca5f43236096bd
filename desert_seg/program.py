"""A command-line program from its first moment to its exit code; all of ours run in this.

An expected failure ends with one sentence and exit code 1. Ctrl-C and SIGTERM end with 130 and 143 and no traceback at
any moment: while a program is still importing at once, later as a KeyboardInterrupt, so that what is half-written is
removed. Whatever the terminal's encoding, everything can be printed. Imports nothing that takes time.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

from desert_seg.errors import DesertSegError, is_out_of_memory

PACKAGE = "desert_seg_ros"
"""What the one distribution of all our packages is called."""

_OUT_OF_MEMORY = (
    "there is not enough memory; end other programs, raise the limit of this one (ulimit -v), or use smaller images or "
    "batches, fewer processes or a smaller model"
)

_STAND_INS = {"■": "#", "█": "#", "…": "~", "·": "-"}
"""For what a terminal of another encoding does not have; each as wide as what it stands for."""

Work = Callable[[], object]


def run_program(name: str, prepare: Callable[[Sequence[str]], Work], arguments: Sequence[str] | None = None) -> None:
    """Run a program to its end; until then, and after it, this decides what Ctrl-C and SIGTERM do to the process.

    Args:
        name: As it is typed, for `--version`.
        prepare: Takes the arguments, imports what is needed, and returns what is to be done.
        arguments: Without the program's name; None = those of this process.

    Raises:
        SystemExit: Unless everything was done.
    """
    told_to_stop: list[int] = []
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a fork that reads data, which has nothing to clean up
            os._exit(128 + number)
        told_to_stop.append(number)
        raise KeyboardInterrupt

    def stop_again(dropped: Any) -> None:
        if dropped.exc_type is KeyboardInterrupt:  # it came in a destructor, where Python only prints it
            signal.raise_signal(told_to_stop[-1] if told_to_stop else signal.SIGINT)
        else:
            sys.__unraisablehook__(dropped)

    _on_stop(_leave)
    _make_everything_printable()
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if list(given[:1]) == ["--version"]:
            sys.stdout.write(f"{name} {installed_version()}\n")
        else:
            work = prepare(given)
            sys.unraisablehook = stop_again
            _on_stop(stop)
            work()
        sys.stdout.flush()
    except BaseException as error:
        if told_to_stop:  # a library may have turned the interruption into something else
            sys.exit(128 + told_to_stop[0])
        _end(error)
        raise
    finally:
        _on_stop(_leave)  # what is still running would be interrupted with a traceback


def fail(sentence: str) -> NoReturn:
    """Exit with 1 and a sentence, which a terminal shows in whole words."""
    sys.exit(_as_shown(f"error: {sentence}"))


def fail_at_command_line(sentence: str) -> NoReturn:
    """Exit with 2 and a sentence, as parsers of command lines do."""
    sys.stderr.write(_as_shown(f"error: {sentence}") + "\n")
    sys.exit(2)


def _as_shown(text: str) -> str:
    if not sys.stderr.isatty():
        return text
    import shutil

    from desert_seg.wrapping import wrapped

    return wrapped(text, shutil.get_terminal_size().columns)


def _end(error: BaseException) -> None:
    """Exit with a sentence if there is one for the error."""
    if isinstance(error, KeyboardInterrupt):
        sys.exit(130)
    if isinstance(error, BrokenPipeError):  # the reader of our output, `head` for one, has seen enough
        _discard_output()
        sys.exit(1)
    if is_out_of_memory(error) and not (isinstance(error, DesertSegError) and "memory" in str(error)):
        fail(_OUT_OF_MEMORY)
    if isinstance(error, DesertSegError):
        fail(str(error))
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        found = ascii(error.object[max(0, error.start - 40) : error.end + 40])
        fail(f"found the name {found}, expected valid UTF-8; rename the file or folder")
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        fail("there is no folder for temporary files; set TMPDIR to one that has room and may be written to")
    if isinstance(error, OSError):
        from desert_seg.files import is_refusal, refusal

        if is_refusal(error):
            _discard_output()
            fail(refusal(error.filename or "a result, the output or a temporary file", error))


def _on_stop(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _discard_output() -> None:
    """What is left to print cannot be, and Python would complain of it at the end."""
    with contextlib.suppress(OSError):  # it may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_everything_printable() -> None:
    codecs.register_error("desert_seg.stand_in", _stand_in)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - pathlib takes time; for good
        else:
            stream.reconfigure(errors="desert_seg.stand_in")


def _stand_in(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    found = error.object[error.start : error.end]
    return "".join(_STAND_INS.get(each) or ascii(each)[1:-1] for each in found), error.end


def installed_version() -> str:
    """Of all our packages; raises DesertSegError if they are not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        raise DesertSegError(
            f"the package {PACKAGE} is not installed, so there is no version to tell; install it with pip or colcon"
        ) from error
