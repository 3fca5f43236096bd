"""The codec against `rosbags-image`, an independent one, and against laws: padding and byte order change nothing."""

from __future__ import annotations

import array
import io
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from desert_seg.errors import FrameError
from desert_seg.recordings.image_codec import (
    SUPPORTED_ENCODINGS,
    decode,
    decode_compressed,
    decode_image,
    decode_mask,
    fill_image,
)
from desert_seg.recordings.picture_fault import darkness, lost_colours

NUM_CHANNELS = dict.fromkeys(("rgb8", "bgr8", "rgb16", "bgr16", "8UC3", "16UC3"), 3)
NUM_CHANNELS |= dict.fromkeys(("rgba8", "bgra8", "rgba16", "bgra16", "8UC4", "16UC4"), 4)
NUM_CHANNELS |= dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2)

ENCODINGS = st.sampled_from(SUPPORTED_ENCODINGS)
SIZES = st.tuples(st.integers(2, 12).map(lambda n: 2 * n), st.integers(2, 12).map(lambda n: 2 * n))
SEEDS = st.integers(0, 2**32 - 1)


def sample_bytes(encoding: str) -> int:
    return 2 if "16" in encoding else 1


def image_message(encoding: str, size: tuple[int, int], seed: int, padding: int = 0, big: bool = False) -> Any:
    """A message of random pixels, the same ones whatever the padding and the byte order."""
    height, width = size
    num_rows = {"nv12": height * 3 // 2, "nv21": height * 3 // 2, "nv24": height * 3}.get(encoding, height)
    samples = np.random.default_rng(seed).integers(
        0, 256 ** sample_bytes(encoding), (num_rows, width * NUM_CHANNELS.get(encoding, 1))
    )
    dtype = f"{'>' if big else '<'}u{sample_bytes(encoding)}"
    rows = np.ascontiguousarray(samples.astype(dtype)).view(np.uint8)
    if encoding == "nv24":  # rows of chroma are twice as long, and so is their padding
        luma, chroma = rows[:height], rows[height:].reshape(height, 2 * width)
        chroma = np.pad(chroma, ((0, 0), (0, 2 * padding)), constant_values=77).reshape(2 * height, width + padding)
        rows = np.vstack([np.pad(luma, ((0, 0), (0, padding)), constant_values=77), chroma])
    else:
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


@given(SIZES, SEEDS)
@settings(deadline=None)
def test_nv24_is_the_arithmetic_of_bt_601(size: tuple[int, int], seed: int) -> None:
    message, (height, width) = image_message("nv24", size, seed), size
    planes = np.frombuffer(message.data, np.uint8).astype(float)
    luma, chroma = planes[: height * width].reshape(size), planes[height * width :].reshape(height, width, 2)
    y, blue, red = np.maximum(luma - 16, 0) / 219, (chroma[..., 0] - 128) / 224, (chroma[..., 1] - 128) / 224
    # BT.601: luma weighs red 0.299 and blue 0.114; what is left is green.
    r, b = y + 2 * (1 - 0.299) * red, y + 2 * (1 - 0.114) * blue
    g = (y - 0.299 * r - 0.114 * b) / 0.587
    expected = np.clip(np.dstack([r, g, b]) * 255, 0, 255)
    assert np.abs(decode_image(message) - expected).max() <= 1


@given(SIZES, SEEDS)
@settings(deadline=None)
def test_nv12_and_nv21_are_nv24_of_halved_chroma(size: tuple[int, int], seed: int) -> None:
    full, half = image_message("nv24", size, seed), image_message("nv12", size, seed)
    (height, width), data = size, np.frombuffer(half.data, np.uint8)
    luma, chroma = data[: height * width], data[height * width :].reshape(height // 2, width // 2, 2)
    full.data = np.concatenate([luma, chroma.repeat(2, 0).repeat(2, 1).reshape(-1)]).tobytes()
    expected = decode_image(full).astype(int)
    assert np.abs(decode_image(half) - expected).max() <= 1
    half.encoding, half.data = "nv21", np.concatenate([luma, chroma[..., ::-1].reshape(-1)]).tobytes()
    assert np.abs(decode_image(half) - expected).max() <= 1


@given(ENCODINGS, SIZES, SEEDS)
@settings(deadline=None)
def test_byte_order_changes_nothing(encoding: str, size: tuple[int, int], seed: int) -> None:
    little, big = (image_message(encoding, size, seed, big=big) for big in (False, True))
    np.testing.assert_array_equal(decode_image(little), decode_image(big))


@given(ENCODINGS.filter(lambda name: "UC" not in name and name != "nv24"), SIZES, SEEDS)
@settings(deadline=None)
def test_pixels_agree_with_an_independent_codec(encoding: str, size: tuple[int, int], seed: int) -> None:
    oracle = pytest.importorskip("rosbags.image")
    message = image_message(encoding, size, seed)
    ours = decode_image(message)
    if encoding in ("nv12", "nv21"):  # the oracle counts the rows of chroma as image rows
        message.height = message.height * 3 // 2
    theirs = np.asarray(oracle.image_to_cvimage(message, "rgb8"))
    # We keep the high byte, the oracle scales by 255 / 65535, after demosaicing.
    tolerance = {1: 0, 2: 1}[sample_bytes(encoding)] + (encoding.startswith("bayer") and encoding.endswith("16"))
    assert np.abs(ours.astype(int) - theirs).max() <= tolerance


@given(SIZES, SEEDS)
def test_unnamed_channels_are_gray_or_in_the_order_of_opencv(size: tuple[int, int], seed: int) -> None:
    for unnamed, named in (("8UC1", "mono8"), ("8UC3", "bgr8"), ("8UC4", "bgra8"), ("16UC3", "bgr16")):
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


@given(ENCODINGS, SIZES, SEEDS)
def test_an_encoding_in_capitals_or_with_blanks_is_the_same(encoding: str, size: tuple[int, int], seed: int) -> None:
    message = image_message(encoding, size, seed)
    expected = decode_image(message)
    for spelling in (encoding.upper(), encoding.lower(), f" {encoding} "):
        message.encoding = spelling
        np.testing.assert_array_equal(decode_image(message), expected)


def test_depth_in_small_letters_is_depth_too() -> None:
    message = image_message("mono16", (4, 6), seed=0)
    message.encoding = "16uc1"
    with pytest.raises(FrameError, match="which is depth"):
        decode_image(message)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(30), "a zstd archive"),
        (b"\0\0\0\x20ftypavif" + bytes(30), "an AVIF image"),
        (b"", "no bytes"),
    ],
)
def test_what_a_topic_holds_in_place_of_an_image_is_named_with_a_cure_for_topics(data: bytes, found: str) -> None:
    with pytest.raises(FrameError, match=f"found {found} in format 'x', expected .*publish JPEG or PNG"):
        decode_compressed(SimpleNamespace(format="x", data=data))


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


