"""The labelled frames that a training draws from: several folders, their shares, and what is held out.

Every mask is read once when a source is opened, so that a faulty file is found before the training begins and the
pixels of each class in each frame are known. Knows nothing of augmentation or networks.

Shape letters: F frames, K classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.labels import LabelSet, load_label_map
from desert_seg_train.folder import Sample, SegmentationFolder, class_counts, scene_of
from desert_seg_train.mask_signs import MaskSigns, signs_of, suspicions


@dataclass(frozen=True)
class Source:
    """The frames of one folder that may be used.

    Attributes:
        folder: Where they are decoded from.
        indices: F positions in the folder.
        names: F file stems.
        counts: FxK int64, pixels of each class in each frame.
        weight: How often the source is drawn, relative to the others.
    """

    folder: SegmentationFolder
    indices: tuple[int, ...]
    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    weight: float

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        """Decode one frame."""
        return self.folder[self.indices[index]]

    @property
    def scenes(self) -> tuple[str, ...]:
        """F scene names."""
        return tuple(map(scene_of, self.names))

    def without(self, held_out: Collection[str]) -> Source:
        """The frames that are neither of one of these scenes nor named themselves."""
        return self._where([not _is_held_out(name, held_out) for name in self.names])

    def only(self, held_out: Collection[str]) -> Source:
        """The frames that are of one of these scenes or named themselves."""
        return self._where([_is_held_out(name, held_out) for name in self.names])

    def _where(self, keep: Sequence[bool]) -> Source:
        kept = np.flatnonzero(keep)
        indices, names = tuple(self.indices[i] for i in kept), tuple(self.names[i] for i in kept)
        return replace(self, indices=indices, names=names, counts=self.counts[kept])


def _is_held_out(name: str, held_out: Collection[str]) -> bool:
    return name in held_out or scene_of(name) in held_out


def open_source(path: Path, label_map: str, weight: float, console: Console) -> Source:
    """Read a folder's frames, count their classes and say what is probably wrong with the masks.

    Raises:
        DataError: The folder, a mask or an image's size is not what it should be, or the weight is not positive.
    """
    if weight <= 0:
        raise DataError(f"{path}: found weight {weight}, expected a positive number; leave the source out instead")
    folder = SegmentationFolder(path, load_label_map(label_map))
    with ThreadPoolExecutor() as pool:
        looks = pool.map(lambda index: _look(folder, index), range(len(folder)))
        counts, signs = zip(*console.track(looks, f"reading {path}", total=len(folder), transient=True), strict=True)
    for suspicion in suspicions(signs, folder.label_map):
        console.print(f"warning: {path}: {suspicion}")
    names = tuple(image.stem for image, _ in folder.pairs)
    return Source(folder, tuple(range(len(folder))), names, np.stack(counts), weight)


def _look(folder: SegmentationFolder, index: int) -> tuple[npt.NDArray[np.int64], MaskSigns]:
    """Pixels of each class in a frame, and what its mask gives away."""
    image, raw = folder.stored(index)
    mask_path = folder.pairs[index][1]
    target = folder.label_map.apply(raw, str(mask_path))
    return class_counts(target, len(folder.label_map.labels)), signs_of(mask_path, image, raw, folder.label_map)


def split(
    sources: Sequence[Source], validation: Source | None, hold_out: Collection[str]
) -> tuple[list[Source], list[Source]]:
    """Divide frames into those to train on and those to validate on.

    Args:
        sources: All sources, with one class list.
        validation: A separate folder, or None.
        hold_out: Scenes or file stems that are not trained on; validated on where there is no validation folder.

    Returns:
        Training sources and validation sources; the latter may be empty.

    Raises:
        DataError: The sources do not share a class list, a scene does not occur, or nothing is left to train on.
    """
    labels = label_set(sources)
    for source in (*sources, *([validation] if validation else [])):
        if source.folder.label_map.labels != labels:
            raise DataError(
                f"{source.folder.root}: label map {source.folder.label_map.name} has other classes than "
                f"{sources[0].folder.label_map.name}; use label maps with one class list"
            )
    scenes = {scene for source in sources for scene in source.scenes}
    known = scenes.union(*(source.names for source in sources))
    if unknown := sorted(set(hold_out) - known):
        raise DataError(
            f"found no scene or frame {unknown[0]!r} to hold out; the scenes are: {', '.join(sorted(scenes))}"
        )
    training = [source for source in (source.without(hold_out) for source in sources) if len(source)]
    if not training:
        raise DataError(
            f"nothing is left to train on: every frame is held out by {', '.join(sorted(hold_out))}; hold out fewer"
        )
    if validation is not None:
        return training, [validation]
    return training, [source for source in (source.only(hold_out) for source in sources) if len(source)]


def label_set(sources: Sequence[Source]) -> LabelSet:
    """The classes of the first source."""
    return sources[0].folder.label_map.labels


def digest_of(sources: Sequence[Source]) -> str:
    """64 hex digits that change when a frame comes, goes or is labelled otherwise, or a label map changes."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(repr((source.folder.label_map.to_dict(), source.names)).encode(errors="surrogateescape"))
        digest.update(source.counts.tobytes())
    return digest.hexdigest()


def absent_classes(sources: Sequence[Source]) -> list[str]:
    """Names of classes that no frame holds."""
    counts = sum(source.counts.sum(0) for source in sources)
    return [name for name, count in zip(label_set(sources).names, np.asarray(counts), strict=True) if not count]
