"""Pictures of a drive: a contact sheet and a video. Knows nothing of ROS or of where masks come from.

Shape letters: H, W of a frame.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DataError, OutputError
from desert_seg.files import writing
from desert_seg.images import write_image
from desert_seg.labels import LabelSet

Rgb = npt.NDArray[np.uint8]
CELL_WIDTH = 480
_BACKGROUND = (24, 26, 30)
_TEXT = (225, 225, 225)
_MARGIN = 10


def contact_sheet(
    path: Path, rows: Sequence[Sequence[Rgb]], headings: Sequence[str], title: str, labels: LabelSet
) -> None:
    """Write a grid of pictures with headings above the columns and the classes' colours below.

    Args:
        path: PNG to write.
        rows: Equally long rows of HxWx3 uint8 RGB pictures of one size.
        headings: One for each column.
        title: A line above everything.
        labels: Classes for the legend.
    """
    height, width = rows[0][0].shape[:2]
    cell = (CELL_WIDTH, round(CELL_WIDTH * height / width))
    body_width = len(headings) * (CELL_WIDTH + _MARGIN) + _MARGIN
    bands = [_band(body_width, 44, [(_MARGIN, title, 0.62)])]
    bands.append(
        _band(body_width, 26, [(_MARGIN + i * (CELL_WIDTH + _MARGIN), text, 0.5) for i, text in enumerate(headings)])
    )
    for row in rows:
        band = _band(body_width, cell[1] + _MARGIN, [])
        for column, picture in enumerate(row):
            left = _MARGIN + column * (CELL_WIDTH + _MARGIN)
            band[: cell[1], left : left + CELL_WIDTH] = cv2.resize(picture, cell, interpolation=cv2.INTER_AREA)
        bands.append(band)
    bands.append(_legend(body_width, labels))
    write_image(path, np.concatenate(bands))


class Video(AbstractContextManager["Video"]):
    """An MP4 file (MPEG-4 part 2), which appears complete when its `with` block ends, or not at all if that raises."""

    def __init__(self, path: Path, fps: float) -> None:
        """Start a video; its size is that of the first picture."""
        self._path, self._fps = path, fps
        self._partial = path.with_name(f".{os.getpid()}.{path.name}")
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._num_pictures = 0

    def add(self, picture: Rgb) -> None:
        """Append an HxWx3 uint8 RGB picture, scaled if the first one had another size.

        Raises:
            DataError: This OpenCV cannot write such a video.
            OutputError: The folder cannot be made.
        """
        if self._writer is None:
            with writing(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._partial.write_bytes(bytes(4096))  # OpenCV would not say why it cannot
            self._size = (picture.shape[1], picture.shape[0])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._partial), code, self._fps, self._size)
            if not self._writer.isOpened():
                raise DataError(f"{self._path}: this OpenCV cannot write MP4; install opencv-python-headless")
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = np.asarray(cv2.resize(picture, self._size), np.uint8)
        self._num_pictures += 1
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            if kind is None:
                self._publish()
        with suppress(OSError):  # a disk that is read-only has nothing to be removed from
            self._partial.unlink()

    def _publish(self) -> None:
        # OpenCV says nothing of a disk that did not take everything, and then the index at the end is missing or short.
        found = cv2.VideoCapture(str(self._partial)).get(cv2.CAP_PROP_FRAME_COUNT)
        if found != self._num_pictures:
            self._partial.unlink(missing_ok=True)
            raise OutputError(
                f"{self._path}: cannot be written in full ({max(0, round(found))} of {self._num_pictures} pictures "
                "arrived); make room on its disk, or choose another"
            )
        with writing(self._path):
            self._partial.replace(self._path)


def _band(width: int, height: int, texts: Sequence[tuple[int, str, float]]) -> Rgb:
    band = np.full((height, width, 3), _BACKGROUND, np.uint8)
    for left, text, scale in texts:
        cv2.putText(band, text, (left, height - 10), cv2.FONT_HERSHEY_DUPLEX, scale, _TEXT, 1, cv2.LINE_AA)
    return band


def _legend(width: int, labels: LabelSet) -> Rgb:
    band = _band(width, 40, [])
    step = min(160, (width - _MARGIN) // len(labels))
    for index, (name, color) in enumerate(zip(labels.names, labels.colors, strict=True)):
        left = _MARGIN + index * step
        cv2.rectangle(band, (left, 11), (left + 18, 29), color, cv2.FILLED)
        cv2.putText(band, name, (left + 25, 26), cv2.FONT_HERSHEY_DUPLEX, 0.45, _TEXT, 1, cv2.LINE_AA)
    return band
