"""How many pixels an encoded image has, read from its header alone: a few kilobytes can decode to gigabytes.

OpenCV has no such call, and Pillow refuses files that OpenCV reads (TIFF of 16-bit colour) and allocates a canvas for
others. The fields read here are those of W3C PNG 11.2.1, ITU-T T.81 B.2.2 (JPEG), RFC 9649 (WebP), TIFF 6.0 and
Microsoft's BITMAPINFOHEADER (BMP). Nothing is decoded, and an image of any other kind is refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from itertools import islice

from desert_seg.errors import DataError
from desert_seg.file_kind import other_kind

MAX_PIXELS = 2**26
"""64 megapixels, 8192 x 8192: what is larger is refused before it is decoded."""

_TIFF_SIDES = {256: "width", 257: "height", 322: "width", 323: "height"}  # of the image and of its tiles
_TIFF_SUBFILE, _TIFF_BITS, _TIFF_ORIENTATION, _TIFF_CHANNELS = 254, 258, 274, 277
_TIFF_COLORS, _MAX_CHANNELS = 262, 4
_OTHER_COLORS = {8: "colours in L*a*b*", 9: "colours in L*a*b*", 10: "colours in L*a*b*"}
_EXIF = re.compile(rb"(?:Exif\0\0|eXIf|EXIF....)(?:Exif\0\0)?(?=II\*\0|MM\0\*)", re.DOTALL)
"""What comes before the TIFF header of the EXIF data in JPEG, PNG and WebP (CIPA DC-008)."""

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_PAGES = 1000
_TIFF_LAST = max(_TIFF_SIDES)
_TIFF_INTEGERS = {3: "H", 4: "I", 16: "Q"}
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xfe])", re.DOTALL)  # 0xFF may be repeated before it; decoders skip the rest
_JPEG_TABLES = (0xC4, 0xC8, 0xCC)  # among the markers of frame headers, 0xC0..0xCF


def check_pixels(data: bytes | memoryview, what: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an encoded image that is too large to decode, or of a kind that is not read.

    Args:
        data: The whole of an image file.
        what: How a message calls it, for example its path.
        max_pixels: How many pixels it may have.

    Raises:
        DataError: It has more pixels, or is no PNG, JPEG, WebP, TIFF or BMP with a whole header.
    """
    size = image_size(data)
    if size is None and (other := other_kind(bytes(data[:24]))):
        raise DataError(f"{what}: found {other.name}, expected a PNG, JPEG, WebP, TIFF or BMP; {other.cure}")
    if size is None:
        raise DataError(
            f"{what}: found {len(data)} bytes without the header of a PNG, JPEG, WebP, TIFF or BMP, or cut short "
            "within it; save it again as one of these"
        )
    check_size(*size, what, max_pixels)


