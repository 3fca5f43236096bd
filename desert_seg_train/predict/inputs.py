"""The inputs of a prediction: image files or frames of a bag, in chunks that any worker can do.

Listing does not decode. Every frame has a unique name, from which its output files are named.

Shape letters: H, W.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.absent import cure_of_absent
from desert_seg.dataset_folder import image_and_mask_folders
from desert_seg.errors import DataError
from desert_seg.file_kind import kind_of
from desert_seg.image_folder import is_image_name, list_images, natural_order
from desert_seg.images import read_image
from desert_seg.pairing import masks_among
from desert_seg.recordings.drive import Drive
from desert_seg_train.predict.bag_frames import bag_frames, is_bag, open_bag, refuse_folder_of_bags

_log = logging.getLogger(__name__)

FILES_PER_CHUNK = 8
BAG_FRAMES_PER_CHUNK = 64
"""Least frames per chunk of a bag that is divided among workers; more, because each reads all that is before them."""

MAX_CHUNKS_PER_BAG = 100
"""For the same reason: of a bag in n chunks, (n + 1) / 2 times its size is read."""

Read = Callable[[], npt.NDArray[np.uint8]]
"""Decodes a frame: HxWx3 uint8 RGB."""


@dataclass(frozen=True)
class FileChunk:
    """Some image files, each with the frame's name."""

    files: tuple[tuple[str, Path], ...]

    def __len__(self) -> int:
        return len(self.files)

    def frames(self) -> Iterator[tuple[str, Read]]:
        """Name and decoder of every frame; a decoder raises DataError for an unreadable file."""
        for name, path in self.files:
            yield name, partial(read_image, path)

    def places(self) -> list[str]:
        """What to call the frames when they cannot be read."""
        return [name for name, _ in self.files]

    def sources(self) -> dict[str, str]:
        """The file of every frame, and in which state it is, by the frame's name."""
        return {name: f"{path} {_state(path)}" for name, path in self.files}


@dataclass(frozen=True)
class BagChunk:
    """`length` frames of a bag from the `first` on, None for all; their names are their stamps in nanoseconds.

    Without a length, their number follows from `declared`, which is what the whole bag claims. `drive` is the bag as
    opened on this machine, so that it is unpacked only once; None = open it where the frames are read.
    """

    path: Path
    topic: str
    declared: int
    first: int = 0
    length: int | None = None
    drive: Drive | None = None

    def __len__(self) -> int:
        return min(max(0, self.declared - self.first if self.length is None else self.length), sys.maxsize)

    def frames(self) -> Iterator[tuple[str, Read]]:
        """Name and decoder of every frame; a decoder raises FrameError for a broken image, DataError for a message."""
        return bag_frames(self.drive or open_bag(self.path, self.topic), self.first, self.length)

    def places(self) -> list[str]:
        """What to call the frames when they cannot be read: their names are not known."""
        return [f"message_{index}" for index in range(self.first, self.first + len(self))]

    def state(self) -> str:
        """Another text when any file of the bag is another one, is changed, or comes or goes."""
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        kept = [file for file in files if not file.name.endswith("-shm")]  # there while SQLite has a database open
        listing = "\n".join(f"{file.name} {_state(file)}" for file in kept)
        return hashlib.sha256(os.fsencode(listing)).hexdigest()


Chunk = FileChunk | BagChunk


def find_chunks(text: str, topic: str) -> list[Chunk]:
    """Find the frames of an input; a bag is one chunk, so that it is read once. Logs the faults of a bag.

    Args:
        text: An image, a folder of images, a pattern, or a bag.
        topic: Image topic of a bag; empty = the only one.

    Raises:
        DataError: There is nothing to predict.
    """
    path = Path(text).absolute()
    if is_bag(path):
        drive = open_bag(path, topic)
        drive.warn(darkness=False)  # the levels of all frames are looked at
        return [BagChunk(path, topic, drive.num_frames, drive=drive)]
    if path.is_dir():
        images, _ = image_and_mask_folders(path)
        if not images.is_dir():
            refuse_folder_of_bags(path)
        paths = list_images(images if images.is_dir() else path)
        if masks := masks_among(paths):
            _log.warning(
                "warning: %s: %d of %d files are named like masks of the others (first: %s) and are taken for images, "
                "too; give a folder or a pattern of the images alone",
                *(path, len(masks), len(paths), masks[0].name),
            )
    elif os.path.lexists(path):
        _refuse_other_kind(path)
        paths = [path]
    else:
        matching = sorted(_matching(path), key=natural_order)
        paths = list(filter(is_image_name, matching))
        if not paths:
            for other in matching:
                _refuse_other_kind(other)
            cure = cure_of_absent(text, "give an image, a folder of images, a quoted pattern or a bag")
            raise DataError(f"found no image at {text}; {cure}")
    files = list(zip(frame_names(paths), paths, strict=True))
    return [FileChunk(tuple(files[i : i + FILES_PER_CHUNK])) for i in range(0, len(files), FILES_PER_CHUNK)]


