"""What a file is that is none of those that are read, told by its first bytes, and what to do with it.

Knows nothing of what was expected in its place.
"""

from __future__ import annotations

import shlex
import stat
from pathlib import Path
from typing import NamedTuple

_NAME = "VIDEO"
"""In a cure: the file's name, where it is known."""


class FileKind(NamedTuple):
    """`name` follows "found" in a sentence, `cure` ends it; a sequence holds many images."""

    name: str
    cure: str
    is_sequence: bool = False

    def of(self, path: Path) -> FileKind:
        """The same with a cure that names the file."""
        return self._replace(cure=self.cure.replace(_NAME, shlex.quote(str(path))))


_TO_PNG = "convert it to PNG"
_FROM_FLOATS = "tone-map it to 8 bits and save it as PNG or JPEG"
_UNPACK = "unpack it and give what is in it"
_VIDEO = FileKind(
    "a video",
    f"make images of it (mkdir frames && ffmpeg -i {_NAME} -qscale:v 2 frames/%06d.jpg) and give their folder",
    is_sequence=True,
)
_CAPTURE = FileKind(
    "a capture of network packets",
    "play it with the driver of the sensor it was captured from, and record the image topic with `ros2 bag record`",
)
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_MOST_TELLING = 512
"""So many bytes tell the kind."""

_EMPTY = FileKind("no bytes", "copy it again from its source, or check what wrote it")

_BEGINNINGS = {
    b"version https://git-lfs": FileKind("a Git LFS pointer", "run `git lfs pull`, which puts the file in its place"),
    b"<!doctype html": FileKind("a web page", "download the file itself"),
    b"<html": FileKind("a web page", "download the file itself"),
    b"GIF8": FileKind("a GIF", _TO_PNG),
    **dict.fromkeys((b"P2\n", b"P3\n", b"P5\n", b"P6\n", b"P5 ", b"P6 "), FileKind("a PGM or PPM image", _TO_PNG)),
    b"#?RADIANCE": FileKind("a Radiance HDR image", _FROM_FLOATS),
    b"\x76\x2f\x31\x01": FileKind("an OpenEXR image", _FROM_FLOATS),
    b"8BPS": FileKind("a Photoshop file", _TO_PNG),
    b"%PDF": FileKind("a PDF", _TO_PNG),
    b"\0\0\0\x0cjP  ": FileKind("a JPEG 2000 image", _TO_PNG),
    b"\0\0\0\x0cJXL ": FileKind("a JPEG XL image", _TO_PNG),
    b"\xff\x4f\xff\x51": FileKind("a JPEG 2000 image", _TO_PNG),
    b"\x93NUMPY": FileKind("a NumPy array", "save it as PNG"),
    b"MATLAB 5.0": FileKind("a MATLAB file", "save its arrays as PNG (scipy.io.loadmat reads them)"),
    b"\x89HDF": FileKind("an HDF5 file", "save its arrays as PNG (h5py reads them)"),
    b"PAR1": FileKind("a Parquet file", "save the images in it as files"),
    b"\x1a\x45\xdf\xa3": _VIDEO,  # Matroska and WebM
    b"PK\3\4": FileKind("a zip archive", _UNPACK),
    b"\x1f\x8b": FileKind("a gzip archive", _UNPACK),
    b"BZh": FileKind("a bzip2 archive", _UNPACK),
    b"\xfd7zXZ": FileKind("an xz archive", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": FileKind("a 7z archive", _UNPACK),
    b"\x28\xb5\x2f\xfd": FileKind("a zstd archive", _UNPACK),
    b"\x04\x22\x4d\x18": FileKind("an lz4 archive", _UNPACK),
    b"Rar!": FileKind("a RAR archive", _UNPACK),
    **dict.fromkeys((b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a"), _CAPTURE),
}

_BRANDS = {
    b"avif": FileKind("an AVIF image", _TO_PNG),
    b"avis": FileKind("an AVIF image", _TO_PNG),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"), FileKind("a HEIC image", _TO_PNG)),
}
"""Of files in ISO's base media format (ISO/IEC 14496-12), which begin with a box named ftyp; all others are videos."""


def kind_of(path: Path) -> FileKind | None:
    """What `other_kind` says of a file, naming it; None also if it cannot be read, or is no file and might block."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            kind = other_kind(file.read(_MOST_TELLING))
    except OSError:
        return None
    return kind and kind.of(path)


def other_kind(data: bytes) -> FileKind | None:
    """What the first bytes of a file, 24 or more (262 for a tar archive), show it to be; None if they show nothing."""
    if not data:
        return _EMPTY
    if data[4:8] == b"ftyp":
        return _BRANDS.get(bytes(data[8:12]), _VIDEO)
    if data.startswith(b"RIFF") and data[8:12] == b"AVI ":
        return _VIDEO
    if data.startswith(b"PK\3\4") and b".npy" in data[30:]:
        return FileKind("NumPy arrays", "save them as PNG")
    if data.startswith(_TAR_MAGIC, _TAR_MAGIC_AT):
        return FileKind("a tar archive", _UNPACK)
    start = data[:24].lower()
    return next((kind for begin, kind in _BEGINNINGS.items() if start.startswith(begin.lower())), None)
