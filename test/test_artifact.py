"""Model artifacts: what is saved is what is loaded, or nothing is."""

import json
import shutil

import numpy as np
import pytest

from desert_seg.artifact import ONNX, WEIGHTS, ModelCard, load_artifact, save_artifact
from desert_seg.errors import ArtifactError
from desert_seg.labels import load_label_map

CARD = ModelCard(
    name="tiny",
    network={"architecture": "DeepLabV3Plus", "encoder": "resnet18", "num_classes": 7},
    input_size=(64, 96),
    label_map=load_label_map("falcon7_stones"),
    metrics={"miou": 0.5},
    provenance={"data": "none"},
)
FILES = {WEIGHTS: b"w" * 1000, ONNX: b"o" * 1000}


@pytest.fixture
def artifact(tmp_path):
    return save_artifact(tmp_path / "models" / "tiny", CARD, FILES)


def test_saving_and_loading_gives_the_same_card_and_digest(artifact):
    loaded = load_artifact(artifact.path)
    assert loaded == artifact
    assert loaded.card == CARD
    assert loaded.weights.read_bytes() == FILES[WEIGHTS]
    assert loaded.onnx.read_bytes() == FILES[ONNX]


def test_the_digest_names_the_content_not_the_place(artifact, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(artifact.path, moved)
    assert load_artifact(moved).digest == artifact.digest
    other = save_artifact(tmp_path / "other", CARD, {**FILES, ONNX: b"p" * 1000})
    assert other.digest != artifact.digest


@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
@pytest.mark.parametrize("damage", ["flip one bit", "cut short", "remove"])
def test_a_damaged_file_is_refused_by_name(artifact, name, damage):
    path = artifact.path / name
    data = bytearray(path.read_bytes())
    if damage == "flip one bit":
        data[500] ^= 1
        path.write_bytes(data)
    elif damage == "cut short":
        path.write_bytes(data[:-1])
    else:
        path.unlink()
    with pytest.raises(ArtifactError, match="copy the artifact again") as caught:
        load_artifact(artifact.path)
    assert str(path) in str(caught.value)


def test_an_edited_description_is_refused(artifact):
    path = artifact.path / "artifact.json"
    content = json.loads(path.read_text())
    content["label_map"]["classes"][0]["name"] = "Water"
    path.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="was changed after it was saved"):
        load_artifact(artifact.path)


def test_a_truncated_description_is_refused(artifact):
    path = artifact.path / "artifact.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ArtifactError, match="not valid JSON"):
        load_artifact(artifact.path)


def test_another_format_is_refused_with_both_numbers(artifact):
    path = artifact.path / "artifact.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(ArtifactError, match="format 99, expected 1"):
        load_artifact(artifact.path)


def test_a_missing_or_foreign_folder_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no model artifact at"):
        load_artifact(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"found no artifact\.json"):
        load_artifact(tmp_path)


def test_saving_over_an_artifact_replaces_it_whole(artifact):
    replaced = save_artifact(artifact.path, CARD, {WEIGHTS: b"new"})
    assert load_artifact(artifact.path) == replaced
    assert not (artifact.path / ONNX).exists()
    assert sorted(entry.name for entry in artifact.path.parent.iterdir()) == ["tiny"]


def test_a_failed_save_leaves_the_old_artifact_and_no_trace(artifact):
    with pytest.raises(TypeError):
        save_artifact(artifact.path, CARD, {WEIGHTS: b"new", ONNX: "not bytes"})
    assert load_artifact(artifact.path) == artifact
    assert sorted(entry.name for entry in artifact.path.parent.iterdir()) == ["tiny"]


def test_a_folder_that_is_no_artifact_is_never_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(np.zeros(3, np.uint8).tobytes())
    with pytest.raises(ArtifactError, match="is not a model artifact"):
        save_artifact(tmp_path / "photos", CARD, FILES)
    assert (tmp_path / "photos" / "holiday.jpg").exists()
