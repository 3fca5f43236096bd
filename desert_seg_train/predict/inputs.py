"""What there is to predict: image files or the frames of a bag, cut into chunks that can be done anywhere.

Listing costs no decoding. Every frame has a name of its own, from which the names of its output files follow.

Shape letters: H, W.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.images import is_image_name, list_images, natural_order, read_image
from desert_seg_train.folder import image_and_mask_folders
from desert_seg_train.predict.bag_frames import bag_frames, count_bag_frames, is_bag

FILES_PER_CHUNK = 8
BAG_FRAMES_PER_CHUNK = 64
"""More, because a reader of a bag has to pass over everything before its chunk."""

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


@dataclass(frozen=True)
class BagChunk:
    """`length` frames of a bag from the `first` on; their names are their stamps in nanoseconds."""

    path: Path
    topic: str
    first: int
    length: int

    def __len__(self) -> int:
        return self.length

    def frames(self) -> Iterator[tuple[str, Read]]:
        """Name and decoder of every frame; a decoder raises FrameError for a broken image."""
        return bag_frames(self.path, self.topic, self.first, self.length)


Chunk = FileChunk | BagChunk


def find_chunks(text: str, topic: str) -> list[Chunk]:
    """Find out what an input is and cut it into chunks.

    Args:
        text: An image, a folder of images, a pattern, or a bag.
        topic: Image topic of a bag; empty = the only one.

    Raises:
        DataError: There is nothing there that could be predicted.
    """
    path = Path(text).absolute()
    if is_bag(path):
        total = count_bag_frames(path, topic)
        starts = range(0, total, BAG_FRAMES_PER_CHUNK)
        return [BagChunk(path, topic, first, min(BAG_FRAMES_PER_CHUNK, total - first)) for first in starts]
    if path.is_dir():
        images, _ = image_and_mask_folders(path)
        paths = list_images(images if images.is_dir() else path)
    elif os.path.lexists(path):
        paths = [path]
    else:
        paths = sorted(_matching(path), key=natural_order)
        if not paths:
            raise DataError(f"found no image at {text}; give an image, a folder of images, a quoted pattern or a bag")
    files = list(zip(frame_names(paths), paths, strict=True))
    return [FileChunk(tuple(files[i : i + FILES_PER_CHUNK])) for i in range(0, len(files), FILES_PER_CHUNK)]


def _matching(pattern: Path) -> Iterator[Path]:
    """Images whose paths match; ** goes through no links, so that folders that link to each other have an end."""
    try:
        # A hidden file or folder has to be named.
        for path in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))):
            hidden = {part for part in path.parts if part.startswith(".")}
            if is_image_name(path) and hidden <= set(pattern.parts):
                yield path
    except (ValueError, OSError) as error:
        raise DataError(f"found the pattern {pattern}, which matches no files ({error}); mend it") from error


def refuse_input_in(root: Path, chunks: list[Chunk]) -> None:
    """Raise DataError if any of what is to be predicted lies in the folder that the predictions go to."""
    for chunk in chunks:
        for path in [chunk.path] if isinstance(chunk, BagChunk) else [file for _, file in chunk.files]:
            if Path(os.path.realpath(path)).is_relative_to(root):
                raise DataError(
                    f"found the input {path} in the output folder {root}, where it would be written over or taken for "
                    "a prediction; choose another --output"
                )


def frame_names(paths: list[Path]) -> list[str]:
    """A name for every file: its stem; where stems repeat, as much of the path as tells the files apart."""
    names = [path.stem for path in paths]
    for depth in range(max((len(path.parts) for path in paths), default=0)):
        counts = Counter(names)
        repeated = [i for i, name in enumerate(names) if counts[name] > 1]
        for i in repeated:
            # a.jpg and a.png become a_jpg and a_png; left/a.png and right/a.png become left_a_png and right_a_png.
            folders = paths[i].parts[1:-1]
            names[i] = "_".join([*folders[max(0, len(folders) - depth) :], paths[i].name.replace(".", "_")])
    # What is left differs only in where a folder's name ends: a_b/c.png and a/b_c.png.
    taken: set[str] = set()
    for i in range(len(names)):
        while names[i] in taken:
            names[i] += "_"
        taken.add(names[i])
    return names
