"""A fault in a dataset: the file, what is wrong with it, and the cure. Knows nothing of how faults are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """Something in a dataset that has to be fixed before training or evaluating with it.

    Attributes:
        kind: Kind of fault in a few words, the same for all faults of a kind.
        path: The file.
        found: What is wrong with it, without the name of the file.
        cure: What to do.
    """

    kind: str
    path: Path
    found: str
    cure: str

    @property
    def file(self) -> str:
        """The file's path inside its dataset, for example `Segmentation/cc0000016.png`."""
        return f"{self.path.parent.name}/{self.path.name}"

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"kind": self.kind, "file": self.file, "found": self.found, "cure": self.cure}


def by_kind(faults: tuple[Fault, ...]) -> dict[str, list[Fault]]:
    """Faults grouped by kind, in the order in which kinds first appear."""
    groups: dict[str, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.kind, []).append(fault)
    return groups
