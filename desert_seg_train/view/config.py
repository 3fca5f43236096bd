"""Settings of `desert-seg view`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class ViewConfig:
    """Look at a recording and at what a model makes of it, in the Rerun viewer; or save that for later.

    Attributes:
        input: A bag, a folder of images, or a dataset folder, whose masks are the truth; or what --save wrote.
        model: Model artifact: a folder, or the name of a shipped model.
        save: Write this .rrd file instead of opening a window; `desert-seg view FILE.rrd` opens it, on any machine.
        topic: Image topic of a bag, needed if it has several.
        hz: Frames per second of a folder of images.
        limit: Show at most this many frames.
        label_map: Label map of the truth, by name or path; default: the model's own.
    """

    input: Positional[Path]
    model: Path = Path("light")
    save: Path | None = None
    topic: str = ""
    hz: float = 10.0
    limit: int | None = None
    label_map: str = ""
