"""Folders that are written completely or not at all, and bounded reading of files. Knows nothing of models."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from desert_seg.errors import ArtifactError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""From Linux's `fcntl.h` and `fs.h`."""

_CHUNK_BYTES = 2**20
_PARTIAL, _OLD = ".partial", ".old"


@contextmanager
def open_file(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Open a file for reading, unless it is too large, or a pipe, device or folder, which might never end.

    Raises:
        ArtifactError: It is one of these, or cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ArtifactError(f"{path}: is no regular file, as all files of an artifact are; copy it again")
            if status.st_size > max_bytes:
                raise ArtifactError(
                    f"{path}: has {status.st_size} bytes, expected at most {max_bytes}; copy the artifact again"
                )
            yield file
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); copy the artifact again") from error


def sha256_of(path: Path, max_bytes: int) -> str:
    """64 hex digits, without holding the file in memory; errors are those of `open_file`."""
    digest = hashlib.sha256()
    with open_file(path, max_bytes) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files; see `new_folder`."""
    with new_folder(path) as new:
        new.mkdir()
        for name, data in files.items():
            (new / name).write_bytes(data)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Write a folder within a `with` block, at the end of which it replaces an older one in one step.

    One or the other is always there, but where the file system cannot exchange two folders (NFS, for one) there is none
    at `path` for a moment. If the block raises, the older one stays. Leftovers of killed writers are removed.

    Yields:
        Where to make the folder: under its own name, in a hidden folder beside `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(path)
    hidden = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    hidden.mkdir()
    descriptor = os.open(hidden, os.O_RDONLY)
    try:
        _lock(descriptor)
        new = hidden / path.name
        yield new
        if path.exists():
            _exchange(new, path)
        else:
            new.rename(path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(descriptor)


def _exchange(new: Path, path: Path) -> None:
    """Swap two folders, of which the first is in a hidden one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        names = os.fsencode(new), os.fsencode(path)
        if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):  # anything but a kernel or a file system without it
            raise OSError(code, os.strerror(code), str(path))
    old = new.parent.with_suffix(_OLD)
    path.rename(old)
    new.rename(path)
    old.rename(new)


def _lock(folder: int) -> bool:
    """Lock a folder that is being written, so that others leave it alone; the lock ends with the process.

    Returns:
        Whether the lock was taken: never on a file system without locks, where leftovers therefore stay.
    """
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _clear_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` left, or put back what they had moved away."""
    for leftover in sorted(path.parent.glob(f".{glob.escape(path.name)}.*")):
        if leftover.suffix not in (_PARTIAL, _OLD) or not leftover.is_dir():
            continue
        descriptor = os.open(leftover, os.O_RDONLY)
        try:
            if not _lock(descriptor):
                continue
            if leftover.suffix == _OLD and not path.exists():
                leftover.rename(path)
            else:
                shutil.rmtree(leftover, ignore_errors=True)
        finally:
            os.close(descriptor)
