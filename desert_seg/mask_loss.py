"""How an image file is compressed, told by its header: with loss, which changes the values of a mask, or without."""

from __future__ import annotations

import struct

from desert_seg.image_header import tiff_tags, webp_chunks

_TIFF_COMPRESSION = 259
_PACKED_TIFF = (5, 8, 32773, 32946)
_LOSSY_TIFF = {6: "JPEG", 7: "JPEG", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 50001: "WebP"}


def is_packed_tiff(data: bytes) -> bool:
    """Whether the file is a TIFF whose samples are packed without loss: LZW, Deflate or PackBits."""
    return _tiff_compression(data) in _PACKED_TIFF


def lossy_compression(data: bytes) -> str | None:
    """What changed the samples of an image file, for example `JPEG in TIFF`; None if nothing did.

    JPEG 2000 and WebP within TIFF can be lossless, but do not say so.

    Args:
        data: The whole of a PNG, JPEG, WebP, TIFF or BMP.
    """
    if data.startswith(b"\xff\xd8"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "lossy WebP" if b"VP8 " in webp_chunks(data) else None
    scheme = _LOSSY_TIFF.get(_tiff_compression(data))
    return f"{scheme} in TIFF" if scheme else None


def _tiff_compression(data: bytes) -> int:
    """The number of a TIFF's compression; 0 for any other file, and one that is no whole image."""
    if not data.startswith((b"II", b"MM")):
        return 0
    try:
        return tiff_tags(data).get(_TIFF_COMPRESSION, 1)
    except (struct.error, OverflowError):
        return 0
