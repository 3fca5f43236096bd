"""Model artifacts: what is saved is what is loaded, or nothing is."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from desert_seg import folder
from desert_seg.artifact import ONNX, WEIGHTS, ModelCard, load_artifact, save_artifact
from desert_seg.errors import ArtifactError, DataError
from desert_seg.folder import write_folder
from desert_seg.labels import load_label_map
from desert_seg.speeds import SPEEDS

CARD = ModelCard(
    name="tiny",
    network={"architecture": "DeepLabV3Plus", "encoder": "resnet18", "num_classes": 7},
    input_size=(64, 96),
    label_map=load_label_map("falcon7_stones"),
    metrics={"miou": 0.5},
    provenance={"data": "none"},
    speeds={"fast": 0.25, "balanced": 1.0, "fine": 2.0},
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


# ---------------------------------------------------------------------------------------------------- what may be in it
def rewritten(artifact, **changes):
    """The artifact with other entries in its description, which is otherwise in order."""
    path = artifact.path / "artifact.json"
    content = {**json.loads(path.read_text()), **changes}
    content.pop("digest")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**content, "digest": digest}))
    return artifact.path


def network(**changes):
    return {"network": {**CARD.network, **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_size": [64]}, r"input_size is \[64\], expected height and width in multiples of 32 up to 4096"),
        ({"input_size": [64, 100]}, r"input_size is \[64, 100\], expected"),
        ({"input_size": [0, 64]}, r"input_size is \[0, 64\], expected"),
        ({"input_size": [32, 320000]}, r"input_size is \[32, 320000\], expected"),
        ({"speeds": {"fast": 0.5}}, r"speeds is \{'fast': 0.5\}, expected fast, balanced, fine"),
        ({"speeds": {"fast": 0, "balanced": 1, "fine": 2}}, "numbers above 0 up to 4"),
        ({"speeds": {"fast": 0.5, "balanced": 0.9, "fine": 2}}, "balanced = 0.9, expected 1, which is input_size"),
        ({"input_size": ["64", "96"]}, r"input_size is \['64', '96'\], expected"),
        ({"name": 5}, "name is 5, expected a text"),
        ({"files": None}, "files is None, expected a mapping"),
        ({"files": {"../weights": "a" * 64}}, r"files has '\.\./weights' = .*expected a name without a folder"),
        ({"files": {"/etc/passwd": "a" * 64}}, "files has '/etc/passwd' = .*expected a name without a folder"),
        ({"files": {"weights": 5}}, "files has 'weights' = 5, expected a name without a folder and its SHA-256"),
        (
            {"label_map": {"name": "x", "classes": "/etc/passwd", "values": {}}},
            "label_map has the classes '/etc/passwd'",
        ),
        (network(num_classes=8), "label_map has the classes 7 and the network 8"),
        (network(num_classes="7"), "num_classes '7', expected 1 to 255"),
        (network(mean=[0.5, 0.5]), r"the mean \[0\.5, 0\.5\], expected three numbers"),
        (network(std=[0.5, 0.5, 0.0]), "the std .*expected three numbers"),
        (network(weights="x"), "network is .*expected architecture, encoder and num_classes"),
        (
            network(options={"checkpoint_path": "a"}),
            "the option checkpoint_path = 'a', expected settings that load nothing",
        ),
        (network(options={"pretrained_cfg": {"file": "a"}}), "the option pretrained_cfg = .*load nothing"),
        (network(options={"act_layer": "/tmp/x"}), "the option act_layer = '/tmp/x', expected"),
        (network(encoder="tu-hf_hub:someone/model"), "the encoder 'tu-hf_hub:someone/model', expected a plain name"),
        (network(encoder="tu-local-dir:/etc"), "the encoder 'tu-local-dir:/etc', expected a plain name"),
        ({"calibration": {"temperature": float("inf"), "frames": None}}, "is incomplete .temperature is inf"),
        ({"calibration": {"frames": {"mean": [1], "spread": [0], "usual": 1}}}, "is incomplete .the statistics"),
    ],
)
def test_a_description_of_another_kind_or_out_of_bounds_is_refused(artifact, changes, message):
    with pytest.raises(ArtifactError, match=message) as error:
        load_artifact(rewritten(artifact, **changes))
    assert "\n" not in str(error.value) and "; " in str(error.value)


def test_an_artifact_without_speeds_has_the_usual_ones(artifact):
    content = json.loads((artifact.path / "artifact.json").read_text())
    del content["speeds"]
    (artifact.path / "artifact.json").write_text(json.dumps(content))
    assert load_artifact(rewritten(artifact)).card.speeds == SPEEDS


@pytest.mark.parametrize("name", ["artifact.json", WEIGHTS])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(artifact, name):
    (artifact.path / name).unlink()
    os.mkfifo(artifact.path / name)
    with pytest.raises(ArtifactError, match=rf"{name}: is no regular file"):
        load_artifact(artifact.path)


def test_a_description_of_absurd_size_is_refused_unread(artifact):
    with (artifact.path / "artifact.json").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(ArtifactError, match=f"has {2**40} bytes, expected at most 4194304"):
        load_artifact(artifact.path)


def test_a_file_that_nobody_vouches_for_is_refused_by_name(artifact):
    (artifact.path / "external.bin").write_bytes(b"weights of a graph")
    with pytest.raises(ArtifactError, match=r"external\.bin: is not among the files artifact\.json lists; remove it"):
        load_artifact(artifact.path)


def test_what_would_not_load_is_not_saved(artifact):
    with pytest.raises(ArtifactError, match="is not written, because it would not load: input_size is"):
        save_artifact(artifact.path, replace(CARD, input_size=(50, 50)), FILES)
    assert load_artifact(artifact.path) == artifact


@pytest.mark.parametrize("encoder", ["tu-hf_hub:someone/model", "tu-hf-hub:someone/model", "tu-local-dir:/etc"])
def test_no_network_is_built_of_an_encoder_from_elsewhere(encoder):
    pytest.importorskip("torch")
    from desert_seg.network import NetworkConfig, SegmentationNetwork

    with pytest.raises(DataError, match="expected a plain name like resnet18"):
        SegmentationNetwork(NetworkConfig("Unet", encoder, 7))


# ---------------------------------------------------------------------------------------------------- killed
KILL = """
import os, signal, sys
from pathlib import Path
from desert_seg import folder
calls, kill_at = 0, int(sys.argv[2])
def watch(event, arguments):
    global calls
    if event in ("os.rename", "os.rmdir", "ctypes.dlsym"):
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
folder.write_folder(Path(sys.argv[1]), {"new": b"n"})
"""


def kill_while_writing(path, step):
    """Kill a writer before its n-th step among renaming, exchanging and removing; returns whether it got that far."""
    return subprocess.run([sys.executable, "-c", KILL, path, str(step)], cwd=ROOT, check=False).returncode == -9


def test_whenever_a_writer_is_killed_there_is_the_old_folder_or_the_new_one(tmp_path):
    path = tmp_path / "model"
    for step in range(1, 10):
        write_folder(path, {"old": b"o"})
        killed = kill_while_writing(path, step)
        assert [entry.name for entry in path.iterdir()] in (["old"], ["new"])
        if not killed:
            break
    assert 2 < step < 9, "it was killed in between, and got through in the end"


def test_what_a_killed_writer_left_is_removed_by_the_next_one_and_what_a_live_one_writes_is_not(tmp_path):
    path = tmp_path / "model"
    write_folder(path, {"old": b"o"})
    assert kill_while_writing(path, 1)
    assert len(list(tmp_path.iterdir())) == 2
    living = tmp_path / ".model.1.partial"
    living.mkdir()
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    write_folder(path, {"new": b"n"})
    os.close(descriptor)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".model.1.partial", "model"]
    write_folder(path, {"newer": b"n"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_where_folders_cannot_be_exchanged_they_are_replaced_and_a_killed_writer_s_is_put_back(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "_RENAME_EXCHANGE", 1 << 20)  # a flag that no kernel knows
    path = tmp_path / "model"
    write_folder(path, {"old": b"o"})
    write_folder(path, {"new": b"n"})
    assert [entry.name for entry in path.iterdir()] == ["new"]
    path.rename(tmp_path / ".model.1.old")
    with pytest.raises(TypeError):
        write_folder(path, {"newer": "not bytes"})
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_link_to_a_folder_is_replaced_and_what_it_links_to_stays(tmp_path):
    write_folder(tmp_path / "first", {"old": b"o"})
    (tmp_path / "model").symlink_to("first")
    write_folder(tmp_path / "model", {"new": b"n"})
    assert (tmp_path / "model" / "new").exists() and (tmp_path / "first" / "old").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["first", "model"]
