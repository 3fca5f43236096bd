"""The folder predictions go to: which files a frame has, whether they are there, and predictions.json beside them.

Files are replaced in one go, so a file that is there is whole, and doing a frame twice does no harm.

Shape letters: H, W.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.files import write_text
from desert_seg.images import write_image
from desert_seg.labels import LabelSet
from desert_seg.painter import Painter
from desert_seg.segmenter import Segmentation

OVERLAY_ALPHA = 0.5


@dataclass(frozen=True)
class Output:
    """Where and what to write.

    Attributes:
        root: The folder.
        kinds: Names of its folders: `color`, `raw` and perhaps `overlay` and `confidence`.
    """

    root: Path
    kinds: tuple[str, ...]

    def paths(self, name: str) -> dict[str, Path]:
        """The files of a frame, by kind."""
        return {kind: self.root / kind / f"{name}.png" for kind in self.kinds}

    def is_done(self, name: str) -> bool:
        """True if all files of a frame are there."""
        return all(path.is_file() for path in self.paths(name).values())

    def write(self, name: str, rgb: npt.NDArray[np.uint8], result: Segmentation, labels: LabelSet) -> None:
        """Write the files of a frame.

        Args:
            name: Of the frame.
            rgb: HxWx3 uint8, as predicted from.
            result: Its masks.
            labels: The classes, for their colours.
        """
        painter = Painter(labels)
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
            write_image(path, image)


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
        """Refuse a folder whose masks were made otherwise.

        Raises:
            DataError: They were, or predictions.json is damaged.
        """
        path = root / "predictions.json"
        if not path.exists():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            found = {name: found[name] for name in ("model", "input", "settings")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is no record of predictions ({error}); choose another --output") from error
        for name, expected in vars(self).items():
            if found[name] != expected:
                raise DataError(
                    f"{root}: holds predictions with {name} {_short(found[name])}, expected {_short(expected)}; choose "
                    "another --output, or replace them with --overwrite"
                )

    def write(self, root: Path, num_frames: int, failures: Sequence[tuple[str, str]], finished: bool) -> None:
        """Write predictions.json.

        Args:
            root: The folder.
            num_frames: Frames of the input.
            failures: Name and sentence of every frame that could not be done.
            finished: Whether every other frame is done.
        """
        failed = [{"name": name, "reason": reason} for name, reason in sorted(failures)]
        content: dict[str, Any] = {**vars(self), "frames": num_frames, "finished": finished, "failed": failed}
        write_text(root / "predictions.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
