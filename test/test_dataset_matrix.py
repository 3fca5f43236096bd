"""Every command that takes a dataset, on every kind of dataset that people have: the right result, or one sentence."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.images import read_mask, write_image
from desert_seg.labels import load_label_map

pytest.importorskip("torch")

from labelled_folder import seer, write_folder

from desert_seg_train.adapt.command import adapt
from desert_seg_train.adapt.config import AdaptConfig
from desert_seg_train.calibrate.pixels import collect
from desert_seg_train.data.sources import open_source
from desert_seg_train.evaluate.measuring import open_test_set
from desert_seg_train.export.config import ExportConfig
from desert_seg_train.export.frames import choose_frames
from desert_seg_train.folder import Sample, SegmentationFolder
from desert_seg_train.inspect.command import inspect
from desert_seg_train.inspect.config import InspectConfig
from desert_seg_train.predict.inputs import find_chunks
from desert_seg_train.read_labels.command import read_labels
from desert_seg_train.read_labels.config import ReadLabelsConfig

FRAMES = 4
QUIET = Console(quiet=True)
COLORS = {100: (0, 255, 0), 800: (153, 204, 255), 7100: (108, 64, 20), 10000: (0, 0, 255)}
YCOR_VALUES = {100: 7, 300: 2, 7100: 1, 10000: 8}


# ------------------------------------------------------------------------------------------- kinds of datasets
def masks_of(root):
    return sorted((root / "Segmentation").iterdir())


def recode(root, values, write):
    """Give every mask other values for its own, which `write` puts into its file."""
    for path in masks_of(root):
        raw = read_mask(path)
        table = np.zeros((65536, *np.shape(next(iter(values.values())))), np.uint8)
        for value, other in values.items():
            table[value] = other
        write(path, table[raw])


def turned(root):
    exif = Image.Exif()
    exif[0x0112] = 3
    path = root / "Color_Images" / "s01.png"
    Image.open(path).save(path.with_suffix(".jpg"), quality=95, exif=exif.tobytes())
    path.unlink()


def apple_double(root):
    for path in list(root.rglob("*.png")):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")


def suffix(root):
    for path in masks_of(root):
        path.rename(path.with_name(f"{path.stem}_mask.png"))


def unknown_suffix(root):
    for path in masks_of(root):
        path.rename(path.with_name(f"{path.stem}_truth.png"))


def colors(root):
    recode(root, COLORS, write_image)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def grey_png(width, height, bits, rows):
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def four_bits(root):
    def write(path, values):
        rows = b"".join(b"\0" + bytes(row[::2] << 4 | row[1::2]) for row in values)
        path.write_bytes(grey_png(values.shape[1], values.shape[0], 4, rows))

    recode(root, YCOR_VALUES, write)


def empty(root):
    for path in root.rglob("*.png"):
        path.unlink()


def no_masks(root):
    for path in masks_of(root):
        path.unlink()
    (root / "Segmentation").rmdir()


def one_mask_missing(root):
    masks_of(root)[1].unlink()


def unreadable(root):
    path = root / "Color_Images" / "s01.png"
    path.write_bytes(path.read_bytes()[:100])


def fifo(root):
    (root / "Color_Images" / "s01.png").unlink()
    os.mkfifo(root / "Color_Images" / "s01.png")


def mask_fifo(root):
    masks_of(root)[1].unlink()
    os.mkfifo(root / "Segmentation" / "s01.png")


def link_loop(root):
    (root / "Color_Images" / "s01.png").unlink()
    (root / "Color_Images" / "s01.png").symlink_to("s01.png")
    (root / "Color_Images" / "again").symlink_to(root)


def huge(root):
    (root / "Color_Images" / "s01.png").write_bytes(grey_png(20_000, 20_000, 8, b"\0"))


def two_of_a_name(root):
    path = root / "Color_Images" / "s01.png"
    path.with_suffix(".bmp").write_bytes(path.read_bytes())


@dataclass(frozen=True)
class Kind:
    """A kind of dataset.

    Attributes:
        make: Makes it of a good one.
        labelled: What a command says that needs the masks; empty if it takes the dataset.
        images: What one says that takes images alone; empty if it takes all of them.
        label_map: What the masks are read with.
    """

    make: Callable[[Path], None]
    labelled: str = ""
    images: str = ""
    label_map: str = "falcon7_stones"

    def __str__(self):
        return self.make.__name__


KINDS = [
    Kind(lambda root: None),
    Kind(apple_double),
    Kind(suffix),
    Kind(colors, label_map="rugd_falcon7"),
    Kind(four_bits, label_map="ycor_falcon7"),
    Kind(turned, r"s01\.jpg: found EXIF orientation 3, expected 1.*mogrify -auto-orient"),
    Kind(colors, r"s00\.png: found 3 channels: a picture of the labels.*label map whose keys are colours"),
    Kind(unknown_suffix, r"4 of 4 images have no mask .*s00_truth\.png begins alike"),
    Kind(empty, "found no image", "found no image"),
    Kind(no_masks, "Segmentation"),
    Kind(one_mask_missing, r"1 of 4 images have no mask .*s01\.png"),
    Kind(two_of_a_name, r"s01\.bmp, Color_Images/s01\.png, Segmentation/s01\.png are named alike"),
    Kind(unreadable, r"s01\.png: is not a whole image", r"s01\.png: is not a whole image"),
    Kind(fifo, r"s01\.png: is no regular file", r"s01\.png: is no regular file"),
    Kind(mask_fifo, r"s01\.png: is no regular file"),
    Kind(link_loop, r"s01\.png: cannot be read", r"s01\.png: cannot be read"),
    Kind(huge, r"s01\.png: found 20000x20000 pixels", r"s01\.png: found 20000x20000 pixels"),
]
IDS = [f"{index}-{kind}" for index, kind in enumerate(KINDS)]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Every kind, made once: nothing that takes a dataset changes it."""
    made = []
    for index, kind in enumerate(KINDS):
        classes = (0, 2, 5, 6) if kind.label_map.startswith("ycor") else (0, 4, 5, 6)
        root = write_folder(tmp_path_factory.mktemp(f"kind{index}") / "data", FRAMES, classes=classes, size=(24, 32))
        kind.make(root)
        made.append(root)
    return made


