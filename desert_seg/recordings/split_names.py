"""The names of a recording's files: which recording they belong to, and which number they have in it.

rosbag2 splits into `NAME_0.mcap`, `NAME_1.mcap`, …, or, since 2026, `0_NAME_DATE.mcap`, `1_NAME_DATE.mcap`; ROS 1 into
`NAME_DATE_0.bag`, `NAME_DATE_1.bag`. Files that differ in the date alone are recordings of their own. Knows nothing of
what is in the files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

ZSTD_SUFFIXES = (".zstd", ".zst")

_DATE = r"_?\d{4}[-_]\d\d[-_]\d\d[-_]\d\d[-_]\d\d[-_]\d\d"
_NUMBER_FIRST = re.compile(rf"(?P<number>\d{{1,9}})_(?P<recording>.*?){_DATE}")
_NUMBER_LAST = re.compile(rf"(?P<recording>.*?)(?:{_DATE})?_(?P<number>\d{{1,9}})")
_DATED = re.compile(rf"(?:.*_)?{_DATE}")


class SplitName(NamedTuple):
    """The recording's name, and the file's number in it; None if it has none."""

    recording: str
    number: int | None


def split_name(path: Path) -> SplitName:
    """What a file's name says."""
    stem = PurePath(plain_name(path)).stem
    if found := _NUMBER_FIRST.fullmatch(stem):
        return SplitName(found["recording"], int(found["number"]))
    if not _DATED.fullmatch(stem) and (found := _NUMBER_LAST.fullmatch(stem)):
        return SplitName(found["recording"], int(found["number"]))
    return SplitName(stem, None)


def plain_name(path: Path) -> str:
    """Without the suffix of a packed file."""
    return path.name.removesuffix(path.suffix) if path.suffix.lower() in ZSTD_SUFFIXES else path.name


def are_one_recording(files: Sequence[Path]) -> bool:
    """Whether names tell files apart by their numbers alone."""
    names = [split_name(file) for file in files]
    return len({name.recording for name in names}) == 1 and len(set(names)) == len(names)


def missing_numbers(files: Sequence[Path]) -> list[int]:
    """The numbers that are missing between those of a split recording; none of files that are not split."""
    numbers = {name.number for name in map(split_name, files)} - {None}
    found = sorted(number for number in numbers if number is not None)
    if len(found) < 2 or not are_one_recording(files):
        return []
    begin = 0 if found[0] < 100 else found[0]  # recorders count from 0; larger ones are dates
    return sorted(set(range(begin, min(found[-1], begin + 10_000))) - set(found))
