"""What an adaptation was found to have gained, kept beside its artifact for whoever shows it later.

Knows nothing of how it was found: see `judging` for labelled frames and `place` for a place without labels.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from desert_seg.errors import DataError
from desert_seg.files import write_text
from desert_seg.json_file import parse_json

FILE = "judgement.json"


@dataclass(frozen=True)
class Gain:
    """The mIoU on labelled frames, before and after.

    Attributes:
        name: What was judged on.
        num_frames: How many frames that was.
        before: None if the model had other classes.
        after: 0..1.
        change: The change in words, with its interval or why there is none.
    """

    name: str
    num_frames: int
    before: float | None
    after: float
    change: str


@dataclass(frozen=True)
class PlaceChange:
    """How a model sees unlabelled frames of a place, each before and after.

    Attributes:
        agreement: Share of the pixels that have the same class in the frame and in its mirror image.
        entropy: Mean entropy of the class probabilities, 0..1.
        unchanged: Share of the pixels that have the same class as before.
        shares: Share of the pixels of each class, by its name.
    """

    agreement: tuple[float, float]
    entropy: tuple[float, float]
    unchanged: float
    shares: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Judgement:
    """Everything that can be said.

    Attributes:
        learned_from: The frames that were learned from, in words.
        gains: On labelled frames; empty if there were none.
        doubts: What is doubtful about the gains, in sentences.
        place: None if there were no frames without labels.
    """

    learned_from: str
    gains: tuple[Gain, ...]
    doubts: tuple[str, ...]
    place: PlaceChange | None


def write_judgement(folder: Path, judgement: Judgement) -> None:
    """Write it into the folder of an adaptation."""
    write_text(folder / FILE, json.dumps(asdict(judgement), indent=2, ensure_ascii=False) + "\n")


def read_judgement(folder: Path) -> Judgement:
    """Read what `write_judgement` wrote; raises DataError if it is missing or damaged."""
    try:
        content = parse_json((folder / FILE).read_text(encoding="utf-8"))
        gains = tuple(Gain(**gain) for gain in content["gains"])
        place = PlaceChange(**content["place"]) if content["place"] else None
        return Judgement(content["learned_from"], gains, tuple(content["doubts"]), place)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder / FILE}: is no judgement of an adaptation ({' '.join(str(error).split())}); move {folder} away "
            "and adapt again"
        ) from error
