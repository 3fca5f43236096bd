"""The results of another model on the same frames, read back to compare with.

Only what a paired comparison needs is read. Knows nothing of how results are written.

Shape letters: N frames, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.json_file import parse_json
from desert_seg_train.evaluate.measuring import TestSet

FORMAT = "desert-seg results 1"
"""First key of the file; another number is another meaning of the keys."""


@dataclass(frozen=True)
class Earlier:
    """The headline pass of an earlier run.

    Attributes:
        path: The file it was read from.
        model: The model's name.
        digest: Of its artifact.
        setting: How the frames were segmented, for people.
        label_map: Name of the label map of its truth.
        classes: K names.
        names: N file stems.
        confusions: NxKx(K+1) int64.
    """

    path: Path
    model: str
    digest: str
    setting: str
    label_map: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    confusions: npt.NDArray[np.int64]


def read_earlier(path: Path) -> Earlier:
    """Read a results.json.

    Raises:
        DataError: There is no such file, or it is not the results of this version of the program.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give the results.json of an earlier benchmark"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{path}: is not valid JSON ({error}); give the results.json of an earlier benchmark"
        ) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise DataError(
            f"{path}: found format {found!r}, expected {FORMAT!r}; give a results.json that this version wrote"
        )
    try:
        return _earlier(path, content)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{path}: is incomplete ({error!r}); run that benchmark again") from error


def _earlier(path: Path, content: dict[str, Any]) -> Earlier:
    frames, classes = content["frames"], tuple(content["data"]["classes"])
    confusions = np.array([frame["confusion"] for frame in frames], np.int64)
    return Earlier(
        path=path,
        model=content["model"]["name"],
        digest=content["model"]["digest"],
        setting=content["passes"][0]["name"],
        label_map=content["data"]["label_map"],
        classes=classes,
        names=tuple(frame["name"] for frame in frames),
        confusions=confusions.reshape(len(frames), len(classes), len(classes) + 1),
    )


def check_same_truth(earlier: Earlier, test_set: TestSet) -> None:
    """Make sure that a comparison compares models and nothing else.

    Raises:
        DataError: Classes, frames or true masks are not the same.
    """
    path, labels = earlier.path, test_set.label_map.labels
    if earlier.classes != labels.names:
        raise DataError(
            f"{path}: has classes {', '.join(earlier.classes)}, expected {', '.join(labels.names)}; only models with "
            "the same classes can be compared"
        )
    names = tuple(image.stem for image, _ in test_set.folder.pairs)
    if earlier.names != names:
        missing, more = sorted(set(names) - set(earlier.names)), sorted(set(earlier.names) - set(names))
        which = f"without {missing[0]}" if missing else f"with {more[0]}" if more else "in another order"
        raise DataError(
            f"{path}: is of {len(earlier.names)} frames {which}, expected the {len(names)} frames of "
            f"{test_set.folder.root}; a paired comparison needs the same frames, run that benchmark on this folder"
        )
    differs = np.flatnonzero((earlier.confusions.sum(2) != test_set.truth).any(1))
    if len(differs):
        raise DataError(
            f"{path}: found another true mask for {len(differs)} of {len(names)} frames (first: {names[differs[0]]}; "
            f"label map {earlier.label_map} there, {test_set.label_map.name} here), expected the same truth; run that "
            "benchmark again with these masks and this label map"
        )
