"""Predicts chunks, in this process or in a worker of a cluster. Knows nothing of how they are distributed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from desert_seg.errors import DesertSegError
from desert_seg.levels import few_levels, uses_few_levels
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.predict.config import PredictConfig
from desert_seg_train.predict.inputs import Chunk
from desert_seg_train.predict.output import Output


@dataclass(frozen=True)
class Done:
    """The outcome of a frame: `failure` is an error's message, or empty; see `desert_seg.levels` for `is_dim`."""

    name: str
    failure: str = ""
    was_there: bool = False
    is_dim: bool = False


@dataclass
class Tally:
    """What became of frames; `failure` is the first error's message, or empty, `dim` the first dim frame's name."""

    num_frames: int = 0
    num_there: int = 0
    num_failed: int = 0
    failure: str = ""
    num_dim: int = 0
    dim: str = ""

    def add(self, done: Done) -> None:
        """Count a frame."""
        self.num_frames += 1
        self.num_there += done.was_there
        self.num_failed += bool(done.failure)
        self.failure = self.failure or done.failure
        self.num_dim += done.is_dim
        if done.is_dim:
            self.dim = self.dim or done.name

    @property
    def warning(self) -> str:
        """A sentence on dim frames; empty if there were none."""
        return few_levels(self.num_dim, self.dim) if self.num_dim else ""


class Worker:
    """A model, loaded once, that predicts chunk after chunk."""

    def __init__(self, config: PredictConfig) -> None:
        """Load the model; raises ArtifactError or EngineError."""
        self._segmenter = Segmenter.load(config.model, config.engine, config.device, config.precision, config.threads)
        self._options = SegmentOptions(
            views=config.tta,
            scale=self._segmenter.card.speeds[config.speed],
            want_confidence=config.confidence,
        )

    def do(self, chunk: Chunk, output: Output) -> Iterator[Done]:
        """Predict the frames of a chunk that are not done yet; one that cannot be used does not stop the others."""
        for name, read in chunk.frames():
            try:
                is_done = output.is_done(name)
            except OSError as error:
                yield Done(name, f"{name}: cannot be the name of a file ({error.strerror}); rename the image")
                continue
            if is_done:
                yield Done(name, was_there=True)
                continue
            try:
                rgb = read()
            except DesertSegError as error:
                yield Done(name, str(error))
                continue
            output.write(name, rgb, self._segmenter.segment(rgb, self._options), self._segmenter.labels)
            yield Done(name, is_dim=uses_few_levels(rgb))

    def do_all(self, chunks: Iterable[Chunk], output: Output) -> Iterator[Done]:
        """Predict chunk after chunk."""
        for chunk in chunks:
            yield from self.do(chunk, output)
