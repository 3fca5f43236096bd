"""The frames that a model learns a place from, kept in the run as a record, and what it must not forget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from desert_seg.console import Console
from desert_seg.dataset_folder import LAYOUTS
from desert_seg.errors import DataError
from desert_seg.images import write_image
from desert_seg.labels import LabelMap, load_label_map
from desert_seg_train.data.sources import Source
from desert_seg_train.predict.inputs import find_chunks
from desert_seg_train.written import files_under, refuse_foreign, remove_written

LESSONS = "learned_from"
"""Folder of the run that links to the labelled frames that were trained on."""

PLACE = "place"
"""Folder of the run with the unlabelled frames that were trained on."""

MAX_FRAMES = 60
"""Frames taken from recordings, evenly spread: more show little that is new in the minutes that adaptation takes."""

REPLAY = Path(__file__).parent / "replay"
"""Rendered frames that come with the package, as a labelled folder with the raw values of `falcon10`."""

REPLAY_LABEL_MAPS = ("falcon7", "falcon7_stones", "falcon10")
"""Label maps that name the raw values of those frames."""


def link_frames(source: Source, out: Path) -> None:
    """Link just these frames into a labelled folder of the run, as a record of what it was trained on.

    Raises:
        DataError: The folder exists and holds anything but the links of an interrupted run.
    """
    links = {name for name in files_under(out, [LESSONS]) if (out / name).is_symlink()}
    refuse_foreign(out, [LESSONS], links, "--out")
    remove_written(out, links)
    images, masks = (out / LESSONS / name for name in LAYOUTS[0])
    for folder in (images, masks):
        folder.mkdir(parents=True)
    for index in source.indices:
        image, mask = source.folder.pairs[index]
        (images / image.name).symlink_to(image.resolve())
        (masks / mask.name).symlink_to(mask.resolve())


def gather_frames(inputs: Sequence[str], topic: str, out: Path, console: Console) -> tuple[Path, ...]:
    """Write frames of recordings, evenly spread, into a folder of the run.

    Raises:
        DataError: There is no frame, one cannot be read, or the folder exists already.
    """
    folder = out / PLACE
    if folder.exists():
        raise DataError(f"{folder}: holds frames already; choose another --out")
    chunks = [chunk for text in inputs for chunk in find_chunks(text, topic)]
    num_frames = sum(map(len, chunks))
    wanted = set(np.linspace(0, num_frames - 1, min(MAX_FRAMES, num_frames)).round().astype(int).tolist())
    frames = (each for chunk in chunks for each in chunk.frames())
    written, failures = [], []
    for index, (name, read) in enumerate(console.track(frames, "reading the place", num_frames, transient=True)):
        if index not in wanted:
            continue
        path = folder / f"{index:06d}_{name}.png"
        try:
            write_image(path, read())
        except DataError as error:
            failures.append(str(error))
        else:
            written.append(path)
    if not written:
        raise DataError(f"none of {len(failures)} frames could be read; the first: {failures[0]}")
    if failures:
        console.print(f"warning: left out {len(failures)} of the frames, unreadable; the first: {failures[0]}")
    return tuple(written)


def shipped_replay(label_map: LabelMap, weight: float = 1.0) -> tuple[tuple[Path, str, float], ...]:
    """Rendered frames for a model to remember its classes by, as sources; none for a model of other classes."""
    names = [name for name in REPLAY_LABEL_MAPS if load_label_map(name).labels == label_map.labels]
    if not names:
        return ()
    return ((REPLAY, label_map.name if label_map.name in names else names[0], weight),)
