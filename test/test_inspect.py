"""Inspecting dataset folders: every fault is found, named and told apart; the page and the numbers are right."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from desert_seg.errors import DataError
from desert_seg.images import read_image, read_mask, write_image
from desert_seg.labels import LabelMap, LabelSet, load_label_map

pytest.importorskip("rich")
pytest.importorskip("jinja2")
pytest.importorskip("tyro")

from desert_seg_train.inspect.command import inspect
from desert_seg_train.inspect.config import InspectConfig
from desert_seg_train.inspect.dataset_statistics import Gap, Statistics
from desert_seg_train.inspect.fault import Fault
from desert_seg_train.inspect.image_check import check_image, fingerprint
from desert_seg_train.inspect.mask_check import check_mask
from desert_seg_train.inspect.twins import MAX_DISTANCE

FALCON = load_label_map("falcon10")
RAW = np.array(sorted(FALCON.values), np.uint16)
HEIGHT, WIDTH = 48, 80


def picture(seed):
    """Soft blobs of colour; two seeds look nothing alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def labels(seed):
    """A raw mask that holds all ten values."""
    cells = np.random.default_rng(seed).permutation(np.resize(RAW, 40)).reshape(5, 8)
    return cv2.resize(cells, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)


def make_dataset(root, names=("cc0", "cc1", "mt0", "mt1"), first_seed=0):
    for seed, name in enumerate(names, first_seed):
        write_image(root / "Color_Images" / f"{name}.png", picture(seed))
        write_image(root / "Segmentation" / f"{name}.png", labels(seed))
    return root


@dataclass(frozen=True)
class Outcome:
    code: int
    printed: str
    page: str
    report: dict

    def faults(self, place=0):
        return [(f["kind"], f["file"], f["found"], f["cure"]) for f in list(self.report["faults"].values())[place]]


@pytest.fixture
def run(tmp_path, capsys):
    def go(data, against=None, label_map="falcon10"):
        out, code = tmp_path / "out", 0
        try:
            inspect(InspectConfig(data, label_map, against, out))
        except SystemExit as stop:
            code = stop.code
        report = json.loads((out / "report.json").read_text())
        return Outcome(code, capsys.readouterr().out, (out / "index.html").read_text(), report)

    return go


# ------------------------------------------------------------------------------------------- a clean dataset
def test_a_clean_dataset_has_no_faults_and_exit_code_zero(tmp_path, run):
    outcome = run(make_dataset(tmp_path / "clean"))
    assert outcome.code == 0
    assert outcome.report["faults"] == {"clean": []}
    assert "no faults" in outcome.printed
    assert "index.html" in outcome.printed


def test_a_class_that_never_occurs_is_a_warning_and_no_fault(tmp_path, run):
    root = make_dataset(tmp_path / "set", ["a"])
    mask = labels(0)
    mask[np.isin(mask, [600, 700])] = 100
    write_image(root / "Segmentation" / "a.png", mask)
    outcome = run(root)
    assert outcome.code == 0
    assert outcome.report["warnings"] == ["set: no pixel of Flowers, Logs"]
    assert "no pixel of Flowers, Logs" in outcome.page


