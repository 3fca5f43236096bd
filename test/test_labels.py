"""Classes and label maps."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desert_seg.errors import DataError
from desert_seg.labels import IGNORE, LabelMap, LabelSet, label_map_from_dict, load_label_map, shipped_label_maps

RAW_VALUES = [100, 200, 300, 500, 550, 600, 700, 800, 7100, 10000]


def test_every_shipped_map_names_all_ten_raw_values_of_the_dataset():
    assert {"falcon7", "falcon7_stones", "falcon10"} <= set(shipped_label_maps())
    for name in shipped_label_maps():
        if name.startswith("falcon"):
            assert sorted(load_label_map(name).values) == RAW_VALUES


def test_stones_differs_from_the_reference_only_in_clutter_and_flowers():
    reference, stones = load_label_map("falcon7"), load_label_map("falcon7_stones")
    assert stones.labels == reference.labels
    changed = {value for value in RAW_VALUES if reference.values[value] != stones.values[value]}
    assert changed == {550, 600}
    assert stones.values[550] == stones.labels.index("Rocks")


@pytest.mark.parametrize("name", shipped_label_maps())
def test_a_map_survives_the_way_through_its_dictionary(name):
    label_map = load_label_map(name)
    assert label_map_from_dict(label_map.to_dict(), "copy") == label_map


@given(st.lists(st.sampled_from(RAW_VALUES), min_size=1, max_size=40))
def test_each_pixel_is_mapped_by_itself(values):
    label_map = load_label_map("falcon7_stones")
    mapped = label_map.apply(np.array([values], np.uint16))
    assert mapped.dtype == np.uint8
    assert mapped[0].tolist() == [label_map.values[value] for value in values]


def test_an_unknown_value_is_refused_with_file_value_and_count():
    mask = np.full((4, 5), 7100, np.uint16)
    mask[0, :3] = 1234
    with pytest.raises(DataError, match=r"frame7\.png: label map falcon7 does not know 1234 \(3 pixels\)"):
        load_label_map("falcon7").apply(mask, "frame7.png")


def test_a_mask_cut_to_eight_bits_is_recognised_as_such():
    mask = np.full((2, 2), 7100 >> 8, np.uint8)
    with pytest.raises(DataError, match="only the high byte of each value was kept"):
        load_label_map("falcon7").apply(mask)


@pytest.mark.parametrize("mask", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32)])
def test_anything_but_one_integer_plane_is_refused(mask):
    with pytest.raises(DataError, match="one plane of uint8 or uint16"):
        load_label_map("falcon7").apply(mask)


def test_an_unknown_map_or_class_is_answered_with_those_that_exist():
    with pytest.raises(DataError, match="falcon10, falcon7, falcon7_stones"):
        load_label_map("mars")
    with pytest.raises(DataError, match="Trees, Lush Bushes"):
        load_label_map("falcon7").labels.index("Cactus")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nclasses: [", "not readable as YAML"),
        ("name: x", "no name, classes and values"),
        ("name: x\nclasses: [{name: A}]\nvalues: {1: A}", "not a label map"),
        ("name: x\nclasses: [{name: A, color: [1, 2, 3]}]\nvalues: {1: B}", "no class 'B'"),
        ("name: x\nclasses: [{name: A, color: [1, 2, 300]}]\nvalues: {1: A}", "three numbers from 0 to 255"),
        ("name: x\nclasses: [{name: A, color: [1, 2, 3]}]\nvalues: {70000: A}", "outside 0..65535"),
        ("name: x\nclasses: [{name: A, color: [0.9, 2, 3]}]\nvalues: {1: A}", r"the colour \[0.9, 2, 3\], expected"),
        ("name: x\nclasses: [{name: A, color: [1, yes, 3]}]\nvalues: {1: A}", r"the colour \[1, 'yes', 3\], expected"),
        ("name: x\nclasses: [{name: A, color: [1, '7', 3]}]\nvalues: {1: A}", r"the colour \[1, '7', 3\], expected"),
        ("name: x\nclasses: [{name: true, color: [1, 2, 3]}]\nvalues: {1: true}", "found True as the name of a class"),
        ("name: x\nclasses: [{name: ignore, color: [1, 2, 3]}]\nvalues: {1: ignore}", "found a class named ignore"),
        ("name: x\nclasses: [{name: A, color: [1, 2, 3]}]\nvalues: {1:30: A}", "found '1:30' as a raw value"),
        ("name: x\nclasses: falcon7\nvalues: {0: void}", "no class 'void'; .*, and ignore stands for pixels of none"),
        (
            "name: x\nclasses: falcon7\nvalues: {0: Sky}\nignore: [255]",
            "found the key 'ignore', expected name",
        ),
        ("name: x\nclasses: falcon7\nvalues: [Sky]", r"found \['Sky'\] as the values, expected each raw value"),
        ("name: x\nclasses: [A]\nvalues: {0: A}", "not a label map"),
        ("name: x\nclasses: [{name: A, color: [1, 2, 3], id: 7}]\nvalues: {0: A}", "found the key 'id' of a class"),
        ("name: x\nclasses: [{name: '', color: [1, 2, 3]}]\nvalues: {0: ''}", "found the class name '', expected"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_label_map(path)
    assert str(path) in str(caught.value)


def test_a_class_may_be_named_no_and_a_value_begin_with_zeros(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("name: x\nclasses: [{name: no, color: [1, 2, 3]}]\nvalues: {0100: no, 010: ignore}")
    assert load_label_map(path).labels.names == ("no",)
    assert load_label_map(path).values == {100: 0, 10: IGNORE}


def test_the_palette_shows_unknown_as_black_and_classes_in_their_colours():
    labels = LabelSet(("A", "B"), ((1, 2, 3), (4, 5, 6)))
    palette = labels.palette()
    assert palette[:2].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert not palette[2:].any()
    assert not palette[IGNORE].any()


def test_a_map_to_a_class_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match="class 3, which does not exist"):
        LabelMap("x", LabelSet(("A",), ((0, 0, 0),)), {1: 3})


# ------------------------------------------------------------------------------------------- maps of colours
COLORS = {
    "name": "trail",
    "classes": [{"name": "Trail", "color": [1, 2, 3]}, {"name": "Sky", "color": [4, 5, 6]}],
    "values": {"108, 64, 20": "Trail", "0, 0, 255": "Sky", "0, 0, 0": "ignore"},
}


def test_a_map_whose_keys_are_colours_maps_colours():
    label_map = label_map_from_dict(COLORS, "trail")
    colors = np.array([[0x6C4014, 0x0000FF], [0x000000, 0x6C4014]], np.uint32)
    assert label_map.apply(colors).tolist() == [[0, 1], [IGNORE, 0]]
    assert label_map_from_dict(label_map.to_dict(), "copy") == label_map


def test_a_colour_that_the_map_does_not_name_is_refused_as_red_green_and_blue():
    colors = np.array([[0x6C4014, 0x010203, 0x010203]], np.uint32)
    with pytest.raises(DataError, match=r"a\.png: label map trail does not know \[1, 2, 3\] \(2 pixels\)"):
        label_map_from_dict(COLORS, "trail").apply(colors, "a.png")


@pytest.mark.parametrize(
    ("colors", "words"),
    [
        (
            [0x14406C],
            r"\[20, 64, 108\] \(1 pixel\), but knows them with red and blue swapped; write red, green and blue",
        ),
        ([0x000000, 0x070707], "every pixel is grey, as if the mask held numbers; give a label map whose keys are"),
        ([0x6B4113], r"\[107, 65, 19\] \(1 pixel\), each a little off one that it knows, .* without a colour profile"),
        ([0x6C4014] * 9000 + [*range(1, 20)], "mix the values of classes at their edges; export the mask again as PNG"),
    ],
)
def test_why_colours_are_unknown_is_told_with_its_cure(colors, words):
    with pytest.raises(DataError, match=words):
        label_map_from_dict(COLORS, "trail").apply(np.array([colors], np.uint32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"100": "Sky", 100: "Trail"}, "raw value 100 is listed twice"),
        ({"1, 2, 3": "Sky", "1,2,3": "Trail"}, "raw value 1, 2, 3 is listed twice"),
        ({1.5: "Sky"}, "found 1.5 as a raw value, expected a whole number, or a colour"),
        ({True: "Sky"}, "found True as a raw value"),
        ({None: "Sky"}, "found None as a raw value"),
        ({"1, 2": "Sky"}, "found '1, 2' as a raw value"),
        ({"1, 2, 256": "Sky"}, "found the colour 1, 2, 256, expected three numbers from 0 to 255"),
        ({"1, 2, 3": "Sky", 7: "Trail"}, "found 1 colours among 2 raw values; give either"),
    ],
)
def test_a_key_that_is_no_single_value_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        label_map_from_dict(COLORS | {"values": values}, "trail")


def test_the_maps_of_other_datasets_speak_of_the_same_seven_classes():
    falcon = load_label_map("falcon7")
    ycor, rugd = load_label_map("ycor_falcon7"), load_label_map("rugd_falcon7")
    assert ycor.labels == rugd.labels == falcon.labels
    assert sorted(ycor.values) == list(range(9))
    assert (len(rugd.values), rugd.in_color) == (25, True)
    assert rugd.values[0x99CCFF] == rugd.labels.index("Rocks")


@pytest.mark.parametrize(
    ("values", "known", "said"),
    [
        ([0, 40, 240], range(7), "every value is 40 times one that it knows"),
        ([0, 255], range(2), "every value is 255 times one that it knows"),
        ([0, 255], range(7), "does not know 255 (2 pixels)"),
        ([900], range(7), "does not know 900 (2 pixels)"),
        ([1, 4, 7], range(7), "every value is one more than one that it knows"),
        ([0, 4, 7], range(7), "does not know 7 (2 pixels)"),
        ([1, 4, 5, 255], [0, 3, 4, 255], "every value is one more than one that it knows"),
        ([0, 3, 255], [1, 4, 6, 255], "every value is one less than one that it knows"),
    ],
)
def test_numbers_that_are_moved_are_told_from_those_that_are_missing(values, known, said):
    labels = LabelSet(tuple(map(str, known)), tuple((value, 0, 0) for value in known))
    targets = [value if value == IGNORE else index for index, value in enumerate(known)]
    label_map = LabelMap("site", labels, dict(zip(known, targets, strict=True)))
    with pytest.raises(DataError, match=re.escape(said)):
        label_map.apply(np.repeat(np.array([values], np.uint16), 2, axis=0))


def test_a_list_of_classes_in_another_form_is_not_said_to_be_missing(tmp_path):
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nsky:0,0,255::\n")
    with pytest.raises(DataError, match=r"labelmap\.txt: does not end in \.yaml, expected a label map"):
        load_label_map(tmp_path / "labelmap.txt")
