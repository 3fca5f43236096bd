"""Where the package's installed data lies: shipped models, the sample drive, configuration."""

from __future__ import annotations

from pathlib import Path

from desert_seg.errors import ArtifactError, DataError


def share_directory() -> Path:
    """The package's share folder, found through the ament index.

    Raises:
        DataError: The package is not installed where the ament index looks.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory("desert_seg_ros"))
    except (PackageNotFoundError, LookupError, OSError) as error:
        raise DataError(
            "the package desert_seg_ros is not in the ament index; source the workspace it was installed into, "
            "or set AMENT_PREFIX_PATH to the virtual environment's folder"
        ) from error


def find_artifact(name_or_path: str) -> Path:
    """A model artifact by the name of a shipped model or by path.

    Raises:
        ArtifactError: There is neither a folder nor a shipped model of that name.
    """
    path = Path(name_or_path).expanduser()
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
