"""Image files: what is read from them, in which order, and what is never opened."""

import os
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from desert_seg.dataset_folder import labelled_folders
from desert_seg.errors import DataError
from desert_seg.image_folder import list_images
from desert_seg.images import (
    read_color_mask,
    read_image,
    read_mask,
    read_orientation,
    write_bytes,
    write_image,
)

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


def names(folder):
    return [path.name for path in list_images(folder)]


def test_numbers_in_names_are_in_natural_order(tmp_path):
    for name in ("frame_10.png", "frame_2.png", "frame_1.png", "a3b12.png", "a3b4.png"):
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a3b4.png", "a3b12.png", "frame_1.png", "frame_2.png", "frame_10.png"]


def test_hidden_files_and_those_that_macos_adds_are_not_images(tmp_path):
    for name in ("a.png", "._a.png", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a.png"]


def fifo(path):
    os.mkfifo(path)


def link_to_itself(path):
    path.symlink_to(path)


def link_to_a_device(path):
    path.symlink_to("/dev/zero")


def huge(path):
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(data)


def sparse(path):
    with path.open("wb") as file:
        file.truncate(10**12)


@pytest.mark.parametrize("read", [read_image, read_mask, read_color_mask])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (fifo, "is no regular file"),
        (os.mkdir, "is no regular file"),
        (link_to_a_device, "is no regular file"),
        (link_to_itself, "cannot be read"),
        (huge, "found 30000x30000 pixels, expected at most 67.1 megapixels"),
        (sparse, "found 1000000 MB, expected at most 537"),
    ],
)
def test_what_would_hang_or_fill_the_memory_is_named_and_not_opened(tmp_path, read, make, message):
    make(tmp_path / "a.png")
    assert names(tmp_path) == ["a.png"]
    with pytest.raises(DataError, match=rf"a\.png: {message}"):
        read(tmp_path / "a.png")


def test_a_jpeg_that_was_cut_short_is_no_image(tmp_path):
    path = tmp_path / "a.jpg"
    write_image(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"a\.jpg: is not a whole image"):
        read_image(path)


@pytest.mark.parametrize("compression", [5, 8, 32773], ids=["LZW", "Deflate", "PackBits"])
def test_a_compressed_tiff_that_does_not_unpack_is_refused(tmp_path, compression):
    pytest.importorskip("PIL")
    path = tmp_path / "mask.tiff"
    mask = np.random.default_rng(0).integers(0, 7, (48, 64), np.uint8)
    data = cv2.imencode(".tiff", mask, [cv2.IMWRITE_TIFF_COMPRESSION, compression])[1].tobytes()
    path.write_bytes(data)
    np.testing.assert_array_equal(read_mask(path), mask)
    path.write_bytes(data[:200] + b"\xff" * 600 + data[800:])
    with pytest.raises(DataError, match=r"mask\.tiff: is not a whole image"):
        read_mask(path)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("mode", ["grey", "palette"])
def test_masks_of_few_bits_are_read_unscaled(tmp_path, bits, mode):
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2**bits
    path = tmp_path / "a.png"
    if mode == "grey":
        assert cv2.imwrite(str(path), values)
        path.write_bytes(packed_png(values, bits))
    else:
        mask = Image.fromarray(values, "P")
        mask.putpalette(bytes(range(255, 255 - 3 * 2**bits, -1)))
        mask.save(path, bits=bits)
    assert np.array_equal(read_mask(path), values)


