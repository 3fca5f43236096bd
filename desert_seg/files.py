"""Writing files: whole or not at all, and one sentence where the machine refuses. Knows nothing of what is in them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desert_seg.errors import OutputError

_CURES = {
    errno.ENOSPC: "make room on its disk, or choose a place on another one",
    errno.EDQUOT: "make room within your quota, or choose a place on another disk",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f), or choose another disk",
    errno.EROFS: "choose a place that is not read-only",
    errno.EACCES: "choose a place you may write to, or change its permissions",
    errno.EPERM: "choose a place you may write to, or change its permissions",
    errno.ENOTDIR: "choose a place below a folder, not below a file",
    errno.EEXIST: "move away the file that is where a folder belongs, or choose another place",
    errno.EISDIR: "move away the folder that is where a file belongs, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "nothing else may remove the folder meanwhile; try again",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENOMEM: "end other programs, or raise the limit on memory (ulimit -v)",
    errno.EIO: "check the disk",
}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, and the folders above it, so that it is there in full or not at all.

    Raises:
        OutputError: The machine refuses; an earlier file of that name is still there.
    """
    # Shorter than any name a file may have, which its own name with an ending need not be.
    partial = path.with_name(f".{abs(hash(path.name)):x}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text like `write_bytes`, as `to_utf8` makes it."""
    write_bytes(path, to_utf8(text))


def to_utf8(text: str) -> bytes:
    """Text as UTF-8; bytes of a file name that are no text are escaped, so that JSON gives the same name back."""
    return text.encode(errors="backslashreplace")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the machine says while `path` is written into a sentence.

    Raises:
        OutputError: The machine refused.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(refusal(path, error)) from error


def refusal(path: Path | str, error: OSError) -> str:
    """The sentence about a path that could not be written: what the machine said, and what helps."""
    cure = _CURES.get(error.errno or 0, "check the path and its disk")
    return f"{path}: cannot be written ({error.strerror or error}); {cure}"


def is_refusal(error: OSError) -> bool:
    """True if the machine refused, for a reason that a person can do something about."""
    return error.errno in _CURES and error.errno != errno.ENOENT


def check_output_folder(path: Path, option: str) -> None:
    """Refuse a folder that could not be written to, before hours of work; nothing is made.

    Args:
        path: The folder; it need not exist.
        option: What the person gave it with, such as `--out`.

    Raises:
        OutputError: It is a file, or below one, or may not be written to.
    """
    for place in (path.absolute(), *path.absolute().parents):
        if place.is_dir():
            if not os.access(place, os.W_OK | os.X_OK):
                raise OutputError(f"{path}: {place} may not be written to; choose another {option}")
            return
        if os.path.lexists(place):
            what = "is" if place == path.absolute() else f"{place} is"
            raise OutputError(f"{path}: {what} a file, expected a folder; choose another {option}")


def check_output_file(path: Path, option: str) -> None:
    """The same for a file.

    Raises:
        OutputError: It is a folder, or below a file, or may not be written.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, expected a file; add a file name to {option}")
    check_output_folder(path.parent, option)