@pytest.mark.parametrize("image", [np.full((4, 6, 3), 300 * 100, np.uint16), np.full((4, 6), 117, np.uint8)])
def test_gray_and_16_bit_png_become_8_bit_rgb(image: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_compressed(compressed_message("png", image)), np.full((4, 6, 3), 117))


def test_16_bits_of_one_channel_that_may_be_depth_are_refused() -> None:
    message = compressed_message("png", np.full((4, 6), 30_000, np.uint16))
    with pytest.raises(FrameError, match=r"may be depth as well as grey; .* in the format 'mono16; png compressed'"):
        decode_compressed(message)


def mosaic_of(rgb: np.ndarray, pattern: str) -> np.ndarray:
    mosaic = np.empty(rgb.shape[:2], rgb.dtype)
    for place, letter in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(letter)]
    return mosaic


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(
    ("form", "kind"),
    [("{}; jpeg compressed ", "jpg"), ("{}; png compressed ", "png"), ("{}; jpeg compressed {}", "jpg")],
)
def test_a_compressed_mosaic_is_demosaiced(pattern: str, form: str, kind: str) -> None:
    encoding = f"bayer_{pattern}8"
    mosaic = mosaic_of(np.full((16, 16, 3), (200, 120, 90), np.uint8), pattern)
    message = compressed_message(kind, mosaic)
    message.format = form.format(encoding, encoding)
    middle = decode_compressed(message)[4:12, 4:12].astype(int)
    assert np.abs(middle - (200, 120, 90)).max() <= (0 if kind == "png" else 25)


