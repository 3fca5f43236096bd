"""The codec against `rosbags-image`, an independent one, and against laws: padding and byte order change nothing."""

from __future__ import annotations

import array
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desert_seg.errors import FrameError
from desert_seg.recordings.image_codec import (
    SUPPORTED_ENCODINGS,
    decode_compressed,
    decode_image,
    decode_mask,
    fill_image,
)

NUM_CHANNELS = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4}
NUM_CHANNELS |= dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2)

ENCODINGS = st.sampled_from(SUPPORTED_ENCODINGS)
SIZES = st.tuples(st.integers(2, 12).map(lambda n: 2 * n), st.integers(2, 12).map(lambda n: 2 * n))
SEEDS = st.integers(0, 2**32 - 1)


def sample_bytes(encoding: str) -> int:
    return 2 if "16" in encoding else 1


def image_message(encoding: str, size: tuple[int, int], seed: int, padding: int = 0, big: bool = False) -> Any:
    """A message of random pixels, the same ones whatever the padding and the byte order."""
    height, width = size
    num_rows = height * 3 // 2 if encoding == "nv12" else height
    samples = np.random.default_rng(seed).integers(
        0, 256 ** sample_bytes(encoding), (num_rows, width * NUM_CHANNELS.get(encoding, 1))
    )
    dtype = f"{'>' if big else '<'}u{sample_bytes(encoding)}"
    rows = np.ascontiguousarray(samples.astype(dtype)).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=rows.shape[1],
        is_bigendian=int(big),
        data=array.array("B", rows.tobytes()),
    )


def compressed_message(kind: str, image: np.ndarray) -> Any:
    return SimpleNamespace(format=kind, data=cv2.imencode(f".{kind}", image)[1].tobytes())


@given(ENCODINGS, SIZES, SEEDS, st.integers(0, 9))
@settings(deadline=None)
def test_padding_at_the_end_of_rows_changes_nothing(
    encoding: str, size: tuple[int, int], seed: int, padding: int
) -> None:
    plain, padded = image_message(encoding, size, seed), image_message(encoding, size, seed, padding)
    rgb = decode_image(plain)
    assert rgb.shape == (*size, 3)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, decode_image(padded))


@given(ENCODINGS, SIZES, SEEDS)
@settings(deadline=None)
def test_byte_order_changes_nothing(encoding: str, size: tuple[int, int], seed: int) -> None:
    little, big = (image_message(encoding, size, seed, big=big) for big in (False, True))
    np.testing.assert_array_equal(decode_image(little), decode_image(big))


@given(ENCODINGS.filter(lambda name: "UC" not in name), SIZES, SEEDS)
@settings(deadline=None)
def test_pixels_agree_with_an_independent_codec(encoding: str, size: tuple[int, int], seed: int) -> None:
    oracle = pytest.importorskip("rosbags.image")
    message = image_message(encoding, size, seed)
    ours = decode_image(message)
    if encoding == "nv12":  # the oracle counts the rows of chroma as image rows
        message.height = message.height * 3 // 2
    theirs = np.asarray(oracle.image_to_cvimage(message, "rgb8"))
    # We keep the high byte, the oracle scales by 255 / 65535, after demosaicing.
    tolerance = {1: 0, 2: 1}[sample_bytes(encoding)] + (encoding.startswith("bayer") and encoding.endswith("16"))
    assert np.abs(ours.astype(int) - theirs).max() <= tolerance


@given(SIZES, SEEDS)
def test_unnamed_channels_are_gray_or_in_the_order_of_opencv(size: tuple[int, int], seed: int) -> None:
    for unnamed, named in (("8UC1", "mono8"), ("8UC3", "bgr8"), ("16UC1", "mono16")):
        np.testing.assert_array_equal(
            decode_image(image_message(unnamed, size, seed)), decode_image(image_message(named, size, seed))
        )


def test_a_bayer_mosaic_of_one_colour_decodes_to_that_colour() -> None:
    for pattern in ("rggb", "bggr", "gbrg", "grbg"):
        for bits in (8, 16):
            message = image_message(f"bayer_{pattern}{bits}", (8, 8), seed=0)
            tile = np.array([{"r": 200, "g": 100, "b": 50}[letter] for letter in pattern]).reshape(2, 2)
            mosaic = np.tile(tile, (4, 4)).astype(f"<u{bits // 8}") << (bits - 8)
            message.data = mosaic.tobytes()
            np.testing.assert_array_equal(decode_image(message), np.full((8, 8, 3), (200, 100, 50)))


def test_unpadded_rgb8_is_a_read_only_view_of_the_message() -> None:
    message = image_message("rgb8", (4, 6), seed=0)
    rgb = decode_image(message)
    assert np.shares_memory(rgb, np.frombuffer(message.data, np.uint8))
    assert not rgb.flags.writeable


