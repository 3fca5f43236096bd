"""`desert-seg label` and `read-labels`: frames worth labelling, proposals for labelme, corrections read back."""

import json
import pickle
import shlex
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image as Picture

from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.images import read_image, read_mask, write_image
from desert_seg.labels import IGNORE, load_label_map, shipped_label_maps
from desert_seg.segmenter import Segmenter
from desert_seg_train.cli import parse
from desert_seg_train.data.sources import open_source
from desert_seg_train.label.command import label
from desert_seg_train.label.config import LabelConfig
from desert_seg_train.label.polygons import to_mask, to_polygons
from desert_seg_train.label.selection import Candidate, choose
from desert_seg_train.read_labels.command import raw_values, read_labels
from desert_seg_train.read_labels.config import ReadLabelsConfig

pytest.importorskip("openvino")

LIGHT = ROOT / "models" / "light"
STONES = load_label_map("falcon7_stones")


# ------------------------------------------------------------------------------------------------ polygons
@settings(max_examples=200, deadline=None)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 2, IGNORE])))
def test_a_mask_is_what_its_exact_polygons_draw(mask):
    polygons = to_polygons(mask, tolerance=0)
    assert np.array_equal(to_mask(polygons, mask.shape), mask)
    assert all(len(polygon.points) >= 3 for polygon in polygons)