def test_a_16_bit_mosaic_in_png_is_as_the_raw_one() -> None:
    raw = image_message("bayer_grbg16", (8, 12), seed=0)
    message = compressed_message("png", np.frombuffer(raw.data, "<u2").reshape(8, 12))
    for message.format in ("bayer_grbg16; png compressed ", "BAYER_GRBG16; PNG compressed "):
        np.testing.assert_array_equal(decode_compressed(message), decode_image(raw))


def test_of_a_bayer_camera_in_grey_or_in_colour_nothing_is_demosaiced() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    message = compressed_message("png", gray)
    message.format = "bayer_rggb8; jpeg compressed mono8"
    np.testing.assert_array_equal(decode_compressed(message), np.dstack([gray] * 3))
    message = compressed_message("png", np.full((8, 8, 3), (50, 100, 200), np.uint8))
    message.format = "bayer_rggb8; png compressed bgr8"
    np.testing.assert_array_equal(decode_compressed(message), np.full((8, 8, 3), (200, 100, 50)))


def test_an_unknown_mosaic_is_named() -> None:
    message = compressed_message("png", np.zeros((8, 8), np.uint8))
    message.format = "bayer_rgbw8; png compressed "
    with pytest.raises(FrameError, match="'bayer_rgbw8', expected one of: bayer_rggb8"):
        decode_compressed(message)


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        ("rgb8; png compressed bgr8", (50, 100, 200)),
        ("rgba8; png compressed bgr8", (50, 100, 200)),
        ("bgra8; png compressed bgra8", (50, 100, 200, 7)),
        ("rgb16; png compressed bgr16", (50 << 8, 100 << 8, 200 << 8)),
        # What image_transport gives to OpenCV, which takes all for BGR.
        ("rgb8; tiff compressed ", (200, 100, 50)),
        ("RGB8; TIFF compressed ", (200, 100, 50)),
        ("rgba8; tiff compressed ", (200, 100, 50, 7)),
        ("rgb16; tiff compressed ", (200 << 8, 100 << 8, 50 << 8)),
        ("bgr8; tiff compressed ", (50, 100, 200)),
        ("tiff", (50, 100, 200)),
    ],
)
def test_colours_are_as_image_transport_stores_them(form: str, stored: tuple[int, ...]) -> None:
    dtype = np.uint16 if "16" in form else np.uint8
    message = compressed_message(
        "tiff" if "tiff" in form.lower() else "png", np.full((4, 6, len(stored)), stored, dtype)
    )
    message.format = form
    np.testing.assert_array_equal(decode_compressed(message), np.full((4, 6, 3), (200, 100, 50)))


def test_16_bit_gray_in_png_is_as_raw_mono16() -> None:
    raw = image_message("mono16", (8, 12), seed=0)
    message = compressed_message("png", np.frombuffer(raw.data, "<u2").reshape(8, 12))
    message.format = "mono16; png compressed "
    np.testing.assert_array_equal(decode_compressed(message), decode_image(raw))


