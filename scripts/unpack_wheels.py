"""Unpack the wheels of packages that this Python lacks: `python3 scripts/unpack_wheels.py WHEELS FOLDER`.

A package that is installed, in whatever version, stays the one in use. Needs nothing but the standard library, not even
pip, which some environments come without.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
import zipfile
from pathlib import Path


def main() -> None:
    """Empty the folder, fill it, and say what it holds."""
    if len(sys.argv) != 3:
        sys.exit(f"error: found {len(sys.argv) - 1} arguments, expected WHEELS and FOLDER; see the top of {__file__}")
    wheels, folder = map(Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    missing = [wheel for wheel in sorted(wheels.glob("*.whl")) if not is_installed(wheel)]
    for wheel in missing:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    print(f"not installed here, so taken from {wheels}: {', '.join(map(name_of, missing)) or 'nothing'}")


def name_of(wheel: Path) -> str:
    """The package's name, as its wheel spells it."""
    return wheel.name.split("-")[0]


def is_installed(wheel: Path) -> bool:
    """Whether this Python has the package of a wheel, in any version."""
    try:
        importlib.metadata.version(name_of(wheel))
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