def packed_png(values, bits):
    """A greyscale PNG of less than eight bits, which OpenCV and Pillow do not write."""
    height, width = values.shape
    rows = b""
    for row in values:
        rows += b"\0" + int("".join(f"{value:0{bits}b}" for value in row), 2).to_bytes(width * bits // 8, "big")
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data


def test_a_mask_of_colours_is_read_as_one_number_a_colour(tmp_path):
    write_image(tmp_path / "a.png", PIXELS)
    expected = PIXELS.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    assert np.array_equal(read_color_mask(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("scale", [1, 256, 257], ids=["kept", "shifted", "stretched"])
def test_colours_of_16_bits_are_those_of_8_they_were_made_of(tmp_path, scale):
    write_image(tmp_path / "a.png", PIXELS)
    write_image(tmp_path / "b.png", PIXELS.astype(np.uint16) * scale)
    assert np.array_equal(read_color_mask(tmp_path / "b.png"), read_color_mask(tmp_path / "a.png"))


def test_colours_that_need_16_bits_are_refused(tmp_path):
    write_image(tmp_path / "a.png", PIXELS.astype(np.uint16) * 200)
    with pytest.raises(DataError, match="found colours of 16 bits that are none of 8"):
        read_color_mask(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_an_image_that_may_be_depth_is_refused(tmp_path, suffix):
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), PIXELS[..., 0].astype(np.uint16) * 257)
    with pytest.raises(DataError, match="found one channel of 16 bits, which may be depth"):
        read_image(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".tiff", ".png", ".webp"])
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_of_several_pages_or_frames_none_is_chosen(tmp_path, read, suffix):
    pages = [Image.fromarray(PIXELS[..., channel]) for channel in range(2)]
    options = {"lossless": True} if suffix == ".webp" else {}
    pages[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=pages[1:], **options)
    with pytest.raises(DataError, match="found 2 pages or frames, expected one"):
        read(tmp_path / f"a{suffix}")
    pages[0].save(tmp_path / f"a{suffix}", **options)
    assert read_image(tmp_path / f"a{suffix}").shape == (4, 6, 3)


def test_a_tiff_whose_channels_are_not_red_green_and_blue_is_refused(tmp_path):
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in ((256, 6), (257, 4), (277, 5)))
    (tmp_path / "a.tiff").write_bytes(struct.pack("<2sHIH", b"II", 42, 8, 3) + entries + bytes(4))
    with pytest.raises(DataError, match=r"found 5 channels, as of a multispectral camera, .*save it again as RGB"):
        read_image(tmp_path / "a.tiff")
    Image.fromarray(PIXELS, "LAB").save(tmp_path / "b.tiff")
    for read in (read_image, read_color_mask):
        with pytest.raises(DataError, match=r"found colours in L\*a\*b\*, .*save it again as RGB"):
            read(tmp_path / "b.tiff")


def test_numbers_in_the_red_channel_are_told(tmp_path):
    write_image(tmp_path / "a.png", PIXELS // 100 * np.array([1, 0, 0], np.uint8))
    with pytest.raises(DataError, match=r"3 channels of which red alone is used, .*keep the red channel"):
        read_mask(tmp_path / "a.png")


def test_the_cure_for_videos_in_the_place_of_images_can_be_pasted(tmp_path):
    for name in ("my drive.mp4", "other.mp4"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypmp42" + bytes(16))
    with pytest.raises(DataError, match=r"ffmpeg -i '.*/my drive\.mp4' -qscale.*, and so of each other in a folder"):
        list_images(tmp_path)


def test_images_of_kinds_that_are_not_read_are_listed_beside_others(tmp_path):
    for name in ("a.png", "b.HEIC", "c.ppm", "notes.txt"):
        (tmp_path / name).write_bytes(b"P6\n2 2\n255\n")
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.HEIC", "c.ppm"]
    with pytest.raises(DataError, match=r"c\.ppm: found a PGM or PPM image, .*convert it to PNG"):
        read_image(tmp_path / "c.ppm")


def test_a_mask_of_numbers_is_not_one_of_colours(tmp_path):
    write_image(tmp_path / "a.png", PIXELS[..., 0].astype(np.uint16) * 39)
    with pytest.raises(DataError, match=r"found one channel of 16 bits, expected colours; .*keys are numbers"):
        read_color_mask(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_a_mask_in_bmp_is_its_indices_whatever_the_palette(tmp_path, mode):
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) % (2 if mode == "1" else 7)
    mask = Image.fromarray(values == 1) if mode == "1" else Image.fromarray(values)
    if mode == "P":
        mask.putpalette([level for index in range(256) for level in ((6 - index) % 256,) * 3])
    mask.save(tmp_path / "a.bmp")
    assert np.array_equal(read_mask(tmp_path / "a.bmp"), values)


@pytest.mark.parametrize("read", [read_mask, read_color_mask])
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.tif", {"compression": "jpeg"}, "is a JPEG in TIFF, which changes values at every edge"),
        ("a.webp", {"quality": 90}, "is a lossy WebP, which changes values"),
    ],
)
def test_a_mask_compressed_with_loss_is_refused(tmp_path, read, name, options, said):
    Image.fromarray(PIXELS).save(tmp_path / name, **options)
    with pytest.raises(DataError, match=said):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "options"), [("a.tif", {"compression": "tiff_lzw"}), ("a.tif", {}), ("a.webp", {"lossless": True})]
)
def test_a_mask_compressed_without_loss_is_read(tmp_path, name, options):
    Image.fromarray(PIXELS).save(tmp_path / name, **options)
    write_image(tmp_path / "a.png", PIXELS)
    assert np.array_equal(read_color_mask(tmp_path / name), read_color_mask(tmp_path / "a.png"))