@pytest.mark.parametrize(
    ("encoding", "form", "bits", "is_dim"),
    [
        ("mono16", None, 14, True),
        ("mono16", None, 12, True),
        ("mono16", None, 16, False),
        ("bayer_rggb16", None, 12, True),
        ("rgb16", None, 10, True),
        ("mono8", None, 5, False),
        ("mono16", "mono16; png compressed ", 14, True),
        ("mono16", "mono16; png compressed ", 16, False),
        ("rgb16", "png", 12, True),
        ("rgb8", "png", 5, False),
    ],
)
def test_a_camera_that_leaves_the_upper_bits_empty_is_told_to_scale(
    encoding: str, form: str | None, bits: int, is_dim: bool
) -> None:
    message = image_message(encoding, (96, 128), seed=0)
    samples = np.frombuffer(message.data, "<u2" if "16" in encoding else np.uint8).reshape(96, 128, -1)
    samples = samples >> (8 * sample_bytes(encoding) - bits)
    samples[0, :1] = np.iinfo(samples.dtype).max  # a hot pixel
    message.data = array.array("B", samples.tobytes())
    if form is not None:
        message = compressed_message("png", samples)
        message.format = form
    remark = darkness(message, lambda: decode(message))
    assert bool(remark) == is_dim
    assert ("nearly black" in remark and "scale them to 16 bits" in remark) == is_dim


@pytest.mark.parametrize(
    ("form", "is_told"),
    [
        ("yuv422_yuy2; jpeg compressed mono8", True),
        ("bayer_rggb8; jpeg compressed mono8", True),
        ("mono8; jpeg compressed mono8", False),
        ("rgb8; jpeg compressed bgr8", False),
        ("jpeg", False),
    ],
)
def test_colours_that_image_transport_did_not_compress_are_missed(form: str, is_told: bool) -> None:
    message = compressed_message("jpg", np.full((8, 8), 100, np.uint8))
    message.format = form
    assert ("come in grey" in lost_colours(message)) == is_told


def test_the_levels_of_8_bits_are_not_looked_at_when_a_recording_is_opened() -> None:
    message = image_message("mono8", (4, 6), seed=0)
    assert not darkness(message, lambda: pytest.fail("it was decoded"))


def test_samples_of_another_kind_are_refused() -> None:
    message = compressed_message("tiff", np.zeros((4, 6), np.float32))
    for read in (decode_compressed, decode_mask):
        with pytest.raises(FrameError, match="float32"):
            read(message)