def waves(seed, size=(180, 240)):
    """A mask with long curved borders, islands and holes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    planes = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-0.06, 0.06, (4, 3)) * [1, 1, 50]]
    return np.argmax(planes, axis=0).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_simplified_outlines_have_few_points_and_leave_no_gaps_between_them(seed):
    mask = waves(seed)
    exact, simple = (to_polygons(mask, tolerance) for tolerance in (0, 1.5))
    drawn = to_mask(simple, mask.shape)
    assert sum(len(p.points) for p in simple) < 0.4 * sum(len(p.points) for p in exact)
    assert np.mean(drawn == mask) > 0.98
    assert not (drawn[2:-2, 2:-2] == IGNORE).any()


def test_a_speck_goes_to_what_is_around_it_and_a_larger_island_stays():
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 1
    mask[5:7, 5:7] = mask[20:22, 40:42] = 2
    mask[20:30, 5:15] = 3
    drawn = to_mask(to_polygons(mask, tolerance=0, min_pixels=16), mask.shape)
    assert np.array_equal(np.unique(drawn), [0, 1, 3])
    assert (drawn[mask == 2] == np.where(np.argwhere(mask == 2)[:, 1] < 30, 0, 1)).all()


# ----------------------------------------------------------------------------------------------- selection
def candidates(uncertainty, descriptions):
    return [
        Candidate(str(index), u, ("a", "b"), np.array(d, float))
        for index, (u, d) in enumerate(zip(uncertainty, descriptions, strict=True))
    ]


def test_duplicates_of_a_frame_are_chosen_once_before_any_other_frame():
    pool = candidates([0.9, 0.9, 0.9, 0.3, 0.2], [[0, 0], [0, 0], [0, 0.0001], [1, 0], [0, 1]])
    assert {choice.index for choice in choose(pool, 3)} == {0, 3, 4}
    assert len(choose(pool, 5)) == 3


@given(st.integers(0, 1000), st.integers(1, 9))
def test_the_first_is_the_most_uncertain_and_no_frame_is_chosen_twice(seed, count):
    rng = np.random.default_rng(seed)
    pool = candidates(rng.random(9), rng.random((9, 5)))
    chosen = [choice.index for choice in choose(pool, count)]
    assert chosen[0] == int(np.argmax([candidate.uncertainty for candidate in pool]))
    assert len(set(chosen)) == len(chosen) == count
    assert chosen == [choice.index for choice in choose(pool, 9)][:count]


# --------------------------------------------------------------------------------------------- the commands
@pytest.fixture(scope="session")
def proposed(tmp_path_factory, sample_drive):
    """Three frames of the sample drive with proposals."""
    out = tmp_path_factory.mktemp("labelling") / "out"
    label(LabelConfig((str(sample_drive),), LIGHT, out, count=3, every=5, tta="none"))
    return out


@pytest.fixture
def corrected(tmp_path):
    """A frame of 60 x 40 with one shape, as a person may have drawn it; returns how to draw others."""
    write_image(tmp_path / "in" / "a.png", np.full((40, 60, 3), 128, np.uint8))

    def draw(*shapes, **changes):
        known = [{"label": name, "points": points, "shape_type": kind} for name, kind, points in shapes]
        content = {"imagePath": "a.png", "imageData": None, "imageHeight": 40, "imageWidth": 60, "shapes": known}
        (tmp_path / "in" / "a.json").write_text(json.dumps(content | changes))
        return ReadLabelsConfig(tmp_path / "in", LIGHT, tmp_path / "dataset")

    return draw


def source_of(config):
    return open_source(config.out, str(config.out / "label_map.yaml"), 1.0, Console())


ROCK = ("Rocks", "polygon", [[10, 10], [30, 10], [30, 30], [10, 30]])


def test_proposals_read_back_are_the_masks_of_the_model(proposed, tmp_path, capsys):
    config = ReadLabelsConfig(proposed, LIGHT, tmp_path / "dataset")
    read_labels(config)
    source, segmenter = source_of(config), Segmenter.load(LIGHT)
    assert len(source) == 3
    for index in range(3):
        sample = source[index]
        assert np.mean(sample.target == segmenter.segment(sample.image).mask) >= 0.99
        assert np.mean(sample.target == IGNORE) < 0.001
    told = capsys.readouterr().out
    assert "3 of 3 frames are not ticked `checked`" in told
    (command,) = (line.split(": ", 1)[1] for line in told.splitlines() if line.startswith("teach them"))
    name, adapt = parse(shlex.split(command)[1:])
    assert (name, adapt.frames, adapt.label_map) == ("adapt", config.out, str(config.out / "label_map.yaml"))


def test_the_images_are_the_frames_of_the_drive(proposed, sample_drive):
    from desert_seg_train.predict.inputs import find_chunks

    frames = dict(frame for chunk in find_chunks(str(sample_drive), "") for frame in chunk.frames())
    paths = sorted((proposed / "frames").glob("*.png"))
    assert len(paths) == 3
    assert all(np.array_equal(read_image(path), frames[path.stem]()) for path in paths)


def test_a_proposal_has_what_labelme_asks_of_a_file(proposed):
    names = (proposed / "labels.txt").read_text().splitlines()
    assert names == ["__ignore__", "_background_", *STONES.labels.names]
    assert sorted(path.name for path in proposed.iterdir()) == ["frames", "labels.txt", "preview.png"]
    for path in (proposed / "frames").glob("*.json"):
        content = json.loads(path.read_text())
        keys = {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
        assert content.keys() == keys
        assert content["imageData"] is None
        assert content["flags"] == {"checked": False}
        size = read_image(path.parent / content["imagePath"]).shape[:2]
        assert (content["imageHeight"], content["imageWidth"]) == size
        for shape in content["shapes"]:
            assert shape.keys() == {"label", "points", "group_id", "description", "shape_type", "flags", "mask"}
            assert shape["label"] in names
            assert shape["shape_type"] == "polygon"
            points = np.array(shape["points"])
            assert len(points) >= 3
            assert ((points >= 0) & (points <= [size[1] - 1, size[0] - 1])).all()


def test_copies_of_a_frame_are_proposed_once(proposed, tmp_path, capsys):
    first, second, _ = (read_image(path) for path in sorted((proposed / "frames").glob("*.png")))
    for name in "abc":
        write_image(tmp_path / "one" / f"{name}.png", first)
    write_image(tmp_path / "two" / "a.png", second)
    inputs = str(tmp_path / "one"), str(tmp_path / "two")
    label(LabelConfig(inputs, LIGHT, tmp_path / "out", count=3, tta="none"))
    names = {path.stem for path in (tmp_path / "out" / "frames").glob("*.json")}
    assert len(names) == 2
    assert "a_2" in names
    told = capsys.readouterr().out
    assert "no more than 2: the other frames are near-duplicates" in told
    assert f"in one command: desert-seg site {inputs[0]} {inputs[1]} --model {LIGHT}" in told


def test_a_frame_that_cannot_be_read_or_is_dim_does_not_end_the_others_and_is_said(proposed, tmp_path, capsys):
    write_image(tmp_path / "in" / "good.png", read_image(next((proposed / "frames").glob("*.png"))) // 8)
    (tmp_path / "in" / "bad.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1 of 2 frames could not be read, the others are done; .*bad\.png"):
        label(LabelConfig((str(tmp_path / "in"),), LIGHT, tmp_path / "out", tta="none"))
    assert [path.stem for path in (tmp_path / "out" / "frames").glob("*.json")] == ["good"]
    assert (
        "warning: 1 frame uses fewer than 64 of the 256 levels of brightness (first: good)" in capsys.readouterr().out
    )


def test_a_shape_drawn_later_wins_and_what_has_none_is_ignored(corrected):
    sky = ("Sky", "polygon", [[20, 0], [59, 0], [59, 39], [20, 39]])
    nothing = ("__ignore__", "rectangle", [[50, 30], [59, 39]])
    config = corrected(ROCK, sky, nothing)
    read_labels(config)
    target = source_of(config)[0].target
    assert target[20, 15] == STONES.labels.index("Rocks")
    assert target[20, 25] == STONES.labels.index("Sky")
    assert target[0, 0] == target[35, 55] == IGNORE


def test_rectangles_and_circles_are_areas_too(corrected):
    config = corrected(("Rocks", "rectangle", [[30, 30], [10, 10]]), ("Sky", "circle", [[45, 20], [45, 30]]))
    read_labels(config)
    target = source_of(config)[0].target
    assert np.count_nonzero(target == STONES.labels.index("Rocks")) == 21 * 21
    assert np.count_nonzero(target == STONES.labels.index("Sky")) == pytest.approx(np.pi * 10.5**2, rel=0.05)


def test_masks_hold_the_values_that_label_maps_agree_on(corrected):
    config = corrected(ROCK)
    read_labels(config)
    raw = read_mask(config.out / "Segmentation" / "a.png")
    assert raw.dtype == np.uint16
    assert set(np.unique(raw)) == {0, 800}
    assert raw_values(STONES).tolist() == [100, 200, 300, 500, 800, 7100, 10000]
    for label_map in map(load_label_map, shipped_label_maps()):
        if set(label_map.values.values()) | {IGNORE} != {*range(len(label_map.labels)), IGNORE}:
            continue  # a partial map
        told = label_map.apply(raw_values(label_map)[None])
        assert told[0].tolist() == list(range(len(label_map.labels)))


def test_a_label_map_can_have_classes_the_model_does_not_know(corrected):
    config = replace(corrected(("Puddle", "polygon", ROCK[2])), label_map="ycor")
    read_labels(config)
    assert source_of(config).counts[0, load_label_map("ycor").labels.index("Puddle")] == 21 * 21


def test_only_checked_frames_are_read_if_asked(proposed, tmp_path):
    config = ReadLabelsConfig(tmp_path / "in", LIGHT, tmp_path / "dataset", checked=True)
    (tmp_path / "in").mkdir()
    for path in (proposed / "frames").iterdir():
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"found none of 3 frames ticked `checked` and with a shape, .* tick those"):
        read_labels(config)
    first = min((tmp_path / "in").glob("*.json"))
    first.write_text(json.dumps(json.loads(first.read_text()) | {"flags": {"checked": True}}))
    read_labels(config)
    assert source_of(config).names == (first.stem,)


def test_reading_again_adds_but_other_contents_are_left_alone(corrected, tmp_path):
    config = corrected(ROCK)
    read_labels(config)
    read_labels(config)
    with pytest.raises(DataError, match="holds something else, or frames with other classes; choose another --out"):
        read_labels(replace(config, label_map="falcon10"))
    with pytest.raises(DataError, match="holds something else"):
        read_labels(replace(config, out=tmp_path / "in"))


def test_a_frame_that_somebody_else_put_into_the_folder_is_not_replaced(corrected):
    config = corrected(ROCK)
    read_labels(config)
    mine = config.out / "Segmentation" / "b.png"
    mine.write_text("mine")
    for path in (config.labels / "a.json", *config.labels.glob("a.png")):
        path.rename(path.with_stem("b"))
    text = (config.labels / "b.json").read_text().replace('"a.png"', '"b.png"')
    (config.labels / "b.json").write_text(text)
    with pytest.raises(DataError, match=r"found Segmentation/b\.png, expected nothing there"):
        read_labels(config)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("shape", "changes", "sentence"),
    [
        (("Rock", "polygon", ROCK[2]), {}, r"a\.json: found the label 'Rock', expected one of: Trees, .*; rename it"),
        (("Rocks", "line", [[1, 1], [2, 2]]), {}, "a Rocks is a line of 2 points, expected a polygon, a rectangle"),
        (("Rocks", "polygon", [[1, 1], [2, 2]]), {}, "a Rocks is a polygon of 2 points, expected a polygon"),
        (("Rocks", "polygon", [[1, 1], [2], [3, 3]]), {}, "a Rocks has points that are not pairs of numbers"),
        (("Rocks", "polygon", [[1, 1], [2, float("nan")], [3, 3]]), {}, "points that are not pairs of numbers"),
        (("Rocks", "polygon", None), {}, "points that are not pairs of numbers"),
        (ROCK, {"imageWidth": 61}, r"a\.json: found an image of 60x40, expected 61x40; put back the image"),
        (ROCK, {"imagePath": "b.png"}, r"b\.png: cannot be read"),
        (ROCK, {"imagePath": 3}, r"a\.json: is no labelme file"),
        (ROCK, {"shapes": [{"points": []}]}, r"a\.json: is no labelme file \('label' is missing\); save it again"),
        (ROCK, {"shapes": []}, "found none of 1 frames with a shape, expected one at least; open them in labelme"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_before_anything_is_written(corrected, shape, changes, sentence):
    config = corrected(shape, **changes)
    with pytest.raises(DataError, match=sentence):
        read_labels(config)
    assert not config.out.exists()


def test_a_frame_that_asks_to_be_turned_is_refused_before_it_is_taught(corrected):
    config = corrected(ROCK)
    exif = Picture.Exif()
    exif[0x0112] = 3
    Picture.new("RGB", (60, 40)).save(config.labels / "a.png", exif=exif)
    with pytest.raises(DataError, match=r"a\.png: found EXIF orientation 3, expected 1.*mogrify -auto-orient"):
        read_labels(config)
    assert not config.out.exists()


def test_labels_that_were_moved_with_their_image_or_edited_on_windows_are_read(corrected):
    config = corrected(ROCK, imagePath="C:\\Users\\somebody\\frames\\a.png")
    path = config.labels / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    read_labels(config)
    assert (config.out / "Color_Images" / "a.png").is_file()


def test_annotations_of_many_images_in_one_file_are_named(corrected):
    config = corrected(ROCK)
    (config.labels / "b.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(DataError, match=r"b\.json: is a COCO file of many images, .* draw its annotations as masks"):
        read_labels(config)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", pickle.dumps({"imagePath": "a.png"})], ids=str)
def test_a_file_of_another_kind_is_refused(corrected, content):
    config = corrected(ROCK)
    (config.labels / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json: is no labelme file"):
        read_labels(config)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(DataError, match="found no labelme file; give the folder that `desert-seg label` wrote"):
        read_labels(ReadLabelsConfig(tmp_path, LIGHT, tmp_path / "dataset"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": ()}, "found no input, expected bags, folders or images"),
        ({"inputs": ("nowhere",)}, "found no image at nowhere"),
        ({"count": 0}, "found 0 for count, expected 1 or more"),
        ({"every": 0}, "found 0 for every, expected 1 or more"),
        ({"tolerance": -1.0}, r"found -1\.0 for tolerance, expected pixels, 0 or more"),
        ({"tolerance": float("inf")}, "found inf for tolerance, expected pixels, 0 or more"),
    ],
)
def test_a_mistake_in_what_is_asked_for_is_answered_in_one_sentence(sample_drive, tmp_path, changes, sentence):
    with pytest.raises(DataError, match=sentence):
        label(replace(LabelConfig((str(sample_drive),), LIGHT, tmp_path / "out"), **changes))
    assert not (tmp_path / "out").exists()


def test_corrections_are_never_overwritten(proposed, sample_drive):
    with pytest.raises(DataError, match="holds frames already, perhaps with your corrections; choose another --out"):
        label(LabelConfig((str(sample_drive),), LIGHT, proposed))
