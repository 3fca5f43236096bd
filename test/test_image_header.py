"""The size in a header against what decoders find, and sizes that no decoder should meet."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from desert_seg.errors import DataError
from desert_seg.image_header import MAX_PIXELS, check_pixels, check_size, image_size

SAVED_AS = {
    "PNG": {},
    "JPEG": {},
    "JPEG, progressive": {"progressive": True},
    "JPEG, with a thumbnail and a profile": {"exif": b"Exif\0\0" + bytes(9000), "icc_profile": bytes(70_000)},
    "WEBP": {},
    "WEBP, lossless": {"lossless": True},
    "WEBP, extended": {"exif": b"Exif\0\0" + bytes(99)},
    "TIFF": {},
    "TIFF, large": {"big_tiff": True},
    "BMP": {},
}


@given(st.sampled_from(tuple(SAVED_AS)), st.integers(1, 70), st.integers(1, 70))
@settings(deadline=None)
def test_the_size_is_the_one_a_decoder_finds(name: str, width: int, height: int) -> None:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, name.partition(",")[0], **SAVED_AS[name])
    assert image_size(file.getvalue()) == (width, height)
    assert image_size(memoryview(file.getvalue())) == (width, height)


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_opencv_writes_has_a_size(kind: str, dtype: type) -> None:
    if dtype == np.uint16 and kind not in ("png", "tiff"):
        return
    data = cv2.imencode(f".{kind}", np.zeros((7, 5, 3), dtype))[1].tobytes()
    assert image_size(data) == (5, 7)


def test_a_size_is_as_stored_whatever_exif_says() -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (5, 7)).save(file, "JPEG", exif=exif.tobytes())
    assert image_size(file.getvalue()) == (5, 7)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_small_file_of_many_pixels_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(9))
    with pytest.raises(DataError, match=r"^huge.png: found 30000x30000 pixels, expected at most 67.1 megapixels"):
        check_pixels(data, "huge.png")
    check_pixels(data, "huge.png", max_pixels=30_000**2)


def test_the_limit_is_the_last_size_allowed() -> None:
    check_size(2**13, 2**13, "image")
    with pytest.raises(DataError, match="8193x8192"):
        check_size(2**13 + 1, 2**13, "image")
    assert MAX_PIXELS == 2**26


@pytest.mark.parametrize("data", [b"Q6 4 4 255\n" + bytes(48), b"\xff\xd8\xff\xd9"])
def test_another_kind_of_file_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=f"^x: found {len(data)} bytes without the header of a PNG, JPEG"):
        check_pixels(data, "x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "found no bytes, expected a PNG"),
        (b"GIF89a" + bytes(99), "found a GIF, .*; convert it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "found a Git LFS pointer, .*; run `git lfs pull`"),
        (b"<!DOCTYPE html><html>", "found a web page"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1", "found a HEIC image"),
        (b"\0\0\0\x1cftypmp42" + bytes(9), "found a video, .*; make images of it"),
    ],
)
def test_a_file_of_a_known_kind_is_named_with_its_cure(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=f"^x: {words}"):
        check_pixels(data, "x")


@given(
    st.sampled_from((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8", b"II*\0", b"MM\0+", b"BM")),
    st.binary(),
)
@settings(deadline=None)
def test_any_bytes_have_a_size_or_none(prefix: bytes, data: bytes) -> None:
    size = image_size(prefix + data)
    assert size is None or (len(size) == 2 and min(size) >= 0)


def test_a_directory_beyond_any_file_is_no_header() -> None:
    assert image_size(b"II+\0\x08\0\0\0" + b"\xff" * 8) is None


def test_long_files_without_a_header_take_no_long_time() -> None:
    for filling in (b"\0", b"\xff", b"\xff\xd8"):
        assert image_size(b"\xff\xd8\xff" + filling * 1_000_000) is None