def test_a_mask_may_have_the_encoding_of_depth() -> None:
    mask = np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000
    message = compressed_message("png", mask)
    message.format = "16UC1; png compressed "
    np.testing.assert_array_equal(decode_mask(message), mask)


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
        ({"width": 0, "height": 0, "encoding": "", "data": b""}, "0x0 pixels, expected at least one"),
        ({"height": 0}, "6x0 pixels"),
        ({"step": 17}, "rows of 17 bytes, expected at least 18"),
        ({"data": bytes(71)}, "71 bytes of data, expected 72"),
        ({"data": bytes(73)}, "73 bytes of data, expected 72"),
        ({"data": b""}, "0 bytes of data, expected 72"),
        ({"encoding": "nv12", "height": 3}, "even sizes"),
        ({"encoding": "yuyv", "width": 5}, "even sizes"),
        ({"encoding": "nv21", "height": 3}, "even sizes"),
        ({"encoding": "nv24", "data": bytes(71), "step": 6}, "71 bytes of data, expected 72"),
        ({"encoding": "rgb16", "step": 36}, "72 bytes of data, expected 144"),
        ({"encoding": "bayer_rggb8", "width": 2}, "mosaic of 2x4 pixels, expected at least 3x3"),
        ({"encoding": "8SC3"}, "'8SC3', expected one of: rgb8, bgr8"),
        (
            {"encoding": "yuv422_yuy2", "step": 6, "data": b"\x80" * 24},
            "read the camera's raw topic, or have its driver",
        ),
        ({"encoding": "16UC1"}, "'16UC1', which is depth; choose a topic of colour images"),
        ({"encoding": "32FC1"}, "'32FC1', which is depth; choose a topic of colour images"),
        ({"height": 30_000, "width": 30_000}, "30000x30000 pixels, expected at most 67.1 megapixels"),
    ],
)
def test_a_broken_image_is_named(changes: dict[str, Any], words: str) -> None:
    message = image_message("rgb8", (4, 6), seed=0)
    vars(message).update(changes)
    with pytest.raises(FrameError, match=words):
        decode_image(message)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("jpeg", b"", "found no bytes in format 'jpeg', expected a PNG"),
        ("png", b"no image", "found 8 bytes that do not begin like an image, or are cut short, in format 'png'"),
        ("16UC1; compressedDepth png", b"", "which is depth"),
        ("16UC1; png compressed ", b"", "which is depth; choose a topic of colour images"),
        ("32FC1; tiff compressed ", b"", "which is depth"),
        ("16uc1; PNG compressed ", b"", "which is depth"),
        ("mono16; compresseddepth png", b"", "which is depth"),
        (
            "png",
            bytes(12) + cv2.imencode(".png", np.zeros((2, 2), np.uint16))[1].tobytes(),
            "header of compressedDepth",
        ),
        ("h264", b"", "found video in format 'h264', expected a PNG"),
        ("bgr8; H.264", b"\0", "publish it in H.264 or HEVC as"),
        ("jpeg", b"\0\0\0\1\x67", "found video in format 'jpeg'"),
    ],
)
def test_a_broken_compressed_image_is_named(kind: str, data: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        decode_compressed(SimpleNamespace(format=kind, data=data))


def test_a_jpeg_that_lost_its_second_half_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    message = SimpleNamespace(format="jpeg", data=data[: len(data) // 2] + b"\xff\xd9")
    with pytest.raises(FrameError, match="that are not a whole image"):
        decode_compressed(message)


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_on_a_topic_is_never_turned(kind: str, orientation: int) -> None:
    exif, file = Picture.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    picture = Picture.new("RGB", (16, 8), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 0, 16, 4))
    picture.save(file, kind, exif=exif, quality=95)
    rgb = decode_compressed(SimpleNamespace(format=kind.lower(), data=file.getvalue()))
    assert rgb.shape == (8, 16, 3)
    assert rgb[0, 0, 2] > 200 > 50 > rgb[7, 0, 2]


def test_a_file_that_decodes_to_gigabytes_is_refused() -> None:
    one = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    many = one[:16] + (30_000).to_bytes(4, "big") * 2 + one[24:]
    for read in (decode_compressed, decode_mask):
        with pytest.raises(FrameError, match=r"30000x30000 pixels, expected at most 67\.1 megapixels"):
            read(SimpleNamespace(format="png", data=many))


def test_the_limit_on_pixels_is_the_callers_choice() -> None:
    rgb = np.zeros((8, 6, 3), np.uint8)
    for read, message in (
        (decode_image, image_message("rgb8", (8, 6), 0)),
        (decode_compressed, compressed_message("png", rgb)),
    ):
        assert read(message, max_pixels=48).shape == (8, 6, 3)
        with pytest.raises(FrameError, match=r"6x8 pixels, expected at most 4\.7e-05 megapixels"):
            read(message, max_pixels=47)


def test_a_long_encoding_is_cut_in_the_message() -> None:
    for encoding in ("x" * 3_000_000, "\U000e0001" * 3_000_000):
        with pytest.raises(FrameError, match="…', expected one of: rgb8") as caught:
            decode_image(SimpleNamespace(encoding=encoding, width=4, height=4))
        assert len(str(caught.value)) < 600


SHORT = st.sampled_from(
    (
        *SUPPORTED_ENCODINGS,
        "16UC1",
        "32FC1",
        "8SC3",
        "",
        "rgb8; jpeg compressed bgr8",
        "jpeg",
        "bayer_rggb8; png compressed ",
    )
)
TEXT = st.one_of(SHORT, st.text(), st.just("x" * 3_000_000), st.just("bayer_" + "é" * 3_000_000 + "; png compressed "))
COUNTS = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1))
WHOLE_FILES = tuple(
    cv2.imencode(kind, np.zeros(shape, dtype))[1].tobytes()
    for kind in (".png", ".jpg", ".tiff", ".bmp", ".webp")
    for shape in ((5, 4), (5, 4, 3), (1, 1))
    for dtype in (np.uint8, np.uint16)
    if dtype is np.uint8 or kind in (".png", ".tiff")
)