# ------------------------------------------------------------------------------------------- commands
def silent(items, total):
    return items


def train(root, kind):
    """Up to its data check."""
    source = open_source(root, kind.label_map, 1.0, QUIET)
    return [source[index] for index in range(len(source))]


def evaluate_and_benchmark(root, kind):
    """What evaluate and benchmark open their data with."""
    test_set = open_test_set(root, kind.label_map, seer(), silent)
    return [test_set.folder[index] for index in range(len(test_set.folder))]


def calibrate(root, kind):
    folder = SegmentationFolder(root, load_label_map(kind.label_map))
    pixels = collect(seer(), folder, (), silent)
    assert len(pixels.descriptions) == len(folder)
    return [folder[index] for index in range(len(folder))]


def export_labelled(root, kind):
    frames = choose_frames(ExportConfig(root.parent, labelled=root), load_label_map(kind.label_map)).judged
    return [Sample(frame.path.stem, *frame.read()) for frame in frames]


LABELLED = [train, evaluate_and_benchmark, calibrate, export_labelled]


@pytest.mark.parametrize("index", range(len(KINDS)), ids=IDS)
@pytest.mark.parametrize("command", LABELLED)
def test_labelled_frames_are_read_rightly_or_refused(datasets, command, index):
    kind, root = KINDS[index], datasets[index]
    if not kind.labelled:
        samples = command(root, kind)
        assert [sample.name for sample in samples] == [f"s{index:02}" for index in range(FRAMES)]
        # The red of an image is 30 times its class.
        assert all(np.array_equal(sample.target, sample.image[..., 0] // 30) for sample in samples)
    else:
        with pytest.raises(DataError, match=kind.labelled) as caught:
            command(root, kind)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", range(len(KINDS)), ids=IDS)
def test_adapt_refuses_the_same_before_it_trains(datasets, tiny_artifact, tmp_path, index):
    kind = KINDS[index]
    if kind.labelled:
        with pytest.raises(DataError, match=kind.labelled):
            adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", datasets[index], label_map=kind.label_map))


@pytest.mark.parametrize("index", range(len(KINDS)), ids=IDS)
def test_inspect_finds_no_fault_or_names_the_file(datasets, tmp_path, capsys, index):
    kind, out = KINDS[index], tmp_path / "out"
    config = InspectConfig(datasets[index], kind.label_map, out=out)
    if kind.make in (empty, no_masks):
        with pytest.raises(DataError, match=kind.labelled):
            inspect(config)
    elif kind.labelled:
        with pytest.raises(SystemExit) as stopped:
            inspect(config)
        assert stopped.value.code == 1
        (faults,) = json.loads((out / "report.json").read_text())["faults"].values()
        assert any("s01" in fault["file"] for fault in faults)
    else:
        inspect(config)
        assert f"no faults in {FRAMES} frames of data" in capsys.readouterr().out


@pytest.mark.parametrize("index", range(len(KINDS)), ids=IDS)
@pytest.mark.parametrize("command", ["predict", "export --images"])
def test_images_alone_are_read_or_named(datasets, command, index):
    kind, root = KINDS[index], datasets[index]
    folder = root / "Color_Images"

    def readers():
        if command == "predict":
            return [read for part in find_chunks(str(root), "") for _, read in part.frames()]
        config = ExportConfig(root.parent, images=folder)
        return [frame.read for frame in choose_frames(config, load_label_map(kind.label_map)).judged]

    failures = []
    try:
        for read in readers():
            try:
                read()
            except DataError as error:
                failures.append(str(error))
    except DataError as error:
        failures.append(str(error))
    assert len(failures) == bool(kind.images)
    if kind.images:
        with pytest.raises(DataError, match=kind.images):
            raise DataError(failures[0])


@pytest.mark.parametrize("index", range(len(KINDS)), ids=IDS)
def test_read_labels_takes_images_that_can_be_read(datasets, tiny_artifact, tmp_path, index):
    kind, root = KINDS[index], datasets[index]
    if kind.make is empty:
        return
    (tmp_path / "frames").mkdir()
    shape = {"label": "Sky", "points": [[0, 0], [31, 0], [31, 9]], "shape_type": "polygon"}
    for path in sorted((root / "Color_Images").glob("[!.]*.*")):
        content = {"imagePath": str(path), "imageHeight": 24, "imageWidth": 32, "shapes": [shape]}
        (tmp_path / "frames" / f"{path.name}.json").write_text(json.dumps(content))
    config = ReadLabelsConfig(tmp_path / "frames", tiny_artifact.path, tmp_path / "out")
    refused = kind.labelled if kind.make is turned else kind.images
    if refused:
        with pytest.raises(DataError, match=refused):
            read_labels(config)
        assert not (tmp_path / "out").exists()
    else:
        read_labels(config)
        assert len(list((tmp_path / "out" / "Segmentation").iterdir())) == len(list((tmp_path / "frames").iterdir()))