def check_size(width: int, height: int, what: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image of more than `max_pixels` pixels; `what` begins the message of the DataError."""
    if width * height > max_pixels:
        raise DataError(
            f"{what}: found {width}x{height} pixels, expected at most {max_pixels / 1e6:.3g} megapixels; scale it down"
        )


def image_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Width and height in pixels as stored, before any EXIF rotation; None if the header is unknown or cut short."""
    data = bytes(data)
    for matches, read in _KINDS:
        if matches(data):
            try:
                return read(data)
            except (struct.error, OverflowError):  # cut short; an offset beyond what a file can have
                return None
    return None


def _png(data: bytes) -> tuple[int, int] | None:
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    return (width, height) if kind == b"IHDR" else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    position = 2
    while (found := _JPEG_MARKER.search(data, position)) is not None:
        marker, position = found[1][0], found.end()
        if 0xC0 <= marker <= 0xCF and marker not in _JPEG_TABLES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if marker in (0xD9, 0xDA):  # the end of the image, or its first scan
            return None
        if marker != 0x01 and not 0xD0 <= marker <= 0xD8:  # all others begin a segment that says how long it is
            position += struct.unpack_from(">H", data, position)[0]
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, width_high, height, height_high = struct.unpack_from("<HBHB", data, 24)
        return (width_high << 16 | width) + 1, (height_high << 16 | height) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _bmp(data: bytes) -> tuple[int, int] | None:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_bytes == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height: rows from the top


def _tiff(data: bytes) -> tuple[int, int] | None:
    sides = {"width": 0, "height": 0}
    for tag, value in tiff_tags(data).items():
        if tag in _TIFF_SIDES:
            sides[_TIFF_SIDES[tag]] = max(value, sides[_TIFF_SIDES[tag]])
    return (sides["width"], sides["height"]) if all(sides.values()) else None


def tiff_tags(data: bytes) -> dict[int, int]:
    """Tags of the first page of a TIFF that are whole numbers; raises struct.error if they are cut short."""
    return next(_tiff_pages(data), {})


def _tiff_pages(data: bytes) -> Iterator[dict[int, int]]:
    """The same of every page; a chain of pages that leads back ends there."""
    order = "<" if data.startswith(b"I") else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    offset, count = order + ("Q" if big else "I"), order + ("Q" if big else "H")
    entry_bytes, value_offset = (20, 12) if big else (12, 8)
    (directory,) = struct.unpack_from(offset, data, 8 if big else 4)
    seen: set[int] = set()
    while directory and directory not in seen:
        seen.add(directory)
        (num_entries,) = struct.unpack_from(count, data, directory)
        first = directory + struct.calcsize(count)
        end = first + num_entries * entry_bytes
        tags: dict[int, int] = {}
        for start in range(first, end, entry_bytes):
            tag, kind = struct.unpack_from(f"{order}HH", data, start)
            if tag > _TIFF_LAST:  # entries are in ascending order
                break
            if kind in _TIFF_INTEGERS:
                (value,) = struct.unpack_from(order + _TIFF_INTEGERS[kind], data, start + value_offset)
                tags[tag] = max(value, tags.get(tag, 0))
        yield tags
        (directory,) = struct.unpack_from(offset, data, end)


def count_pages(data: bytes) -> int:
    """How many pictures an encoded image holds: a TIFF's pages, without previews, or the frames of an animation.

    Counting ends at `_MAX_PAGES`.
    """
    if data.startswith(b"\x89PNG"):
        return _num_png_frames(data)
    if data[8:16] == b"WEBPVP8X":
        return max(1, webp_chunks(data).count(b"ANMF"))
    if not data.startswith(_TIFF_MAGICS):
        return 1
    num_pages = 0
    try:
        for tags in islice(_tiff_pages(data), _MAX_PAGES):
            num_pages += not tags.get(_TIFF_SUBFILE, 0)
    except (struct.error, OverflowError):  # decoding tells what is damaged
        pass
    return num_pages


def webp_chunks(data: bytes) -> list[bytes]:
    """Names of the chunks of a WebP (RFC 9649)."""
    names, place = [], 12
    while place + 8 <= len(data):
        names.append(data[place : place + 4])
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return names


def _num_png_frames(data: bytes) -> int:
    """What the chunk acTL before the pixels says (W3C PNG 11.3.6.1); 1 without it."""
    chunk = data.find(b"acTL", 0, max(0, data.find(b"IDAT")))
    return max(1, int.from_bytes(data[chunk + 4 : chunk + 8], "big")) if chunk > 0 else 1


def exif_orientation(data: bytes) -> int:
    """EXIF orientation of an encoded image, 1 to 8: 1 = shown as stored, also where there is no such tag."""
    if data.startswith(_TIFF_MAGICS):
        begin = 0
    elif found := _EXIF.search(data):
        begin = found.end()
    else:
        return 1
    try:
        orientation = tiff_tags(data[begin:]).get(_TIFF_ORIENTATION, 1)
    except (struct.error, OverflowError):  # not a whole image, which decoding it tells
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def is_deep_grey(data: bytes) -> bool:
    """True for a PNG or TIFF of one channel of 16 bits."""
    if data.startswith(b"\x89PNG"):
        return data[24:26] == bytes((16, 0))
    if not data.startswith(_TIFF_MAGICS):
        return False
    try:
        tags = tiff_tags(data)
    except (struct.error, OverflowError):
        return False
    return tags.get(_TIFF_BITS) == 16 and tags.get(_TIFF_CHANNELS, 1) == 1


def other_channels(data: bytes) -> str:
    """What a TIFF's channels are that are not red, green, blue and alpha, nor grey; empty for all other images.

    OpenCV takes the first of them for red, green and blue.
    """
    if not data.startswith(_TIFF_MAGICS):
        return ""
    try:
        tags = tiff_tags(data)
    except (struct.error, OverflowError):
        return ""
    if (num_channels := tags.get(_TIFF_CHANNELS, 1)) > _MAX_CHANNELS:
        return f"{num_channels} channels, as of a multispectral camera"
    return _OTHER_COLORS.get(tags.get(_TIFF_COLORS, 0), "")


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], tuple[int, int] | None]], ...] = (
    (lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp),
    (lambda data: data.startswith(_TIFF_MAGICS), _tiff),
    (lambda data: data.startswith(b"BM"), _bmp),
)
