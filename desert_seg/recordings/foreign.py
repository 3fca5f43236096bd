"""Files that people take for recordings: what they are, and how to make a recording of them."""

from __future__ import annotations

from pathlib import Path

from desert_seg.file_kind import FileKind, other_kind
from desert_seg.image_folder import is_image_name
from desert_seg.recordings.cut_mcap import MAGIC as MCAP_MAGIC
from desert_seg.recordings.storage import ROSBAG1_MAGIC, SQLITE_MAGIC

_RECORDINGS = {MCAP_MAGIC: ".mcap", SQLITE_MAGIC: ".db3", ROSBAG1_MAGIC: ".bag"}

_TABLE = FileKind("a table without images", "give the recording or the folder of images that it was made from")
_SETTINGS = FileKind("a text file", "give the recording or the folder of images that it belongs to")
_ZED = FileKind(
    "a recording of ZED's SDK",
    "play it with the ZED wrapper (svo_path:=FILE), and record its image topic with `ros2 bag record`",
)
_LOG = FileKind("a part of a db3 file that is not written yet", "give the .db3 file beside it, which is read with it")

WRITING = (_TABLE, _SETTINGS)
"""What often lies beside recordings, and so is not what somebody means who gives a folder."""

_UNFINISHED = FileKind("a file whose download or copy has not ended", "wait for its end, or copy it again")

_SUFFIXES = {
    **dict.fromkeys((".part", ".partial", ".crdownload", ".filepart", ".tmp"), _UNFINISHED),
    ".svo": _ZED,
    ".svo2": _ZED,
    ".csv": _TABLE,
    ".tsv": _TABLE,
    ".parquet": _TABLE,
    ".db3-wal": _LOG,
    ".db3-shm": _LOG,
    ".rrd": FileKind("a recording of Rerun", "give the bag that it was made from"),
    ".ulg": FileKind("a flight log without images", "give a bag that was recorded on the robot's computer"),
    ".pcd": FileKind("a cloud of points", "give a recording of a camera"),
    ".ply": FileKind("a cloud of points", "give a recording of a camera"),
    **dict.fromkeys((".txt", ".json", ".yaml", ".yml", ".xml"), _SETTINGS),
}


def foreign_kind(path: Path) -> FileKind | None:
    """What a file is that is named like no recording, by its first bytes, else by its name.

    Raises:
        OSError: It cannot be read.
    """
    if not path.is_file():
        return None
    if path.name == "metadata.yaml":
        return FileKind("the description of a bag", f"give the folder it is in, {path.parent}")
    if is_image_name(path):
        return FileKind("a single image", f"give the folder it is in, {path.parent}")
    with path.open("rb") as file:
        data = file.read(512)
    if suffix := next((suffix for magic, suffix in _RECORDINGS.items() if data.startswith(magic)), None):
        named = FileKind("a recording that is not named like one", f"rename it to end in {suffix}")
        return _SUFFIXES.get(path.suffix.lower(), named)
    kind = other_kind(data) or _SUFFIXES.get(path.suffix.lower())
    return kind and kind.of(path)
