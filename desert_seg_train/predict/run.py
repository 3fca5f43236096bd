"""One input into one folder: what is there is checked, what is missing is done, and what was done is recorded.

Knows nothing of who does the chunks, or of what a person is told.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from desert_seg_train.predict.config import PredictConfig
from desert_seg_train.predict.inputs import BagChunk, Chunk, FileChunk, find_chunks, refuse_input_in
from desert_seg_train.predict.output import KINDS, Manifest, Output, num_finished, prepare
from desert_seg_train.predict.worker import Done


@dataclass(frozen=True)
class Run:
    """What is to be predicted, and where to.

    Attributes:
        chunks: The frames.
        output: Where they go.
        manifest: What is recorded of them.
        overwrite: Replace predictions of another model, input or setting.
    """

    chunks: list[Chunk]
    output: Output
    manifest: Manifest
    overwrite: bool

    @property
    def num_declared(self) -> int:
        """How many frames the input claims to have."""
        return sum(map(len, self.chunks))

    @property
    def remarks(self) -> tuple[str, ...]:
        """Faults of a bag in spite of which it is read."""
        drives = [chunk.drive for chunk in self.chunks if isinstance(chunk, BagChunk)]
        return tuple(remark for drive in drives if drive for remark in drive.remarks)

    def num_finished(self) -> int | None:
        """Number of frames if an earlier run did all of them, which takes no look at the input's frames; else None."""
        return None if self.overwrite else num_finished(self.output, self.manifest)

    def carry_out(self, do: Callable[[list[Chunk]], Iterable[Done]]) -> Generator[Done, None, None]:
        """Do all chunks and yield the outcomes; close it to record what was done if it is not taken to its end.

        Raises:
            DataError: The folder holds other predictions or other files; nothing was written.
        """
        root, failures, total, finished = self.output.root, list[tuple[str, str]](), 0, False
        written = prepare(root, self.manifest, self.overwrite)
        self.manifest.write(root, self.num_declared, [], written, finished=False)
        try:
            for done in do(self.chunks):
                total += 1
                if done.failure:
                    failures.append((done.name, done.failure))
                else:
                    written.add(done.name)
                yield done
            self.output.remove_partial()
            finished = True
        finally:
            self.manifest.write(root, total if finished else self.num_declared, failures, written, finished)


def make_run(config: PredictConfig, digest: str) -> Run:
    """Find the frames of an input.

    Args:
        config: The settings.
        digest: Of the artifact.

    Raises:
        DataError: There is nothing to predict, or it lies in the output folder.
    """
    chunks = find_chunks(config.input, config.topic)
    output = Output(config.output.resolve(), _kinds(config))
    settings = {name: getattr(config, name) for name in ("speed", "tta", "engine", "device", "precision")}
    refuse_input_in(output.root, chunks)
    manifest = Manifest(digest, str(Path(config.input).absolute()), settings, *_states(chunks))
    return Run(chunks, output, manifest, config.overwrite)


def _states(chunks: list[Chunk]) -> tuple[str, dict[str, str]]:
    """In which state the input is: of a bag as a whole, of image files each."""
    files = [chunk for chunk in chunks if isinstance(chunk, FileChunk)]
    bag = "".join(chunk.state() for chunk in chunks if isinstance(chunk, BagChunk))
    return bag, {name: source for chunk in files for name, source in chunk.sources().items()}


def _kinds(config: PredictConfig) -> tuple[str, ...]:
    wanted = {"color": True, "raw": True, "overlay": config.overlay, "confidence": config.confidence}
    return tuple(kind for kind in KINDS if wanted[kind])
