"""The engines and precisions to try on this machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from desert_seg.engines.engine import ENGINES, PRECISIONS, is_installed
from desert_seg.errors import DesertSegError


@dataclass(frozen=True)
class Runner:
    """An engine at a precision, both by the names of `desert_seg.engines.engine`."""

    engine: str
    precision: str

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.engine} {self.precision}"


def runners(engines: Collection[str] = ()) -> Iterator[Runner]:
    """Every pair to try; whether this machine and an artifact support it shows when it is loaded.

    Args:
        engines: Names; empty for all that are installed.

    Raises:
        DesertSegError: A name is not an engine's.
    """
    known = [name for name in ENGINES if name != "auto"]
    if strange := [name for name in engines if name not in known]:
        raise DesertSegError(f"there is no engine {strange[0]!r}; choose of: {', '.join(known)}")
    for engine in known:
        if engine in engines or (not engines and is_installed(engine)):
            for precision in PRECISIONS:
                if precision != "auto":
                    yield Runner(engine, precision)
