"""The output folder of a prediction: the files of a frame, whether they exist, and predictions.json beside them.

Files are replaced atomically, so an existing file is complete, and predicting a frame twice is harmless.

Shape letters: H, W.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError
from desert_seg.files import write_bytes
from desert_seg.images import write_image
from desert_seg.json_file import parse_json
from desert_seg.labels import LabelSet
from desert_seg.painter import Painter
from desert_seg.segmenter import Segmentation
from desert_seg_train.written import refuse_foreign, refuse_links, remove_written

OVERLAY_ALPHA = 0.5

KINDS = ("color", "raw", "overlay", "confidence")
"""Names of the folders in the output."""

RECORD = "predictions.json"


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
        """True if all files of a frame exist."""
        return all(path.is_file() for path in self.paths(name).values())

    def remove_partial(self) -> None:
        """Remove what workers that were lost in the middle of writing have left; called when all is written."""
        for kind in self.kinds:
            for path in (self.root / kind).glob(".*.partial"):
                path.unlink(missing_ok=True)

    def write(self, name: str, rgb: npt.NDArray[np.uint8], result: Segmentation, labels: LabelSet) -> None:
        """Write the files of a frame.

        Args:
            name: Name of the frame.
            rgb: HxWx3 uint8, the frame.
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
    """predictions.json: the model, settings and input of the masks in a folder.

    Attributes:
        model: Digest of the artifact.
        input: The input.
        settings: The requested view set, engine, device and precision.
        bag: State of the bag; empty for image files.
        sources: The image file of every frame and its state, by the frame's name; empty for a bag.
    """

    model: str
    input: str
    settings: dict[str, str]
    bag: str
    sources: dict[str, str]

    def check(self, root: Path) -> None:
        """Refuse a folder of predictions that were made with other settings, or of a bag that has changed since.

        Raises:
            DataError: They were, or predictions.json is damaged.
        """
        found, cure = _read(root), "choose another --output, or replace them with --overwrite"
        for name in ("model", "input", "settings"):
            held, expected = found[name], getattr(self, name)
            if held != expected:
                raise DataError(
                    f"{root}: holds predictions with {name} {_short(held)}, expected {_short(expected)}; {cure}"
                )
        if found.get("bag", "") != self.bag:
            raise DataError(f"{root}: holds predictions of {self.input} as it was before it was changed; {cure}")

    def write(
        self,
        root: Path,
        num_frames: int,
        failures: Sequence[tuple[str, str]],
        written: Iterable[str],
        finished: bool,
    ) -> None:
        """Write predictions.json.

        Args:
            root: The folder.
            num_frames: Frames of the input.
            failures: Name and error of every frame that failed.
            written: Names of the frames whose masks are in the folder.
            finished: Whether every other frame is done.
        """
        failed = [{"name": name, "reason": reason} for name, reason in sorted(failures)]
        content: dict[str, Any] = {**vars(self), "frames": num_frames, "finished": finished, "failed": failed}
        content["written"] = sorted(written)
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        # A file name may contain bytes that are not text; JSON keeps them as escapes.
        write_bytes(root / RECORD, text.encode(errors="backslashreplace"))


def prepare(root: Path, manifest: Manifest, overwrite: bool) -> set[str]:
    """Check that predictions may be written to a folder, and remove earlier ones that are to be replaced.

    Predictions of image files that have changed, or whose name is now another file's, are removed too. Only files that
    predictions.json lists are ours; any other file is never replaced.

    Returns:
        Names of the frames that exist already.

    Raises:
        DataError: The folder holds predictions with other settings, or other files where masks would go.
    """
    refuse_links(root, KINDS, "--output")
    if not (root / RECORD).exists():
        refuse_foreign(root, KINDS, (), "--output")
        return set()
    found = _read(root)
    # A run that was killed has not recorded what it wrote, but the files that it was going to predict.
    sources = found.get("sources", {})
    names = {str(name) for name in found.get("written", [])} | sources.keys()
    names = {name for name in names if any((root / file).is_file() for file in _files_of([name]))}
    if not overwrite:
        manifest.check(root)
        refuse_foreign(root, _files_of(manifest.sources.keys() - names), (), "--output")
        stale = {name for name, source in manifest.sources.items() if name in names and sources.get(name) != source}
        remove_written(root, _files_of(stale))
        return names - stale
    written = _files_of(names)
    refuse_foreign(root, KINDS, written, "--output")
    remove_written(root, {*written, RECORD})
    return set()


def num_finished(output: Output, manifest: Manifest) -> int | None:
    """Number of frames if all of a bag are done, by what predictions.json says and by the files that are there.

    Returns:
        None if there is something to do, or if that can only be said by looking at the bag.

    Raises:
        DataError: The folder holds predictions with other settings.
    """
    if not (output.root / RECORD).exists():
        return None
    manifest.check(output.root)
    found = _read(output.root)
    if not found.get("finished") or found.get("failed"):
        return None
    there = set.intersection(*({path.stem for path in (output.root / kind).glob("*.png")} for kind in output.kinds))
    return len(found["written"]) if there >= set(found["written"]) else None


def _files_of(names: Iterable[str]) -> set[str]:
    """Paths inside the folder of all files that frames of these names may have."""
    return {f"{kind}/{name}.png" for name in names for kind in KINDS}


def _read(root: Path) -> dict[str, Any]:
    """The content of predictions.json; raises DataError if it is invalid."""
    path = root / RECORD
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        is_ours = isinstance(found.get("written", []), list) and isinstance(found.get("sources", {}), dict)
        if is_ours and {"model", "input", "settings"} <= found.keys():
            return dict(found)
    except (OSError, ValueError, AttributeError):
        pass
    raise DataError(f"{path}: is no record of predictions; choose another --output")


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
