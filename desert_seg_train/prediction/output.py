"""The folder predictions go to: which files a frame has, whether they are there, and predictions.json beside them.

Files are replaced in one go, so a file that is there is whole, and doing a frame twice does no harm.

Shape letters: H, W.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.images import write_bytes, write_image
from desert_seg.painter import Painter
from desert_seg.segmenter import Segmentation

KINDS = ("color", "raw", "overlay", "confidence")
OVERLAY_ALPHA = 0.5
_JSON = "predictions.json"


@dataclass(frozen=True)
class Output:
    """Where and what to write.

    Attributes:
        root: The folder.
        kinds: Those of `KINDS` that are wanted; each is a folder.
    """

    root: Path
    kinds: tuple[str, ...]

    def paths(self, name: str) -> dict[str, Path]:
        """The files of a frame, by kind."""
        return {kind: self.root / kind / f"{name}.png" for kind in self.kinds}

    def is_done(self, name: str) -> bool:
        """True if all files of a frame are there."""
        return all(path.is_file() for path in self.paths(name).values())

    def write(self, name: str, rgb: npt.NDArray[np.uint8], result: Segmentation, painter: Painter) -> None:
        """Write the files of a frame.

        Args:
            name: Of the frame.
            rgb: HxWx3 uint8, as predicted from.
            result: Its masks.
            painter: Knows the colours of the classes.

        Raises:
            DataError: A file cannot be written, because the disk is full for example.
        """
        for kind, path in self.paths(name).items():
            if kind == "raw":
                image = result.mask
            elif kind == "color":
                image = painter.color(result.mask)
            elif kind == "overlay":
                image = painter.overlay(rgb, result.mask, OVERLAY_ALPHA)
            else:
                assert result.confidence is not None
                image = result.confidence
            try:
                write_image(path, image)
            except OSError as error:
                raise _not_writable(path, error) from error


@dataclass(frozen=True)
class Manifest:
    """predictions.json: what the masks of a folder were made with and from.

    Attributes:
        model: Digest of the artifact.
        input: What was predicted from.
        settings: View set, engine, device and precision that were asked for.
    """

    model: str
    input: str
    settings: dict[str, str]

    def check(self, root: Path) -> None:
        """Refuse a folder whose masks were made otherwise, or by something else.

        Raises:
            DataError: They were, or predictions.json is damaged.
        """
        path = root / _JSON
        if not path.exists():
            _refuse_strange(root)
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            found = {name: found[name] for name in vars(self)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is no record of predictions ({error}); choose another --output") from error
        for name, expected in vars(self).items():
            if found[name] != expected:
                raise DataError(
                    f"{root}: holds predictions with {name} {_short(found[name])}, expected {_short(expected)}; choose "
                    "another --output, or replace them with --overwrite"
                )

    def write(
        self, root: Path, num_frames: int, num_done: int, failures: Sequence[tuple[str, str]], finished: bool
    ) -> None:
        """Write predictions.json.

        Args:
            root: The folder.
            num_frames: Frames of the input.
            num_done: Those of them that have their masks, as far as is known.
            failures: Name and sentence of every frame that could not be done.
            finished: Whether every frame was tried.

        Raises:
            DataError: It cannot be written.
        """
        failed = [{"name": name, "reason": reason} for name, reason in sorted(failures)]
        counts = {"frames": num_frames, "done": num_done, "finished": finished}
        content = json.dumps({**vars(self), **counts, "failed": failed}, indent=2, ensure_ascii=False)
        try:
            write_bytes(root / _JSON, content.encode() + b"\n")
        except OSError as error:
            raise _not_writable(root / _JSON, error) from error


def remove_predictions(root: Path) -> None:
    """Remove what an earlier prediction wrote, and nothing else.

    Raises:
        DataError: The folder holds files of the same names that no prediction wrote.
    """
    if not (root / _JSON).exists():
        _refuse_strange(root)
    for kind in KINDS:
        shutil.rmtree(root / kind, ignore_errors=True)
    (root / _JSON).unlink(missing_ok=True)


def _refuse_strange(root: Path) -> None:
    for kind in KINDS:
        if (root / kind).exists():
            raise DataError(f"{root}: holds {kind}/ but no {_JSON}, so it was not predicted; choose another --output")


def _not_writable(path: Path, error: OSError) -> DataError:
    reason = error.strerror or str(error)
    return DataError(f"{path}: cannot be written ({reason}); make room or choose another --output, and run this again")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