@given(SIZES, SEEDS)
@settings(deadline=None)
def test_png_is_lossless_in_rgb_order(size: tuple[int, int], seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    message = compressed_message("png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    np.testing.assert_array_equal(decode_compressed(message), rgb)


def test_jpeg_decodes_in_rgb_order() -> None:
    bgr = np.full((16, 16, 3), (0, 0, 255), np.uint8)
    rgb = decode_compressed(compressed_message("jpg", bgr)).astype(int)
    assert np.abs(rgb - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize("image", [np.full((4, 6), 300 * 100, np.uint16), np.full((4, 6), 117, np.uint8)])
def test_gray_and_16_bit_png_become_8_bit_rgb(image: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_compressed(compressed_message("png", image)), np.full((4, 6, 3), 117))


@given(st.sampled_from(("mono8", "mono16", "8UC1", "16UC1")), SIZES, SEEDS, st.integers(0, 9), st.booleans())
def test_raw_mask_values_survive_every_layout(
    encoding: str, size: tuple[int, int], seed: int, padding: int, big: bool
) -> None:
    mask = decode_mask(image_message(encoding, size, seed, padding, big))
    expected = np.random.default_rng(seed).integers(0, 256 ** sample_bytes(encoding), size)
    assert mask.dtype == np.dtype(f"u{sample_bytes(encoding)}")
    assert mask.dtype.isnative
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_raw_mask_values_survive_png(dtype: type) -> None:
    mask = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (7, 5), dtype)
    decoded = decode_mask(compressed_message("png", mask))
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, mask)


@given(st.sampled_from(("rgb8", "mono8", "32FC1", "32FC7")), SIZES, SEEDS)
def test_a_filled_message_reads_back_by_its_own_fields(encoding: str, size: tuple[int, int], seed: int) -> None:
    num_channels = {"rgb8": 3, "mono8": 1, "32FC1": 1, "32FC7": 7}[encoding]
    dtype = np.float32 if encoding.startswith("32F") else np.uint8
    shape = size if num_channels == 1 else (*size, num_channels)
    image = np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)
    message, header = SimpleNamespace(), object()
    fill_image(message, image[:, ::-1], encoding, header)  # not contiguous: the copy must be in row order
    assert message.header is header
    assert (message.height, message.width, message.encoding, message.is_bigendian) == (*size, encoding, 0)
    assert message.step == size[1] * num_channels * image.itemsize
    assert isinstance(message.data, array.array)
    np.testing.assert_array_equal(np.frombuffer(message.data, dtype).reshape(shape), image[:, ::-1])


def test_a_filled_ros_message_decodes_to_the_same_pixels() -> None:
    messages = pytest.importorskip("sensor_msgs.msg", reason="needs ROS")
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    message = messages.Image()
    fill_image(message, rgb, "rgb8", message.header)
    np.testing.assert_array_equal(decode_image(message), rgb)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, "0x4 pixels"),
        ({"height": 0}, "6x0 pixels"),
        ({"step": 17}, "rows of 17 bytes, expected at least 18"),
        ({"data": bytes(71)}, "71 bytes of data, expected 72"),
        ({"data": b""}, "0 bytes of data, expected 72"),
        ({"encoding": "nv12", "height": 3}, "even sizes"),
        ({"encoding": "yuyv", "width": 5}, "even sizes"),
        ({"encoding": "32FC1"}, "'32FC1', expected one of: rgb8, bgr8"),
    ],
)
def test_a_broken_image_is_named(changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    message = image_message("rgb8", (4, 6), seed=0)
    vars(message).update(changes)
    with pytest.raises(FrameError, match=words):
        decode_image(message)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("jpeg", b"", "0 bytes of format 'jpeg'"),
        ("png", b"no image", "8 bytes of format 'png'"),
        ("16UC1; compressedDepth png", b"", "which is depth"),
    ],
)
def test_a_broken_compressed_image_is_named(kind: str, data: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        decode_compressed(SimpleNamespace(format=kind, data=data))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_an_image_or_a_frame_error(data: bytes) -> None:
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"):
        with pytest.raises(FrameError):
            decode_compressed(SimpleNamespace(format="jpeg", data=prefix + data))


def test_a_mask_that_is_no_mask_is_named() -> None:
    with pytest.raises(FrameError, match="encoding 'rgb8'"):
        decode_mask(image_message("rgb8", (4, 6), seed=0))
    with pytest.raises(FrameError, match="3 channels"):
        decode_mask(compressed_message("png", np.zeros((4, 6, 3), np.uint8)))


def test_an_unknown_encoding_goes_to_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    class RefusalError(TypeError):
        pass

    class CvBridge:
        def imgmsg_to_cv2(self, message: Any, encoding: str) -> np.ndarray:
            if message.encoding == "rgb16":
                return np.full((4, 6, 3), 9, np.uint8)
            raise RefusalError(f"no way from {message.encoding} to {encoding}")

    module = ModuleType("cv_bridge")
    module.CvBridge, module.CvBridgeError = CvBridge, RefusalError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", module)
    message = image_message("rgb8", (4, 6), seed=0)
    message.encoding = "rgb16"
    np.testing.assert_array_equal(decode_image(message), np.full((4, 6, 3), 9))
    message.encoding = "32FC1"
    with pytest.raises(FrameError, match=r"cv_bridge cannot convert \(no way from 32FC1 to rgb8\)"):
        decode_image(message)


def test_pixels_agree_with_cv_bridge() -> None:
    bridge = pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS installation only")
    messages = pytest.importorskip("sensor_msgs.msg")
    for encoding in ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "yuv422", "yuv422_yuy2", "bayer_rggb8"):
        fields = vars(image_message(encoding, (8, 12), seed=0))
        message = messages.Image(**fields)
        theirs = bridge.CvBridge().imgmsg_to_cv2(message, "rgb8").astype(int)
        assert np.abs(decode_image(message) - theirs).max() <= sample_bytes(encoding) - 1, encoding
