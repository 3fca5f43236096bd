"""The output folder of a benchmark: everything is moved there at the end, `results.json` last, or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

from desert_seg.errors import DataError, OutputError
from desert_seg.files import refusal, writing
from desert_seg_train.written import files_under, read_record, refuse_foreign, remove_written, write_record

RESULTS = "results.json"
ENTRIES = ("predictions", "figures", "report.html", "report.pdf", "results_summary.txt", RESULTS)
"""What a benchmark writes. Anything else in the folder is left alone."""


class OutputFolder:
    """A `with` block writes to a temporary folder beside it, whose entries are moved when the block succeeds."""

    def __init__(self, path: Path) -> None:
        """Choose a folder.

        Raises:
            DataError: It is not a folder, or holds entries of these names that no benchmark wrote.
        """
        self._path = path.resolve()
        if self._path.exists() and not self._path.is_dir():
            raise DataError(f"{path}: is a file, expected a folder; choose another --out")
        refuse_foreign(self._path, ENTRIES, read_record(self._path), "--out")
        self._partial = self._path.with_name(f".{self._path.name}.partial")

    def __enter__(self) -> Path:
        shutil.rmtree(self._partial, ignore_errors=True)  # left by a run that was killed
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
        cause = error if isinstance(error, OSError) else error and error.__cause__
        if isinstance(cause, OSError):
            raise OutputError(refusal(self._path, cause)) from error  # whatever file beside the folder it named

    def _publish(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        refuse_foreign(self._path, ENTRIES, read_record(self._path), "--out")  # the check at the start was long ago
        # Without results.json, a folder that is half old and half new does not look complete.
        (self._path / RESULTS).unlink(missing_ok=True)
        known = read_record(self._path)
        written = set(files_under(self._partial, ENTRIES))
        write_record(self._path, known | written)
        remove_written(self._path, files_under(self._path, ENTRIES))
        for name in ENTRIES:
            if (self._partial / name).exists():
                (self._partial / name).rename(self._path / name)
        others = {name for name in known if name.partition("/")[0] not in ENTRIES}
        write_record(self._path, others | written)