@pytest.mark.parametrize("read", [read_mask, read_color_mask])
def test_a_mask_in_jpeg_is_refused_whatever_its_name(tmp_path, read):
    write_image(tmp_path / "a.jpg", PIXELS)
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: is a JPEG, which changes values"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_an_image_is_read_as_it_is_shown_and_says_that_it_is_turned(tmp_path, suffix, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path, exif=exif.tobytes())
    monkeypatch.setitem(sys.modules, "PIL", None)  # the robot does without
    assert read_orientation(path) == 6
    assert read_image(path).shape == (6, 4, 3)


def test_an_image_without_a_tag_or_with_a_senseless_one_is_not_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif.tobytes())
    write_image(tmp_path / "b.png", PIXELS)
    (tmp_path / "c.png").write_bytes(b"Exif\0\0 and nothing else")
    assert [read_orientation(path) for path in list_images(tmp_path)] == [1, 1, 1]


def test_a_file_of_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".png")
    write_bytes(path, b"data")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(16), "a video, .*make images of it"),
        (b"PK\3\4" + bytes(24), "a zip archive, .*unpack it"),
        (b"\x93NUMPY\1\0" + bytes(24), "a NumPy array, .*save it as PNG"),
        (b"PK\3\4" + bytes(26) + b"arr_0.npy", "NumPy arrays, .*save them as PNG"),
    ],
)
def test_what_is_given_in_the_place_of_a_folder_is_named(tmp_path, begin, words):
    (tmp_path / "given").write_bytes(begin)
    with pytest.raises(DataError, match=f"given: found {words}"):
        list_images(tmp_path / "given")
    with pytest.raises(DataError, match=f"given: found {words}"):
        labelled_folders(tmp_path / "given")
    (tmp_path / "folder").mkdir()
    (tmp_path / "given").rename(tmp_path / "folder" / "a.file")
    with pytest.raises(DataError, match=rf"no image among 1 files ending in \.file, the first of which is {words[:7]}"):
        list_images(tmp_path / "folder")


def masked(alpha):
    return np.dstack([np.full((4, 6, 3), 80, np.uint8), alpha.astype(np.uint8)])


@pytest.mark.parametrize("hidden", [0, 128])
def test_a_mask_with_colours_that_nobody_sees_is_refused(tmp_path, hidden):
    alpha = np.full((4, 6), 255)
    alpha[:2] = hidden
    Image.fromarray(masked(alpha)).save(tmp_path / "a.png")
    for read in (read_color_mask, read_mask):
        with pytest.raises(DataError, match=r"found 12 pixels that are transparent, .*mogrify -alpha off"):
            read(tmp_path / "a.png")


def test_a_mask_with_a_palette_shows_its_colours_unless_they_are_transparent(tmp_path):
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 3).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "a.png")
    assert read_color_mask(tmp_path / "a.png")[0, 1] == 40 << 16 | 50 << 8 | 60
    image.save(tmp_path / "a.png", transparency=1)
    with pytest.raises(DataError, match="found 8 pixels that are transparent"):
        read_color_mask(tmp_path / "a.png")


def test_an_opaque_alpha_channel_of_a_mask_is_none(tmp_path):
    Image.fromarray(masked(np.full((4, 6), 255))).save(tmp_path / "a.png")
    assert (read_color_mask(tmp_path / "a.png") == 0x505050).all()