def _refuse_other_kind(path: Path) -> None:
    """Raise DataError for a file that is not even named like an image, if it shows what it is."""
    if not is_image_name(path) and (kind := kind_of(path)):
        raise DataError(f"{path}: found {kind.name}, expected an image, a folder of images or a bag; {kind.cure}")


def divided(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The same frames in chunks to distribute, by the number that a bag claims; its last chunk takes what is left."""
    for chunk in chunks:
        if isinstance(chunk, BagChunk):
            size = max(BAG_FRAMES_PER_CHUNK, math.ceil(len(chunk) / MAX_CHUNKS_PER_BAG))
            *starts, last = range(0, max(1, len(chunk)), size)
            whole = replace(chunk, drive=None)
            yield from (replace(whole, first=start, length=size) for start in starts)
            yield replace(whole, first=last)
        else:
            yield chunk


def _state(path: Path) -> str:
    """Size and time of change of a file, which differ after it was replaced; empty if it cannot be had."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def find_bags(text: str) -> dict[str, Path]:
    """The bags that a pattern matches, by their paths below the folder that it starts from; empty if it matches none.

    A file of a bag that is matched as a folder is not another bag.

    Raises:
        DataError: It matches both bags and images, or is no pattern that can be matched.
    """
    pattern = Path(text).absolute()
    if os.path.lexists(pattern):
        return {}
    found = sorted(_matching(pattern), key=natural_order)
    bags = {path: None for path in found if not is_image_name(path) and is_bag(path)}
    images = [path for path in found if is_image_name(path)]
    if bags and images:
        raise DataError(
            f"found bags and images, such as {next(iter(bags))} and {images[0]}, that match {text}, expected one kind; "
            "give a pattern for each"
        )
    folder = next(parent for parent in pattern.parents if not re.search(r"[*?\[]", str(parent)))
    return {str(path.relative_to(folder)): path for path in bags if path.parent not in bags}


def _matching(pattern: Path) -> Iterator[Path]:
    """Paths that match; ** follows no links, so that circular links end."""
    try:
        # Hidden files and folders match only if the pattern names them.
        for path in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))):
            hidden = {part for part in path.parts if part.startswith(".")}
            if hidden <= set(pattern.parts):
                yield path
    except (ValueError, OSError) as error:
        raise DataError(f"found the pattern {pattern}, which matches no files ({error}); mend it") from error


def refuse_input_in(root: Path, chunks: list[Chunk]) -> None:
    """Raise DataError if any input lies in the output folder."""
    for chunk in chunks:
        for path in [chunk.path] if isinstance(chunk, BagChunk) else [file for _, file in chunk.files]:
            if Path(os.path.realpath(path)).is_relative_to(root):
                raise DataError(
                    f"found the input {path} in the output folder {root}, where it would be written over or taken for "
                    "a prediction; choose another --output"
                )


def frame_names(paths: list[Path]) -> list[str]:
    """A unique name for every file: its stem, and where stems repeat, as much of the path as necessary."""
    names = [path.stem for path in paths]
    for depth in range(max((len(path.parts) for path in paths), default=0)):
        counts = Counter(names)
        repeated = [i for i, name in enumerate(names) if counts[name] > 1]
        for i in repeated:
            # a.jpg and a.png become a_jpg and a_png; left/a.png and right/a.png become left_a_png and right_a_png.
            folders = paths[i].parts[1:-1]
            names[i] = "_".join([*folders[max(0, len(folders) - depth) :], paths[i].name.replace(".", "_")])
    # The rest differs only in where a folder's name ends: a_b/c.png and a/b_c.png.
    taken: set[str] = set()
    for i in range(len(names)):
        while names[i] in taken:
            names[i] += "_"
        taken.add(names[i])
    return names