def assert_pixels_or_a_short_error(read: Any, message: Any) -> None:
    try:
        rgb = read(message)
    except FrameError as error:
        assert len(str(error)) < 600
    else:
        assert rgb.dtype == np.uint8
        assert rgb.ndim == 3
        assert rgb.shape[2] == 3


@given(TEXT, COUNTS, COUNTS, COUNTS, st.integers(0, 255), st.binary(max_size=5000))
@settings(deadline=None, max_examples=40)
def test_any_image_message_is_pixels_or_a_short_error(
    encoding: str, height: int, width: int, step: int, is_bigendian: int, data: bytes
) -> None:
    fields = {"height": height, "width": width, "step": step, "is_bigendian": is_bigendian, "data": data}
    assert_pixels_or_a_short_error(decode_image, SimpleNamespace(encoding=encoding, **fields))


@given(SHORT, st.integers(1, 9), st.integers(1, 9), st.integers(0, 80), st.integers(0, 255), st.integers(0, 3))
@settings(deadline=None)
def test_a_small_image_message_is_pixels_or_a_short_error(
    encoding: str, height: int, width: int, step: int, is_bigendian: int, missing: int
) -> None:
    fields = {"height": height, "width": width, "step": step, "is_bigendian": is_bigendian}
    data = bytes(max(3 * height * step - missing, 0))
    assert_pixels_or_a_short_error(decode_image, SimpleNamespace(encoding=encoding, data=data, **fields))


@given(TEXT, st.sampled_from(WHOLE_FILES), st.integers(0, 300), st.binary(max_size=9))
@settings(deadline=None, max_examples=40)
def test_any_compressed_message_is_pixels_or_a_short_error(form: str, file: bytes, place: int, junk: bytes) -> None:
    for data in (file, file[:place] + junk + file[place + len(junk) :], junk + file):
        assert_pixels_or_a_short_error(decode_compressed, SimpleNamespace(format=form, data=data))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_an_image_or_a_frame_error(data: bytes) -> None:
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"):
        with pytest.raises(FrameError):
            decode_compressed(SimpleNamespace(format="jpeg", data=prefix + data))


def test_a_mask_compressed_with_loss_is_refused() -> None:
    data = cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes()
    with pytest.raises(FrameError, match="found a mask as JPEG, which changes values at every edge; publish masks as"):
        decode_mask(SimpleNamespace(format="mono8; jpeg compressed mono8", data=data))


def test_a_mask_that_is_no_mask_is_named() -> None:
    with pytest.raises(FrameError, match="encoding 'rgb8'"):
        decode_mask(image_message("rgb8", (4, 6), seed=0))
    with pytest.raises(FrameError, match="3 channels"):
        decode_mask(compressed_message("png", np.zeros((4, 6, 3), np.uint8)))


def test_pixels_agree_with_cv_bridge() -> None:
    bridge = pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS installation only")
    messages = pytest.importorskip("sensor_msgs.msg")
    for encoding in ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "yuv422", "yuv422_yuy2", "bayer_rggb8"):
        fields = vars(image_message(encoding, (8, 12), seed=0))
        message = messages.Image(**fields)
        theirs = bridge.CvBridge().imgmsg_to_cv2(message, "rgb8").astype(int)
        assert np.abs(decode_image(message) - theirs).max() <= sample_bytes(encoding) - 1, encoding
