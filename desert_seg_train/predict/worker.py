"""Predicts chunks, in this process or in a worker of a cluster. Knows nothing of how they are distributed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from desert_seg.errors import DesertSegError
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.predict.inputs import Chunk
from desert_seg_train.predict.output import Output


@dataclass(frozen=True)
class Job:
    """The settings for all chunks; see `PredictConfig`."""

    model: Path
    output: Output
    speed: str
    tta: str
    engine: str
    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class Done:
    """The outcome of a frame: `failure` is an error's message, or empty."""

    name: str
    failure: str = ""
    was_there: bool = False


class Worker:
    """A model, loaded once, that predicts chunk after chunk."""

    def __init__(self, job: Job) -> None:
        """Load the model; raises ArtifactError or EngineError."""
        self._job = job
        self._segmenter = Segmenter.load(job.model, job.engine, job.device, job.precision, job.threads)
        self._options = SegmentOptions(
            views=job.tta,
            scale=self._segmenter.card.speeds[job.speed],
            want_confidence="confidence" in job.output.kinds,
        )

    def do(self, chunk: Chunk) -> Iterator[Done]:
        """Predict the frames of a chunk that are not done yet; one that cannot be used does not stop the others."""
        output = self._job.output
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
            yield Done(name)
