"""Records the files that a command wrote, so that it never replaces or removes any other.

The record in a folder, not the folder's name, says what a command may replace. Knows nothing of what is in the files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from desert_seg.errors import DataError
from desert_seg.files import write_bytes
from desert_seg.json_file import parse_json

RECORD = ".written.json"
"""The record, in a folder without another file that lists its content."""


def read_record(root: Path) -> frozenset[str]:
    """Paths inside the folder that the record there lists; none if there is no record, or a damaged one."""
    try:
        found = parse_json((root / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str)) if isinstance(found, list) else frozenset()


def write_record(root: Path, written: Iterable[str]) -> None:
    """Record paths inside the folder as written."""
    write_bytes(root / RECORD, json.dumps(sorted(written), indent=0).encode() + b"\n")


def files_under(root: Path, entries: Iterable[str]) -> list[str]:
    """Relative paths of all files, links and empty folders in some entries of a folder; links are not followed."""
    found = []
    for entry in entries:
        path = root / entry
        if path.is_symlink() or not path.is_dir():
            found += [entry] if os.path.lexists(path) else []
            continue
        for folder, folders, files in os.walk(path):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            names = [*links, *files] if folders or files else [""]
            found += [Path(folder, name).relative_to(root).as_posix() for name in names]
    return found


def refuse_foreign(root: Path, entries: Collection[str], written: Collection[str], option: str) -> None:
    """Check that a command may write to some entries of a folder.

    Args:
        root: The folder.
        entries: Files and folders in it that the command writes to, or replaces.
        written: Paths inside the folder that the command wrote before.
        option: The option that chooses the folder, for the error.

    Raises:
        DataError: An entry leads out of the folder, or holds a file that the command did not write.
    """
    refuse_links(root, entries, option)
    foreign = [name for name in files_under(root, entries) if name not in written]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise DataError(
            f"{root}: found {foreign[0]}{more}, expected nothing there that this command has not written; move that "
            f"away, or choose another {option}"
        )


def refuse_links(root: Path, entries: Iterable[str], option: str) -> None:
    """Raise DataError if an entry of the folder is a link, which may lead out of it."""
    for entry in entries:
        if (root / entry).is_symlink():
            raise DataError(f"{root / entry}: is a link, expected a folder or a file; choose another {option}")


def remove_written(root: Path, written: Iterable[str]) -> None:
    """Remove recorded files from the folder, and folders in it that become empty."""
    for name in written:
        path, leads_out = root / name, Path(name).is_absolute() or ".." in Path(name).parts
        if leads_out or path == root or any(parent.is_symlink() for parent in _parents(path, root)):
            continue  # no command writes there, so the record is not a command's
        path.unlink(missing_ok=True)
        for parent in _parents(path, root):
            if not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()


def _parents(path: Path, root: Path) -> list[Path]:
    """The folders between a path and the root, innermost first."""
    return [parent for parent in path.parents if root in parent.parents]
