"""Where the package's installed data lies: shipped models, the sample drive, configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from desert_seg.errors import ArtifactError, DataError

PACKAGE = "desert_seg_ros"


def share_directory() -> Path:
    """The package's share folder: that of the first prefix of the ament index that has it, else this environment's.

    Raises:
        DataError: The package is not installed where either would have it.
    """
    prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    for prefix in map(Path, (*prefixes, sys.prefix)):
        # The files of the ament resource index, which are named by package.
        if (prefix / "share" / "ament_index" / "resource_index" / "packages" / PACKAGE).is_file():
            return prefix / "share" / PACKAGE
    raise DataError(
        f"the package desert_seg_ros is not in the ament index, nor in {sys.prefix}; source the workspace it was "
        "installed into, or set AMENT_PREFIX_PATH to the virtual environment's folder"
    )


def find_artifact(name_or_path: str) -> Path:
    """A model artifact by the name of a shipped model or by path.

    Raises:
        ArtifactError: There is neither a folder nor a shipped model of that name, or the path names the home folder of
            an unknown user.
    """
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError as error:
        raise ArtifactError(
            f"the home folder in {name_or_path!r} is that of a user who does not exist; give the folder in full"
        ) from error
    if path.is_dir():
        return path
    if "/" in name_or_path:
        raise ArtifactError(f"there is no model artifact {name_or_path!r}; give a folder that holds artifact.json")
    models = share_directory() / "models"
    if (models / name_or_path).is_dir():
        return models / name_or_path
    shipped = ", ".join(sorted(entry.name for entry in models.glob("*") if entry.is_dir())) or "none"
    raise ArtifactError(
        f"there is no shipped model {name_or_path!r}; give the folder of an artifact, or one of: {shipped}"
    )


def artifact_name(path: Path) -> str:
    """What a person types to have this artifact: a shipped model's name, any other's path."""
    return path.name if is_shipped(path) and not Path(path.name).is_dir() else str(path)


def is_shipped(path: Path) -> bool:
    """True for a model that was installed with the package; commands read it but do not change it."""
    try:
        return path.parent == share_directory() / "models"
    except DataError:
        return False
