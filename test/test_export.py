"""desert-seg export: from a checkpoint to an artifact, judged on real images."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.artifact import INT8_ONNX, ONNX, PARITY, SELF_TEST, WEIGHTS, load_artifact, save_artifact
from desert_seg.errors import ArtifactError, DataError, DesertSegError
from desert_seg.images import write_image
from desert_seg.labels import load_label_map
from desert_seg.parity import MAX_MIOU_CHANGE, MIN_AGREEMENT
from desert_seg.recordings.drive import open_drive
from desert_seg.segmenter import Segmenter

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("rich")

from labelled_folder import write_folder  # noqa: E402

from desert_seg.console import Console  # noqa: E402
from desert_seg_train.export.command import export  # noqa: E402
from desert_seg_train.export.config import ExportConfig  # noqa: E402
from desert_seg_train.export.frames import choose_frames  # noqa: E402
from desert_seg_train.export.judge import Judge  # noqa: E402
from desert_seg_train.network_engine import NetworkEngine  # noqa: E402

LIGHT = ROOT / "models" / "light"
STONES = load_label_map("falcon7_stones")


@pytest.fixture(scope="module")
def drive_images(sample_drive, tmp_path_factory):
    """Eight frames of the drive to calibrate on and, between them, eight to judge by."""
    folder = tmp_path_factory.mktemp("drive")
    for number, frame in enumerate(list(open_drive(sample_drive).frames())[2:34:2]):
        write_image(folder / f"{number:02}.png", frame.rgb())
    return folder


@pytest.fixture(scope="module")
def light_with_int8(drive_images, tmp_path_factory):
    """The shipped model, exported again with int8."""
    out = tmp_path_factory.mktemp("exported") / "light"
    export(ExportConfig(out, model=LIGHT, images=drive_images, int8=True, max_images=4))
    return load_artifact(out)


@pytest.fixture
def checkpoint(tmp_path, tiny_network):
    """What a training leaves behind, as far as an export reads it."""
    path = tmp_path / "last.ckpt"
    state = {f"model.{name}": value for name, value in tiny_network.model.state_dict().items()}
    facts = {
        "network_config": asdict(tiny_network.config),
        "label_map": STONES.to_dict(),
        "recipe": json.dumps({"input_size": [96, 160]}),
    }
    torch.save({**facts, "network": {}, "average": state}, path)
    return path


def files_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_trained_weights_pass_every_bar_in_int8_too(light_with_int8):
    report = light_with_int8.parity
    judged = {(result.engine, result.precision): result for result in report.results}
    assert {("openvino", "f32"), ("openvino", "int8"), ("onnxruntime", "f32"), ("onnxruntime", "int8")} <= judged.keys()
    assert ("torch", "f32") in judged
    assert (("torch", "bf16") in judged) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert ("onnxruntime", "bf16") not in judged
    for (_, precision), result in judged.items():
        assert result.valid
        assert MIN_AGREEMENT[precision] <= result.agreement <= 1
        assert result.worst_agreement <= result.agreement
        assert result.miou_change is None
    assert judged["torch", "f32"].max_score_difference < 1e-3, (
        "the weights of an artifact are in half precision already"
    )
    assert (report.num_images, report.num_labelled) == (4, 0)


def test_the_report_and_the_int8_graph_are_files_of_the_artifact(light_with_int8):
    listed = json.loads((light_with_int8.path / "artifact.json").read_text())["files"]
    assert listed.keys() == {WEIGHTS, ONNX, INT8_ONNX, PARITY, *SELF_TEST}
    for name in (PARITY, INT8_ONNX):
        data = (light_with_int8.path / name).read_bytes()
        (light_with_int8.path / name).write_bytes(data[:-1])
        with pytest.raises(ArtifactError, match=name):
            load_artifact(light_with_int8.path)
        (light_with_int8.path / name).write_bytes(data)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_both_engines_run_the_int8_graph_at_any_size(light_with_int8, drive_images, sample_drive, engine):
    expected, found = (Segmenter.load(light_with_int8.path, engine, "cpu", precision) for precision in ("f32", "int8"))
    assert "int8" in found.engine.description
    frame = next(open_drive(sample_drive).frames()).rgb()
    assert (expected.segment(frame).mask == found.segment(frame).mask).mean() > 0.985
    assert found.engine.scores(np.zeros((2, 64, 128, 3), np.uint8)).shape == (2, 7, 16, 32)


def test_the_int8_graph_is_standard_onnx_of_the_stated_opset_with_8_bit_weights(light_with_int8):
    model = onnx.load(light_with_int8.int8_onnx)
    onnx.checker.check_model(model)
    assert {each.domain: each.version for each in model.opset_import}[""] == light_with_int8.parity.opset
    assert {node.domain for node in model.graph.node} <= {""}
    in_8_bits = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(in_8_bits) >= 0.75 * len(convolutions)


def test_graphs_do_not_name_folders_of_the_machine_that_made_them(light_with_int8):
    for artifact in (light_with_int8, load_artifact(LIGHT)):
        for path in (artifact.onnx, artifact.int8_onnx):
            assert b"network.py" not in path.read_bytes(), path


def test_a_network_saved_in_two_processes_is_the_same_files(tiny_artifact, tmp_path):
    again = (
        "import sys; sys.path.append(sys.argv[1]); from tiny_model import make_tiny_artifact, make_tiny_network; "
        "make_tiny_artifact(sys.argv[2], make_tiny_network())"
    )
    command = [sys.executable, "-c", again, str(ROOT / "test"), str(tmp_path / "again")]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, check=True)
    assert files_of(tmp_path / "again") == files_of(tiny_artifact.path)


def test_exporting_a_model_again_keeps_what_it_says_and_names_where_it_came_from(light_with_int8):
    before, after = load_artifact(LIGHT), light_with_int8
    assert after.weights.read_bytes() == before.weights.read_bytes()
    assert (after.card.name, after.card.input_size) == (before.card.name, before.card.input_size)
    assert after.card.label_map == before.card.label_map
    assert after.card.provenance["data"] == before.card.provenance["data"]
    assert after.card.provenance["model"] == before.digest


def test_a_checkpoint_becomes_an_artifact_of_its_averaged_weights(checkpoint, tmp_path, tiny_network, capsys):
    export(ExportConfig(tmp_path / "mine", checkpoint=checkpoint, data="a sentence"))
    artifact = load_artifact(tmp_path / "mine")
    assert (artifact.card.name, artifact.card.input_size) == ("mine", (96, 160)), "the size is that of the training"
    assert artifact.card.label_map == STONES
    assert artifact.card.provenance["data"] == "a sentence"
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 3), dtype=np.uint8)
    expected = NetworkEngine(tiny_network, torch.device("cpu")).scores(image)
    found = Segmenter.load(artifact.path, "torch", "cpu", "f32").engine.scores(image)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())

    said = " ".join(capsys.readouterr().out.split())
    assert f"wrote {tmp_path / 'mine'} ({artifact.digest[:12]})" in said
    assert "ONNX opset 18" in said
    assert "not judged: no real images to judge by" in said
    assert artifact.parity.results == ()
    assert not artifact.parity.is_refused("openvino", "bf16")


def test_a_plain_state_dict_of_random_weights_is_written_but_int8_is_refused(tmp_path, tiny_network, monkeypatch):
    monkeypatch.setitem(MIN_AGREEMENT, "int8", 0.999)  # which random weights miss on every machine
    path = tmp_path / "best_model.pth"
    torch.save(tiny_network.model.state_dict(), path)
    data = write_folder(tmp_path / "data", frames=2, clutter=True)
    config = ExportConfig(
        *(tmp_path / "models" / "imported", path),
        labelled=data,
        int8=True,
        input_height=64,
        input_width=96,
        architecture=tiny_network.config.architecture,
        encoder=tiny_network.config.encoder,
        label_map="falcon7_stones",
    )
    with pytest.raises(DesertSegError) as caught:
        export(config)
    sentence = str(caught.value)
    assert "int8: " in sentence
    assert "% of the pixels agree, expected at least 99.9%" in sentence
    assert f"{config.out} is written without {INT8_ONNX} and marks what missed as refused" in sentence

    artifact = load_artifact(config.out)
    assert entries(config.out.parent) == ["imported"]
    assert entries(config.out) == ["artifact.json", ONNX, PARITY, *SELF_TEST, WEIGHTS]
    assert artifact.card.input_size == (64, 96)
    assert artifact.card.label_map.name == "falcon7_stones"
    assert artifact.parity.num_labelled == 1, "the other one was for calibration"
    assert artifact.parity.is_refused("openvino", "int8")
    assert artifact.parity.is_refused("onnxruntime", "int8")
    assert all(result.miou_change is not None for result in artifact.parity.results)
    assert "int8" not in artifact.card.provenance


def copy_of_light(tmp_path):
    damaged = tmp_path / "light"
    damaged.mkdir()
    for path in LIGHT.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    return damaged


def test_a_damaged_model_is_refused_and_nothing_is_written(tmp_path):
    damaged = copy_of_light(tmp_path)
    with (damaged / WEIGHTS).open("r+b") as file:
        file.seek(5000)
        file.write(b"\x00\x01")
    with pytest.raises(ArtifactError, match=rf"{WEIGHTS}: has SHA-256 \w+, expected \w+"):
        export(ExportConfig(tmp_path / "out", model=damaged))
    assert entries(tmp_path) == ["light"]


def test_a_graph_that_the_description_does_not_list_is_not_trusted(tmp_path):
    light = load_artifact(LIGHT)
    files = {WEIGHTS: light.weights.read_bytes(), ONNX: light.onnx.read_bytes()}
    damaged = save_artifact(tmp_path / "light", light.card, files).path
    (damaged / INT8_ONNX).write_bytes(light.int8_onnx.read_bytes())
    with pytest.raises(ArtifactError, match=rf"{INT8_ONNX}: is not among the files"):
        load_artifact(damaged)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "found neither of --checkpoint FILE and --model ARTIFACT, expected one"),
        ({"model": LIGHT, "checkpoint": LIGHT}, "found both of --checkpoint"),
        ({"model": LIGHT, "int8": True}, "int8 has to be calibrated on real images, found none; give --images"),
        ({"model": LIGHT, "images": ROOT / "nowhere"}, "there is no folder"),
        ({"model": LIGHT, "labelled": ROOT / "nowhere"}, "there is no folder"),
        ({"model": LIGHT, "input_height": 500}, "found input size 500x896, expected multiples of 32"),
        ({"model": LIGHT, "images": ROOT, "max_images": 0}, "found max_images 0, expected a positive number"),
        ({"model": ROOT / "nowhere"}, "no model artifact at"),
        ({"checkpoint": ROOT / "nowhere.pth"}, "there is no checkpoint"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_sentence_and_nothing_is_written(tmp_path, changes, message):
    with pytest.raises(DesertSegError, match=message):
        export(replace(ExportConfig(tmp_path / "out"), **changes))
    assert entries(tmp_path) == []


def test_a_folder_that_is_no_artifact_is_refused_before_any_work(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ArtifactError, match="is not a model artifact"):
        export(ExportConfig(tmp_path / "photos", checkpoint=tmp_path / "not even read.ckpt"))


def test_a_mask_with_an_unknown_value_is_refused_by_name(tmp_path, tiny_network, tiny_artifact):
    data = write_folder(tmp_path / "data", frames=2)
    write_image(data / "Segmentation" / "s01.png", np.full((96, 160), 4242, np.uint16))
    frames = choose_frames(ExportConfig(tmp_path / "out", labelled=data), STONES).judged
    with pytest.raises(DataError, match=r"s01\.png: label map falcon7_stones does not know 4242"):
        Judge(tiny_network, tiny_artifact.card, frames, Console(quiet=True))


@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_images_for_calibration_are_not_judged_by_unless_there_is_only_one(tmp_path, count):
    for number in range(count):
        write_image(tmp_path / f"{number:03}.png", np.zeros((2, 2, 3), np.uint8))
    config = ExportConfig(tmp_path / "out", images=tmp_path, int8=True, max_images=40)
    frames = choose_frames(config, STONES)
    calibration, judged = ({frame.path for frame in part} for part in (frames.calibration, frames.judged))
    assert len(calibration) == min((count + 1) // 2, 32)
    assert len(judged) == min(max(count // 2, 1), 40)
    assert not calibration & judged or count == 1


def test_masks_beside_the_images_count_and_a_labelled_folder_leaves_the_images_to_calibration(tmp_path):
    images, labelled = write_folder(tmp_path / "images"), write_folder(tmp_path / "labelled", frames=3)
    frames = choose_frames(ExportConfig(tmp_path / "out", images=images), STONES)
    assert [frame.labelled is not None for frame in frames.judged] == [True] * 4
    frames = choose_frames(ExportConfig(tmp_path / "out", images=images, labelled=labelled, int8=True), STONES)
    assert {frame.path.parent.parent for frame in frames.calibration} == {images}
    assert {frame.path.parent.parent for frame in frames.judged} == {labelled}
    assert len(frames.judged) == 3


class Shifted:
    """The network as an engine, with one score raised where an image is bright."""

    description, precision = "shifted", "f32"

    def __init__(self, network, amount):
        self._engine, self._amount = NetworkEngine(network, torch.device("cpu")), amount

    def scores(self, images):
        scores = self._engine.scores(images).copy()
        scores[:, 2] += self._amount * (images.mean() > 128)
        return scores


@pytest.fixture
def judge(tmp_path, tiny_network, tiny_artifact):
    generator = np.random.default_rng(1)
    for name, top in (("dark.png", 100), ("bright.png", 256)):
        image = generator.integers(top // 2, top, (120, 200, 3)).astype(np.uint8)
        write_image(tmp_path / "frames" / name, image)
    frames = choose_frames(ExportConfig(tmp_path / "out", images=tmp_path / "frames"), STONES).judged
    return Judge(tiny_network, tiny_artifact.card, frames, Console(quiet=True))


def test_the_network_itself_agrees_with_itself(judge, tiny_network):
    result = judge.judge(Shifted(tiny_network, 0), "torch", "f32")
    assert (result.agreement, result.worst_agreement, result.max_score_difference) == (1, 1, 0)
    assert result.valid


def test_an_engine_that_errs_on_one_image_is_found_out_by_that_image(judge, tiny_network):
    result = judge.judge(Shifted(tiny_network, 1e4), "torch", "f32")
    assert result.worst_image == "bright.png"
    assert result.worst_agreement < 0.9
    assert result.agreement == pytest.approx((1 + result.worst_agreement) / 2)
    assert result.max_score_difference == pytest.approx(1e4)
    assert not result.valid
    assert "expected at least 99.9%" in result.shortfall()


def test_the_bars_are_those_of_the_design():
    assert MIN_AGREEMENT["bf16"] >= 0.995
    assert MIN_AGREEMENT["int8"] >= 0.99
    assert MIN_AGREEMENT["f32"] > MIN_AGREEMENT["bf16"]
    assert MAX_MIOU_CHANGE <= 0.003
