"""Classes and label maps."""

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
    with pytest.raises(DataError, match=r"frame7\.png: values 1234 \(3 pixels\).*falcon7"):
        load_label_map("falcon7").apply(mask, "frame7.png")


def test_a_mask_cut_to_eight_bits_is_recognised_as_such():
    mask = np.full((2, 2), 7100 >> 8, np.uint8)
    with pytest.raises(DataError, match="cut to 8 bits"):
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
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_label_map(path)
    assert str(path) in str(caught.value)


def test_the_palette_shows_unknown_as_black_and_classes_in_their_colours():
    labels = LabelSet(("A", "B"), ((1, 2, 3), (4, 5, 6)))
    palette = labels.palette()
    assert palette[:2].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert not palette[2:].any()
    assert not palette[IGNORE].any()


def test_a_map_to_a_class_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match="class 3, which does not exist"):
        LabelMap("x", LabelSet(("A",), ((0, 0, 0),)), {1: 3})
