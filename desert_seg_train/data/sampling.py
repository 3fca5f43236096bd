"""Which crop of which frame is the n-th sample of an epoch: drawn in advance, the same in every process.

A sample depends on the seed, the epoch and its place in the epoch and on nothing else, so a training can be
resumed anywhere, and several processes share an epoch without communicating.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desert_seg_train.data.config import SamplingConfig
from desert_seg_train.data.sources import Source

MIN_PIXELS = 200
"""A frame holds a class if it has this many pixels of it."""

TEMPERATURE = 0.1
"""Of the softmax over 1 - share from which a rare class is drawn (Hoyer et al., 2022, use 0.01 on Cityscapes)."""


@dataclass(frozen=True)
class Draw:
    """A sample to be made: the frame, the class its crop should show (None: any place will do), and its random seed."""

    source: int
    frame: int
    wanted: int | None
    seed: tuple[int, ...]


class Sampler:
    """Draws the samples of an epoch from weighted sources."""

    def __init__(self, sources: Sequence[Source], config: SamplingConfig, seed: int) -> None:
        """Find out which frames hold which class."""
        self._sources, self._config, self._seed = sources, config, seed
        weights = np.array([source.weight for source in sources])
        self._weights = weights / weights.sum()
        self._rare = [_rare_class_probabilities(source) for source in sources]

    def epoch(self, epoch: int, num_samples: int) -> list[Draw]:
        """The samples of an epoch, in order.

        Args:
            epoch: From 0.
            num_samples: How many.
        """
        rng = np.random.default_rng([self._seed, epoch])
        origins = rng.choice(len(self._sources), num_samples, p=self._weights)
        rare = rng.random(num_samples) < self._config.rare_class
        passes = [self._shuffled_passes(source, rng) for source in self._sources]
        draws = []
        for place, origin in enumerate(origins.tolist()):
            wanted, frame = self._rare_frame(origin, rng) if rare[place] else (None, next(passes[origin]))
            draws.append(Draw(origin, frame, wanted, (self._seed, epoch, place)))
        return draws

    def _shuffled_passes(self, source: Source, rng: np.random.Generator) -> Iterator[int]:
        """Every frame once before any comes again; with balanced scenes, every scene in turn."""
        scenes = np.array(source.scenes)
        groups = [np.flatnonzero(scenes == scene) for scene in np.unique(scenes)]
        queues = [
            _passes(group, rng) for group in (groups if self._config.balance_scenes else [np.arange(len(source))])
        ]
        while True:
            for queue in queues:
                yield next(queue)

    def _rare_frame(self, origin: int, rng: np.random.Generator) -> tuple[int, int]:
        wanted = int(rng.choice(len(self._rare[origin]), p=self._rare[origin]))
        holders = np.flatnonzero(self._sources[origin].counts[:, wanted] >= MIN_PIXELS)
        if not len(holders):
            holders = np.arange(len(self._sources[origin]))
        return wanted, int(rng.choice(holders))


def _passes(frames: npt.NDArray[np.int64], rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(frames).tolist()


def _rare_class_probabilities(source: Source) -> npt.NDArray[np.float64]:
    """K probabilities of drawing a class: rare ones are likelier; 0 for a class that the source does not have."""
    totals = source.counts.sum(0)
    share = totals / max(totals.sum(), 1)
    odds = np.where(totals > 0, np.exp((1 - share) / TEMPERATURE), 0.0)
    if not odds.any():
        odds = np.ones_like(odds)
    return np.asarray(odds / odds.sum(), np.float64)
