"""Finds identical and near-identical images: copies within a folder, and leakage between two folders.

Frames of one drive follow each other closely, so near-twins inside a folder are normal. Between the two sides of a
split they are leakage: the second side then measures memorisation, not generalisation. Knows nothing of masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from desert_seg_train.inspect.fault import Fault
from desert_seg_train.inspect.survey import Frame

MAX_DISTANCE = 56
"""Bits of 256 in which near-twins may differ.

Measured: half scale, JPEG at quality 40, a change of exposure, a crop or a shift of 2 % cost at most 43 bits, the next
frame of a drive 44 in the median. Of 150 000 pairs of unrelated frames (different scenes of Falcon, Falcon
against renderings, two rendered worlds) the closest differ in 75.
"""


@dataclass(frozen=True)
class Twins:
    """A frame and the most similar frame of the other folder.

    Attributes:
        frame: Frame of the inspected folder.
        other: Frame of the other folder.
        distance: Bits in which their fingerprints differ, 0..256.
        identical: Every pixel is the same.
    """

    frame: Frame
    other: Frame
    distance: int
    identical: bool

    def fault(self, other_folder: str) -> Fault:
        """The leak as a fault of the inspected folder's frame."""
        found = f"is {other_folder}/{self.other.name}, pixel for pixel"
        if not self.identical:
            found = f"shows what {other_folder}/{self.other.name} shows ({self.distance} of 256 bits differ)"
        cure = "keep both on one side of the split; split by drive or by scene, not by frame"
        return Fault("leakage", self.frame.image_path, found, cure)


def find_copies(frames: Sequence[Frame]) -> list[Fault]:
    """Frames whose pixels another frame of the same folder has already shown."""
    first: dict[str, Frame] = {}
    faults = []
    for frame in frames:
        if frame.image is None:
            continue
        original = first.setdefault(frame.image.digest, frame)
        if original is not frame:
            found = f"the same pixels as {original.image_path.name}"
            faults.append(Fault("exact duplicate", frame.image_path, found, "keep one of the two pairs"))
    return faults


def find_leakage(frames: Sequence[Frame], others: Sequence[Frame]) -> list[Twins]:
    """For every frame the most similar one of the other folder, if similar enough; closest first."""
    known = [(other, other.image) for other in others if other.image is not None]
    if not known:
        return []
    matrix = np.stack([image.fingerprint for _, image in known])
    twins = []
    for frame in frames:
        if frame.image is None:
            continue
        distances = (matrix.shape[1] - matrix @ frame.image.fingerprint) / 2
        nearest = int(distances.argmin())
        if distances[nearest] <= MAX_DISTANCE:
            other, image = known[nearest]
            twins.append(Twins(frame, other, int(distances[nearest]), image.digest == frame.image.digest))
    return sorted(twins, key=lambda pair: (pair.distance, pair.frame.name))
