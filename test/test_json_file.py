"""JSON from outside that is more than it seems."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from desert_seg.checkpoint import read_checkpoint
from desert_seg.errors import DesertSegError
from desert_seg.json_file import parse_json
from desert_seg_train.adapt.judgement import FILE, read_judgement
from desert_seg_train.evaluate.earlier import read_earlier
from desert_seg_train.label.labelme import read_labelme
from desert_seg_train.written import RECORD, read_record

DEEP = "[" * 200_000
NESTED = "[" * 500 + "]" * 500


def read_pretrained(path):
    (path.parent / "model.safetensors").touch()
    return read_checkpoint(path.parent)


READERS = {
    "frame.json": lambda path: read_labelme(path, {"Rocks": 0}),
    "results.json": read_earlier,
    FILE: lambda path: read_judgement(path.parent),
    "config.json": read_pretrained,
}


@pytest.mark.parametrize("text", [DEEP, NESTED])
def test_text_that_is_nested_too_deep_is_a_value_error(text):
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json(text)
    assert parse_json('{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_nested_too_deep_is_refused_in_a_sentence(tmp_path: Path, name):
    (tmp_path / name).write_text(DEEP)
    with pytest.raises(DesertSegError, match="nested too deep"):
        READERS[name](tmp_path / name)


def test_a_record_that_is_nested_too_deep_is_none(tmp_path):
    (tmp_path / RECORD).write_text(DEEP)
    assert read_record(tmp_path) == frozenset()


@pytest.mark.parametrize(
    ("points", "height"), [("[[1e999, 0], [1, 1], [2, 0]]", "9"), ("[[1, 1]]", "Infinity"), ("[[1, 1]]", "1e999")]
)
def test_numbers_without_end_in_a_labelme_file_are_refused(tmp_path, points, height):
    text = (
        '{"imagePath": "a.png", "imageHeight": HEIGHT, "imageWidth": 9, "shapes": [{"label": "Rocks", "points": PTS}]}'
    )
    path = tmp_path / "frame.json"
    path.write_text(text.replace("HEIGHT", height).replace("PTS", points))
    with pytest.raises(DesertSegError, match=r"draw it again in labelme|is no labelme file"):
        read_labelme(path, {"Rocks": 0})


def test_a_count_that_no_results_can_have_is_refused(tmp_path):
    path = tmp_path / "results.json"
    text = '{"format": "desert-seg results 1", "model": {"name": "a", "digest": "b"}, "passes": [{"name": "none"}], '
    text += '"data": {"classes": ["x"], "label_map": "m"}, "frames": [{"name": "s", "confusion": [[COUNT, 1]]}]}'
    path.write_text(text.replace("COUNT", str(10**30)))
    with pytest.raises(DesertSegError, match="is incomplete"):
        read_earlier(path)
