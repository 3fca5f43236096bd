"""The files of a recording, found from a path, in order and with their faults.

What `metadata.yaml` says is only advice: rosbag2 writes it last, and people edit it. It gives the order of the files
and the number of messages to expect; formats are recognised by the first bytes of the files. Files compressed with zstd
are unpacked once and removed with the `RecordingFiles`. Nothing but regular files is ever opened. Knows nothing of
messages.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import zstandard

from desert_seg.errors import DataError
from desert_seg.file_kind import FileKind
from desert_seg.recordings.foreign import foreign_kind
from desert_seg.recordings.split_names import ZSTD_SUFFIXES, are_one_recording, missing_numbers, plain_name, split_name
from desert_seg.yaml_file import read_yaml

STORAGE_SUFFIXES = (".mcap", ".db3", ".bag")

_METADATA = "metadata.yaml"
_METADATA_KEY = "rosbag2_bagfile_information"


@dataclass(frozen=True)
class RecordingFiles:
    """The files of one recording.

    Attributes:
        path: The given folder or file.
        files: The storage files in the order of their list or their numbers, unpacked.
        declared: Number of messages by topic according to `metadata.yaml`; empty without it or if files are missing.
        remarks: Sentences on faults in spite of which it is read.
    """

    path: Path
    files: tuple[Path, ...]
    declared: Mapping[str, int]
    remarks: tuple[str, ...] = ()


def is_recording(path: Path) -> bool:
    """True if `path` is named like a storage file, or is a folder with one or with a `metadata.yaml` of rosbag2."""
    if path.is_dir():
        with suppress(OSError):  # an unreadable folder is reported when its images are listed
            return any(_is_storage(child) for child in path.iterdir()) or bool(_read_metadata(path))
        return False
    return _is_storage(path)


def find_files(path: Path) -> RecordingFiles:
    """Find the files of a recording.

    Args:
        path: A folder that rosbag2 wrote, or one of its files, or a ROS 1 bag.

    Raises:
        DataError: There are none, several recordings, or files that cannot be unpacked.
    """
    if not path.exists():
        raise DataError(f"found no bag at {path}; give a bag folder or a file ending in .mcap, .db3 or .bag")
    if not is_recording(path):
        if other := _foreign(path):
            raise DataError(f"{path}: found {other.name}, expected a bag or a folder of images; {other.cure}")
        raise DataError(
            f"found no bag at {path}, expected a bag folder or a file ending in .mcap, .db3 or .bag; give one of these"
        )
    if not path.is_dir():
        return _unpacked(path, [_regular(path)], {}, [])
    metadata, remarks = _read_metadata(path), []
    listed = _listed_files(path, metadata)
    present = [file for file in listed if file is not None]
    if not present:
        present = _files_of_one_recording(path)
        there = (path / _METADATA).exists()
        what = (
            "lists none of the files there, as after a power loss or a renaming"
            if there
            else "is missing, as after a power loss"
        )
        if not all(file.suffix.lower() == ".bag" for file in present):  # ROS 1 writes no metadata
            remarks.append(f"{path}: {_METADATA} {what}; what the files hold is read")
        remarks += _gaps(path, present)
    elif len(present) < len(listed):
        missing = len(listed) - len(present)
        remarks.append(f"{path}: {missing} of its {len(listed)} files are missing; the others are read")
    else:
        remarks += [*_unlisted(path, present), *_gaps(path, present)]
    declared = _declared_counts(metadata) if len(present) == len(listed) else {}
    return _unpacked(path, [_regular(file) for file in present], declared, remarks)


def _foreign(path: Path) -> FileKind | None:
    try:
        return foreign_kind(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _is_storage(path: Path) -> bool:
    name = path.name.lower()
    if name.startswith("._") or path.is_dir():  # macOS adds ._ files to what it copies
        return False
    for suffix in ZSTD_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.removesuffix(".active").endswith(STORAGE_SUFFIXES)


def _regular(path: Path) -> Path:
    """The file; opening a pipe or a device could block for ever."""
    if not path.is_file():
        raise DataError(
            f"{path}: is no regular file, expected a recording; copy what it gives into a file, and give that"
        )
    return path


def _read_metadata(folder: Path) -> Mapping[str, Any]:
    """What rosbag2 wrote about a bag; empty if that is missing or unusable."""
    try:
        content = read_yaml(folder / _METADATA)
    except DataError:
        return {}
    found = content.get(_METADATA_KEY) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def _listed_files(folder: Path, metadata: Mapping[str, Any]) -> list[Path | None]:
    """The files that metadata lists, always in the folder itself; None for one that is not there."""
    names = metadata.get("relative_file_paths")
    names = [PurePath(str(name)).name for name in names] if isinstance(names, list) else []
    return [_there(folder / name) if name else None for name in dict.fromkeys(names)]


def _there(path: Path) -> Path | None:
    """The file, or its compressed or uncompressed twin: rosbag2 compresses finished files, people any file."""
    plain = path.with_suffix("") if path.suffix in ZSTD_SUFFIXES else path
    return next((each for each in (path, plain, *_packed(plain)) if _is_file(each)), None)


def _is_file(path: Path) -> bool:
    """Whether something that is no folder is there; never of a name that is longer than any file's."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:
        return False


