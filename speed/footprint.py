"""The size of what a robot has to install: the runtime's packages as installed on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from speed import names
from speed.figures import Figure

PACKAGE = "desert_seg_ros"
EXTRAS = ("runtime", "ros")


def figures_of(package: str = PACKAGE, extras: tuple[str, ...] = EXTRAS) -> Iterator[Figure]:
    """Figures for the table; none if the package is not installed.

    Args:
        package: A distribution.
        extras: Its extras; requirements that are not installed, such as ROS wheels on a machine with ROS, are left out.
    """
    found = distributions(package, extras)
    if found:
        size = sum(map(size_of, found.values())) * 1e-6
        yield Figure(names.INSTALL, names.RUNTIME, (size,), "MB", once=True)


def distributions(package: str, extras: tuple[str, ...] = ()) -> dict[str, metadata.Distribution]:
    """An installed package with all it needs, by name; empty if it is not installed."""
    found: dict[str, metadata.Distribution] = {}
    wanted, seen = [(package, extras)], set()
    while wanted:
        name, asked_for = wanted.pop()
        if (name, asked_for) in seen:
            continue
        seen.add((name, asked_for))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[distribution.name] = distribution
        for line in distribution.requires or ():
            needed = Requirement(line)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *asked_for)):
                wanted.append((needed.name, tuple(sorted(needed.extras))))
    return found


def size_of(distribution: metadata.Distribution) -> int:
    """Bytes of a distribution's files, without compiled bytecode."""
    paths = (Path(str(each.locate())) for each in distribution.files or () if each.suffix != ".pyc")
    return sum(path.stat().st_size for path in paths if path.is_file())
