"""Statistics of a set of frames, and of the gap between two sets. Knows nothing of files.

Shape letters: K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.labels import LabelSet
from desert_seg_train.inspect.image_check import CHANNELS
from desert_seg_train.inspect.survey import Frame


@dataclass(frozen=True)
class Statistics:
    """Sums over the images and masks without a fault.

    Attributes:
        num_images: Images summed.
        num_masks: Masks summed.
        counts: K+1 int64: pixels per class and, last, ignored.
        histograms: 4x256 int64: pixels per level of red, green, blue and brightness.
    """

    num_images: int
    num_masks: int
    counts: npt.NDArray[np.int64]
    histograms: npt.NDArray[np.int64]

    @classmethod
    def of(cls, frames: Sequence[Frame], num_classes: int) -> Statistics:
        """Sum over frames."""
        images = [frame.image.histograms for frame in frames if frame.image is not None]
        masks = [frame.counts for frame in frames if frame.counts is not None]
        return cls(
            len(images),
            len(masks),
            sum(masks, np.zeros(num_classes + 1, np.int64)),
            sum(images, np.zeros((len(CHANNELS), 256), np.int64)),
        )

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """K shares of the pixels that are not ignored, 0..1; all 0 if there are none."""
        scored = self.counts[:-1]
        return scored / max(1, int(scored.sum()))

    @property
    def ignored_share(self) -> float:
        """Share of all pixels that the label map ignores, 0..1."""
        return float(self.counts[-1] / max(1, int(self.counts.sum())))

    @property
    def distributions(self) -> npt.NDArray[np.float64]:
        """4x256 shares of the pixels at each level of red, green, blue and brightness; all 0 if there are none."""
        return np.asarray(self.histograms / np.maximum(1, self.histograms.sum(1, keepdims=True)))

    @property
    def means(self) -> npt.NDArray[np.float64]:
        """Mean level of red, green, blue and brightness over all pixels, 0..255."""
        return self.distributions @ np.arange(256)

    @property
    def deviations(self) -> npt.NDArray[np.float64]:
        """Standard deviation of red, green, blue and brightness over all pixels, levels."""
        squares = (np.arange(256) - self.means[:, None]) ** 2
        return np.asarray(np.sqrt((self.distributions * squares).sum(1)))

    def to_dict(self, labels: LabelSet) -> dict[str, Any]:
        """For JSON."""
        return {
            "num_images": self.num_images,
            "num_masks": self.num_masks,
            "class_shares": dict(zip(labels.names, self.shares.tolist(), strict=True)),
            "ignored_share": self.ignored_share,
            "mean": dict(zip(CHANNELS, self.means.tolist(), strict=True)),
            "standard_deviation": dict(zip(CHANNELS, self.deviations.tolist(), strict=True)),
        }


@dataclass(frozen=True)
class Gap:
    """The distance between two sets.

    Attributes:
        class_distance: Share of pixels that would have to change class to make the class shares equal, 0..1 (total
            variation distance).
        brightness_overlap: Common area of the two brightness histograms, 0..1.
        mean_shift: Change of the mean red, green, blue and brightness from the first set to the second, levels.
    """

    class_distance: float
    brightness_overlap: float
    mean_shift: tuple[float, ...]

    @classmethod
    def between(cls, first: Statistics, second: Statistics) -> Gap:
        """The gap from one set to another."""
        return cls(
            class_distance=float(np.abs(first.shares - second.shares).sum() / 2),
            brightness_overlap=float(np.minimum(first.distributions[3], second.distributions[3]).sum()),
            mean_shift=tuple((second.means - first.means).tolist()),
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "mean_shift": dict(zip(CHANNELS, self.mean_shift, strict=True))}