def test_images_of_few_levels_are_a_warning_and_no_fault(tmp_path, run):
    root = make_dataset(tmp_path / "set")
    write_image(root / "Color_Images" / "cc1.png", picture(1) // 5)
    outcome = run(root)
    assert outcome.code == 0
    assert outcome.report["warnings"][0].startswith("set: 1 frame uses fewer than 64 of the 256 levels")


@pytest.mark.parametrize("smooth", [False, True])
def test_masks_that_were_mixed_are_told_even_if_every_number_is_a_class(tmp_path, run, smooth):
    (tmp_path / "map.yaml").write_text(
        "name: site\nclasses: falcon10\nvalues:\n"
        + "".join(f"  {index}: {name}\n" for index, name in enumerate(FALCON.labels.names))
    )
    root = make_dataset(tmp_path / "set")
    for path in (root / "Segmentation").iterdir():
        numbers = np.searchsorted(RAW, read_mask(path)).astype(np.uint8)
        write_image(path, cv2.GaussianBlur(numbers, (3, 3), 0) if smooth else numbers)
    outcome = run(root, label_map=str(tmp_path / "map.yaml"))
    assert outcome.code == 0
    assert any("seam of the numbers in between" in text for text in outcome.report["warnings"]) == smooth


# ------------------------------------------------------------------------------------------- faults, one by one
def save(path, array):
    assert cv2.imwrite(str(path), array)


def handmade_png(path, width, height, color_type, *chunks):
    """A PNG that OpenCV would not write, chunk by chunk."""
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0\0\1")), (b"IEND", b"")]:
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(data)


def larger_than_any_decoder_allows(path):
    handmade_png(path, 100_000, 100_000, 0)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turned(path):
    """A picture that asks to be shown upside down, in which neither size nor channels tell."""
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        pixels = image.copy()
    pixels.save(path, exif=exif.tobytes())


def as_jpeg(path):
    save(path.with_suffix(".jpg"), (labels(0) // 40).astype(np.uint8))
    path.unlink()


def as_float(path):
    save(path.with_suffix(".tiff"), labels(0).astype(np.float32))
    path.unlink()


def with_one_value_unknown(path):
    mask = labels(0)
    mask[:2, :3] = 1234
    save(path, mask)


MASK_FAULTS = {
    "unreadable": (cut, "a.png", "is not a whole image", "export the file again"),
    "empty file": (lambda path: path.write_bytes(b""), "a.png", "found no bytes, expected a PNG", "copy it again"),
    "huge": (larger_than_any_decoder_allows, "a.png", "found 100000x100000 pixels", "scale it down"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "a.png", "is no regular file", "move it away"),
    "FIFO": (lambda path: (path.unlink(), os.mkfifo(path)), "a.png", "is no regular file", "move it away"),
    "turned": (turned, "a.png", "EXIF orientation 3, expected 1", "mogrify -auto-orient"),
    "float": (as_float, "a.tiff", "float32 values", "16-bit PNG"),
    "colours": (
        lambda path: save(path, picture(0) // 64 * 64),
        "a.png",
        "3 channels: a picture of the labels",
        "a label map whose keys are colours",
    ),
    "photograph": (
        lambda path: save(path, np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)),
        "a.png",
        "as a photograph has",
        "taken for the images",
    ),
    "smoothed": (
        lambda path: save(path, cv2.GaussianBlur(labels(0), (3, 3), 0.5)),
        "a.png",
        "mix the values of classes at their edges",
        "INTER_NEAREST",
    ),
    "grey": (
        lambda path: save(path, cv2.merge([labels(0)] * 3)),
        "a.png",
        "3 channels that repeat the same values",
        "keep one channel",
    ),
    "jpeg": (as_jpeg, "a.jpg", "JPEG, which changes values", "again as PNG"),
    "size": (lambda path: save(path, labels(0)[:, :60]), "a.png", "mask is 60x48, its image 80x48", "image's size"),
    "unknown": (with_one_value_unknown, "a.png", r"does not know 1234 \(6 pixels\)", "add them to the map"),
    "indices": (
        lambda path: save(path, (np.searchsorted(RAW, labels(0))).astype(np.uint8)),
        "a.png",
        r"values 0, 1, 2, 3 and 6 more look like class indices",
        "give a label map of these numbers",
    ),
    "high byte": (
        lambda path: save(path, (labels(0) >> 8).astype(np.uint8)),
        "a.png",
        "high byte.*10000 became 39, 7100 became 27, 800 became 3",
        "IMREAD_UNCHANGED",
    ),
    "low byte": (
        lambda path: save(path, (labels(0) & 255).astype(np.uint8)),
        "a.png",
        "low byte.*500 became 244, 700 or 7100 became 188",
        "IMREAD_UNCHANGED",
    ),
    "clipped": (
        lambda path: save(path, np.minimum(labels(0), 255).astype(np.uint8)),
        "a.png",
        "clipped at 255: any of 8 values became 255",
        "IMREAD_UNCHANGED",
    ),
    "scaled": (
        lambda path: save(path, np.round(labels(0) / 257).astype(np.uint8)),
        "a.png",
        "scaled from 16 to 8 bits.*7100 became 28",
        "IMREAD_UNCHANGED",
    ),
    "empty": (lambda path: save(path, 0 * labels(0)), "a.png", "every pixel is 0", "label the frame"),
    "constant": (
        lambda path: save(path, np.full_like(labels(0), 10000)),
        "a.png",
        r"every pixel is 10000 \(Sky\)",
        "look at the image",
    ),
}


@pytest.mark.parametrize("case", MASK_FAULTS)
def test_a_bad_mask_is_named_with_its_cure_and_hides_no_other_file(tmp_path, run, case):
    spoil, name, found, cure = MASK_FAULTS[case]
    root = make_dataset(tmp_path / "set", ["a", "b", "c"])
    spoil(root / "Segmentation" / "a.png")
    with_one_value_unknown(root / "Segmentation" / "c.png")
    outcome = run(root)
    (_, file, told, advice), other = outcome.faults()
    assert outcome.code == 1
    assert file == f"Segmentation/{name}"
    assert re.search(found, told)
    assert cure in advice
    assert other[:2] == ("unknown values", "Segmentation/c.png")
    total = outcome.report["folders"]["set"]["total"]
    assert (total["num_images"], total["num_masks"]) == (3, 1)
    assert file in outcome.page
    assert name in outcome.printed


@pytest.mark.parametrize(
    ("spoil", "kind", "found"),
    [
        (cut, "unreadable", "is not a whole image"),
        (larger_than_any_decoder_allows, "unreadable", "found 100000x100000 pixels, expected at most"),
        (lambda path: path.write_text("no image"), "unreadable", "found 8 bytes without the header"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "unreadable", "is no regular file"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "unreadable", "cannot be read"),
        (turned, "turned", "EXIF orientation 3"),
        (lambda path: save(path, np.zeros((HEIGHT, WIDTH, 3), np.uint8)), "constant image", r"RGB \(0, 0, 0\)"),
    ],
)
def test_a_bad_image_is_named_and_hides_no_other_file(tmp_path, run, spoil, kind, found):
    root = make_dataset(tmp_path / "set")
    spoil(root / "Color_Images" / "cc0.png")
    outcome = run(root)
    ((found_kind, file, told, _),) = outcome.faults()
    assert (outcome.code, found_kind, file) == (1, kind, "Color_Images/cc0.png")
    assert re.search(found, told)
    assert outcome.report["folders"]["set"]["total"]["num_images"] == 3


def test_a_jpeg_without_its_end_is_found_whatever_opencv_thinks_of_it(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    write_image(path, picture(0))
    assert not isinstance(check_image(path), Fault)
    whole = cv2.imread(str(path))
    cut(path)
    monkeypatch.setattr("desert_seg.images.cv2.imdecode", lambda data, flags: whole)
    fault = check_image(path)
    assert isinstance(fault, Fault)
    assert fault.kind == "unreadable"


def test_files_without_a_partner_and_names_used_twice_are_found(tmp_path, run):
    root = make_dataset(tmp_path / "set")
    (root / "Segmentation" / "cc0.png").unlink()
    (root / "Color_Images" / "mt1.png").unlink()
    write_image(root / "Color_Images" / "cc1.jpg", picture(9))
    outcome = run(root)
    assert {fault[:2] for fault in outcome.faults()} == {
        ("no mask", "Color_Images/cc0.png"),
        ("no image", "Segmentation/mt1.png"),
        ("named alike", "Color_Images/cc1.png"),
    }
    assert outcome.code == 1


def test_copies_are_found_even_in_another_file_format(tmp_path, run):
    root = make_dataset(tmp_path / "set")
    write_image(root / "Color_Images" / "mt1.bmp", picture(0))
    (root / "Color_Images" / "mt1.png").unlink()
    ((kind, file, found, _),) = run(root).faults()
    assert (kind, file) == ("exact duplicate", "Color_Images/mt1.bmp")
    assert "cc0.png" in found


def test_a_mask_whose_every_value_the_map_ignores_is_empty(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, np.full((4, 4), 550, np.uint16))
    fault = check_mask(path, load_label_map("falcon7"), (4, 4))
    assert isinstance(fault, Fault)
    assert fault.kind == "empty mask"


def test_many_faults_of_a_kind_are_cut_short_in_the_terminal_but_nowhere_else(tmp_path, run):
    names = [f"frame{index}" for index in range(9)]
    root = make_dataset(tmp_path / "set", names)
    for name in names:
        with_one_value_unknown(root / "Segmentation" / f"{name}.png")
    outcome = run(root)
    assert "4 more" in outcome.printed
    assert len(outcome.faults()) == 9
    assert all(f"Segmentation/{name}.png" in outcome.page for name in names)


@pytest.mark.parametrize("missing", ["Color_Images", "Segmentation"])
def test_a_folder_that_is_no_dataset_is_refused_by_name(tmp_path, missing):
    root = make_dataset(tmp_path / "set")
    shutil.rmtree(root / missing)
    with pytest.raises(DataError, match=missing):
        inspect(InspectConfig(root, out=tmp_path / "out"))


@given(
    st.dictionaries(st.integers(0, 65535), st.integers(0, 3), min_size=4, max_size=12),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_a_mask_of_known_values_is_never_blamed_for_its_values(tmp_path_factory, values, random):
    label_map = LabelMap("any", LabelSet(tuple("abcd"), ((0, 0, 0),) * 4), values)
    raw = np.array([random.choice(sorted(values)) for _ in range(30)], np.uint16).reshape(5, 6)
    path = tmp_path_factory.mktemp("mask") / "a.png"
    write_image(path, raw)
    mask = check_mask(path, label_map, (6, 5))
    if isinstance(mask, Fault):
        assert mask.kind == "constant mask"
    else:
        assert mask.counts.tolist() == [*np.bincount(label_map.apply(raw).ravel(), minlength=4), 0]


# ------------------------------------------------------------------------------------------- leakage
def changed(image, change):
    if change == "darker":
        return (image * 0.7).astype(np.uint8)
    if change == "shifted":
        return np.ascontiguousarray(image[:, 2:])
    if change == "smaller":
        return cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize("change", ["darker", "shifted", "smaller", "compressed"])
def test_a_frame_that_both_folders_show_is_leakage_of_that_frame_only(tmp_path, run, change):
    train = make_dataset(tmp_path / "train")
    val = make_dataset(tmp_path / "val", ["x0", "x1"], first_seed=100)
    twin = changed(picture(2), change)
    write_image(val / "Color_Images" / "x1.png", twin)
    write_image(val / "Segmentation" / "x1.png", labels(5)[: twin.shape[0], : twin.shape[1]])
    outcome = run(train, val)
    assert list(outcome.report["faults"]) == ["train", "val", "train against val"]
    ((kind, file, found, cure),) = outcome.faults(2)
    assert (outcome.code, kind, file) == (1, "leakage", "Color_Images/mt0.png")
    assert "val/x1" in found
    assert "split by drive" in cure


def test_the_same_frame_on_both_sides_is_called_what_it_is(tmp_path, run):
    train, val = make_dataset(tmp_path / "train"), make_dataset(tmp_path / "val", ["x"])
    ((_, _, found, _),) = run(train, val).faults(2)
    assert "pixel for pixel" in found


def test_no_leakage_is_invented_and_twins_within_a_folder_are_no_fault(tmp_path, run):
    train = make_dataset(tmp_path / "train")
    write_image(train / "Color_Images" / "cc1.png", changed(picture(0), "darker"))
    outcome = run(train, make_dataset(tmp_path / "val", first_seed=100))
    assert (outcome.code, outcome.report["faults"]) == (0, {"train": [], "val": [], "train against val": []})


@given(st.integers(0, 2**31), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_unrelated_pictures_have_distant_fingerprints_and_each_is_its_own_twin(one, other):
    def distance(first, second):
        marks = [fingerprint(cv2.cvtColor(picture(seed), cv2.COLOR_RGB2GRAY)) for seed in (first, second)]
        return (256 - marks[0] @ marks[1]) / 2

    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one)
    assert one == other or distance(one, other) > MAX_DISTANCE


# ------------------------------------------------------------------------------------------- numbers and page
def test_the_numbers_are_those_of_all_pixels_together(tmp_path, run):
    root = make_dataset(tmp_path / "set", ["cc0", "cc1", "mt0"])
    report = run(root, label_map="falcon7").report["folders"]["set"]
    pixels = np.concatenate([read_image(path).reshape(-1, 3) for path in (root / "Color_Images").iterdir()])
    total = report["total"]
    assert np.allclose(list(total["mean"].values())[:3], pixels.mean(0))
    assert np.allclose(list(total["standard_deviation"].values())[:3], pixels.std(0))
    label_map = load_label_map("falcon7")
    for prefix, numbers in {"": total, **report["scenes"]}.items():
        masks = [label_map.apply(read_mask(path)) for path in (root / "Segmentation").glob(f"{prefix}*")]
        classes = np.concatenate([mask.ravel() for mask in masks])
        shares = [(classes[classes != 255] == index).mean() for index in range(7)]
        assert np.allclose(list(numbers["class_shares"].values()), shares)
        assert numbers["ignored_share"] == pytest.approx((classes == 255).mean())
    assert list(report["scenes"]) == ["cc", "mt"]


def statistics(draw):
    counts = draw(st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(lambda values: sum(values[:-1])))
    levels = draw(st.lists(st.integers(0, 9), min_size=256, max_size=256).filter(any))
    return Statistics(1, 1, np.array(counts), np.array([levels] * 4))


@given(st.data())
def test_the_gap_is_symmetric_bounded_and_nothing_from_a_set_to_itself(data):
    one, other = (data.draw(st.composite(statistics)()) for _ in range(2))
    there, back = Gap.between(one, other), Gap.between(other, one)
    assert there.class_distance == pytest.approx(back.class_distance)
    assert there.brightness_overlap == pytest.approx(back.brightness_overlap)
    assert np.allclose(there.mean_shift, -np.array(back.mean_shift))
    assert -1e-9 <= there.class_distance <= 1 + 1e-9
    assert -1e-9 <= there.brightness_overlap <= 1 + 1e-9
    same = Gap.between(one, one)
    assert (same.class_distance, same.brightness_overlap) == (0, pytest.approx(1))


def test_the_page_needs_nothing_from_elsewhere_and_shows_every_class_and_scene(tmp_path, run):
    train, val = make_dataset(tmp_path / "train"), make_dataset(tmp_path / "val", ["x0", "mt7"], first_seed=3)
    page = run(train, val).page
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources
    assert all(re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+$", source) for source in sources)
    bare = re.sub(r"data:image/[^\"]*", "", page)
    assert not re.search(r"http|//[a-z]|url\(|@import|<link|<script|srcset", bare)
    assert all(name in bare for name in [*FALCON.labels.names, "train", "val", "cc", "mt", "x0"])


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path, run):
    outcome = run(make_dataset(tmp_path / "<b>[red]set", ["<i>a", "b"]))
    assert "<i>a" not in outcome.page
    assert "&lt;i&gt;a" in outcome.page
    assert "[red]set" in outcome.printed


def test_folders_called_alike_are_told_apart_by_their_paths(tmp_path, run):
    one, other = make_dataset(tmp_path / "1" / "set"), make_dataset(tmp_path / "2" / "set", first_seed=50)
    assert list(run(one, other).report["folders"]) == [str(one), str(other)]


def test_a_folder_of_many_scenes_shows_twenty_on_the_page_and_all_in_the_numbers(tmp_path, run):
    names = [first + second for first in "abcde" for second in "vwxyz"]
    outcome = run(make_dataset(tmp_path / "set", names))
    assert list(outcome.report["folders"]["set"]["scenes"]) == names
    assert "5 more are in report.json" in outcome.page


def test_a_folder_in_which_nothing_can_be_used_still_gets_its_page(tmp_path, run):
    root = make_dataset(tmp_path / "set", ["a"])
    cut(root / "Color_Images" / "a.png")
    cut(root / "Segmentation" / "a.png")
    outcome = run(root, make_dataset(tmp_path / "other"))
    assert outcome.code == 1
    assert len(outcome.faults()) == 2
    assert outcome.report["folders"]["set"]["total"]["num_images"] == 0
    assert json.loads(json.dumps(outcome.report, allow_nan=False)) == outcome.report


def test_the_help_loads_nothing_heavy():
    code = (
        "import sys; import desert_seg_train.inspect.config;"
        "assert not {'cv2', 'numpy', 'torch', 'jinja2'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
