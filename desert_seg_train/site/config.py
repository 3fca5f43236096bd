"""Settings of `desert-seg site`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class SiteConfig:
    """Teach a model a new place, from its recording to a model in the node; the same command again goes on.

    Attributes:
        inputs: Bags or folders of images of the place.
        model: Model artifact to begin with: a folder, or the name of a shipped model.
        out: Folder for everything: label/ to correct, model/ for the node, index.html to look at, runs/ for the record.
        count: Frames to choose for labelling.
        budget: Time for all trainings together, like 10min, 90s or 1h.
        labels: ask: choose frames and have them corrected in labelme; none: learn from the recording alone.
        topic: Image topic of the bags, needed if one has several.
        replay: Labelled folders that the model must not forget, each as FOLDER LABEL_MAP WEIGHT; default: rendered
            frames that come with the package, where they have the model's classes.
        node: Name of a running node that is given the model, like /segment; default: none.
    """

    inputs: Positional[tuple[str, ...]]
    model: Path = Path("light")
    out: Path = Path("out/site")
    count: int = 8
    budget: str = "10min"
    labels: Literal["ask", "none"] = "ask"
    topic: str = ""
    replay: tuple[tuple[Path, str, float], ...] = ()
    node: str = ""