def _packed(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ZSTD_SUFFIXES]


def _files_of_one_recording(folder: Path) -> list[Path]:
    """The storage files of a folder in the order of their numbers."""
    files = sorted((child for child in folder.iterdir() if _is_storage(child)), key=_by_number)
    if not files:
        raise DataError(f"{folder}: holds a {_METADATA} and no recording; copy the files it lists beside it")
    names = {file.name for file in files}  # a recorder that is killed while it compresses leaves both
    files = [file for file in files if plain_name(file) == file.name or plain_name(file) not in names]
    if len(files) > 1 and not are_one_recording(files):
        raise DataError(
            f"{folder}: holds several recordings and no {_METADATA} that lists them; give one of its files: "
            f"{', '.join(file.name for file in files)}"
        )
    return files


def _unlisted(folder: Path, listed: Iterable[Path]) -> list[str]:
    """A remark on recordings that metadata leaves out, as when rosbag2 ended before it wrote it anew."""
    taken = {plain_name(file) for file in listed}
    left_out = sorted(child.name for child in folder.iterdir() if _is_storage(child) and plain_name(child) not in taken)
    if not left_out:
        return []
    return [
        f"{folder}: {_METADATA} does not list {', '.join(left_out)}, and nothing of that is read; if it belongs to the "
        f"recording, run `ros2 bag reindex {folder.name}`"
    ]


def _gaps(folder: Path, files: list[Path]) -> list[str]:
    """A remark on numbers that are missing between the files of a split recording."""
    missing = missing_numbers(files)
    if not missing:
        return []
    more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
    return [f"{folder}: its file number {missing[0]}{more} missing; the others are read"]


def _by_number(path: Path) -> tuple[int, str]:
    return split_name(path).number or 0, path.name


def _declared_counts(metadata: Mapping[str, Any]) -> dict[str, int]:
    topics = metadata.get("topics_with_message_count")
    counts: dict[str, int] = {}
    for topic in topics if isinstance(topics, list) else []:
        try:
            name, count = str(topic["topic_metadata"]["name"]), int(topic["message_count"])
        except (KeyError, TypeError, ValueError):
            continue
        counts[name] = counts.get(name, 0) + count
    return counts


def _unpacked(path: Path, files: Iterable[Path], declared: Mapping[str, int], remarks: list[str]) -> RecordingFiles:
    """The recording with unpacked files in the place of compressed ones."""
    folder: Path | None = None
    plain: list[Path] = []
    try:
        for file in files:
            if file.suffix.lower() in ZSTD_SUFFIXES:
                folder = folder or Path(tempfile.mkdtemp(prefix="desert_seg_"))
                plain.append(_unpack(file, folder / file.stem))
            else:
                plain.append(file)
    except BaseException:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    found = RecordingFiles(path, tuple(plain), declared, tuple(remarks))
    if folder is not None:
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    return found


def _unpack(packed: Path, target: Path) -> Path:
    """Unpack as far as possible; a truncated file is noticed when it is read."""
    try:
        with packed.open("rb") as source, target.open("wb") as sink:
            zstandard.ZstdDecompressor().copy_stream(source, sink)
    except OSError as error:
        raise DataError(
            f"{packed}: cannot be unpacked into {target.parent} ({error.strerror}); set TMPDIR to a folder with "
            f"room, or run `unzstd {packed.name}` and give the file it makes"
        ) from error
    except zstandard.ZstdError as error:
        if not target.stat().st_size:
            raise DataError(f"{packed}: is no zstd file ({error}); copy it again") from error
    return target
