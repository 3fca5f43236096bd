"""The folder of a benchmark: it gets everything at the end, `results.json` last, or stays as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import TracebackType

from desert_seg.errors import DataError, OutputError
from desert_seg.files import refusal, writing
from desert_seg_train.evaluate.earlier import FORMAT

RESULTS = "results.json"
ENTRIES = ("predictions", "figures", "report.html", "report.pdf", "results_summary.txt", RESULTS)
"""What a benchmark writes. Whatever else lies in the folder is left alone."""


class OutputFolder:
    """A `with` block gets a folder beside it to write to, whose entries are moved over when the block ends well."""

    def __init__(self, path: Path) -> None:
        """Choose a folder.

        Raises:
            DataError: It is no folder, or something of that name in it is not a benchmark's.
        """
        self._path = path.resolve()
        if self._path.exists() and not self._path.is_dir():
            raise DataError(f"{path}: is a file, expected a folder; choose another --out")
        taken = [name for name in ENTRIES if (self._path / name).exists()]
        if taken and not _is_results(self._path / RESULTS):
            raise DataError(
                f"{path}: holds {taken[0]} but no {RESULTS} of a benchmark; choose another --out, or move that away"
            )
        self._partial = self._path.with_name(f".{self._path.name}.partial")

    def __enter__(self) -> Path:
        shutil.rmtree(self._partial, ignore_errors=True)  # of a run that was killed
        with writing(self._path):
            self._partial.mkdir(parents=True)
        return self._partial

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with writing(self._path):
                    self._publish()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
        if isinstance(error, OSError | OutputError):  # about a file beside the folder that the person knows
            cause = error if isinstance(error, OSError) else error.__cause__
            assert isinstance(cause, OSError)
            raise OutputError(refusal(self._path, cause)) from error

    def _publish(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        # Without its results, a folder that is half old and half new claims nothing.
        (self._path / RESULTS).unlink(missing_ok=True)
        for name in ENTRIES:
            old, new = self._path / name, self._partial / name
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
            if new.exists():
                new.rename(old)


def _is_results(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("format", "")).startswith(FORMAT.rstrip("0123456789"))
