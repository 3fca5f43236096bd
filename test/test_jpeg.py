"""A JPEG is whole or no image, by whatever way it lost a part."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from desert_seg.jpeg import decode_whole

NOISE = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
PICTURE = cv2.GaussianBlur(NOISE, (0, 0), 2)
PICTURE_OF_THE_FILLING = np.full_like(PICTURE, 128)

KINDS = {
    "plain": {},
    "optimized": {"optimize": True},
    "full colour": {"subsampling": 0},
    "restarts": {"restart_marker_blocks": 4},
    "progressive": {"progressive": True},
}


def encode(image: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Picture.fromarray(image).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def middle(data: bytes) -> int:
    """In the scan, a little before its middle."""
    scan = data.find(b"\xff\xda")
    return scan + (len(data) - scan) * 2 // 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", [NOISE, PICTURE, PICTURE_OF_THE_FILLING, PICTURE[..., 0]])
@pytest.mark.parametrize("flags", [cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED])
def test_a_whole_file_is_read_as_opencv_reads_it(kind, picture, flags):
    data = encode(picture, **KINDS[kind])
    np.testing.assert_array_equal(decode_whole(data, flags), cv2.imdecode(np.frombuffer(data, np.uint8), flags))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data, at: data[:at],
        lambda data, at: data[:at] + b"\xff\xd9",
        lambda data, at: data[:at] + bytes(len(data) - at),
        lambda data, at: data[:at] + data,
    ],
    ids=["cut", "end marker", "zeros", "next frame"],
)
def test_a_file_that_lost_its_second_half_is_no_image(kind, damage):
    data = encode(PICTURE, **KINDS[kind])
    assert decode_whole(damage(data, middle(data)), cv2.IMREAD_COLOR) is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
@pytest.mark.parametrize("filling", [b"", bytes(800)], ids=["left out", "zeros"])
def test_a_file_with_a_hole_is_no_image(kind, filling):
    data = encode(PICTURE, **KINDS[kind])
    assert decode_whole(data[: middle(data)] + filling + data[middle(data) + 800 :], cv2.IMREAD_COLOR) is None


@pytest.mark.parametrize("place", ["before the end", "after the end"])
def test_padding_is_no_damage(place):
    data, padding = encode(PICTURE), b"\0\xff" * 3 + bytes(9)
    padded = data + padding if place == "after the end" else data[:-2] + bytes(9) + data[-2:]
    np.testing.assert_array_equal(decode_whole(padded, cv2.IMREAD_COLOR), decode_whole(data, cv2.IMREAD_COLOR))


def test_a_camera_may_leave_the_range_of_frequencies_empty():
    data = encode(PICTURE)
    scan = data.find(b"\xff\xda") + 2
    header = scan + int.from_bytes(data[scan : scan + 2], "big")
    assert decode_whole(data[: header - 3] + bytes(3) + data[header:], cv2.IMREAD_COLOR) is not None


def test_a_cut_is_found_where_a_tag_turns_the_image():
    exif = Picture.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        data = encode(PICTURE, exif=exif.tobytes())
        assert decode_whole(data[: middle(data)] + b"\xff\xd9", cv2.IMREAD_COLOR) is None
