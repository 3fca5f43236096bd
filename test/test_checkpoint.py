"""Checkpoints as trainings save them: whatever is around the weights, they are found, or it is said why not."""

import argparse
import contextlib
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.artifact import load_artifact
from desert_seg.errors import ArtifactError, DataError

torch = pytest.importorskip("torch")
smp = pytest.importorskip("segmentation_models_pytorch")

from safetensors.torch import load_file, save_file  # noqa: E402
from tiny_model import TINY  # noqa: E402

from desert_seg.checkpoint import read_checkpoint  # noqa: E402
from desert_seg.network import NetworkConfig, SegmentationNetwork  # noqa: E402
from desert_seg.weights import find_weights, network_from_checkpoint, network_from_state_dict  # noqa: E402
from desert_seg_train.export.config import ExportConfig  # noqa: E402
from desert_seg_train.export.normalization import encoder_normalization  # noqa: E402
from desert_seg_train.export.source import read_source  # noqa: E402

LIGHT = ROOT / "models" / "light"
HEAD, STEM = "segmentation_head.0.weight", "encoder.conv_stem.weight"


@pytest.fixture(scope="module")
def state(tiny_network):
    """The network's weights by smp's names."""
    return tiny_network.model.state_dict()


@pytest.fixture
def save(tmp_path):
    """Save something as a checkpoint; returns its path."""

    def write(content, name="best_model.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def zeros(state):
    return {name: torch.zeros_like(value) for name, value in state.items()}


def parameters_of(network):
    return {name: value.detach() for name, value in network.model.named_parameters()}


def assert_same(found, state):
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())


# ---------------------------------------------------------------------------------------------- what is around them
WRAPPED = {
    "plain": lambda state: state,
    "in a dictionary": lambda state: {"model_state_dict": state, "epoch": 3},
    "from DataParallel": lambda state: prefixed(state, "module."),
    "compiled": lambda state: prefixed(state, "_orig_mod."),
    "compiled in DataParallel": lambda state: prefixed(state, "module._orig_mod."),
    "DataParallel compiled": lambda state: prefixed(state, "_orig_mod.module."),
    "a compiled encoder": lambda state: {
        name.replace("encoder.", "encoder._orig_mod."): value for name, value in state.items()
    },
    "from Lightning": lambda state: {"state_dict": prefixed(state, "model."), "optimizer_states": [{"state": {}}]},
    "from Lightning under another name": lambda state: {"state_dict": prefixed(state, "net._orig_mod.")},
    "deep": lambda state: {"checkpoint": {"weights": {"best": prefixed(state, "trainer.net.module.")}}},
    "a dictionary for each part": lambda state: {
        part: {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}
        for part in ("encoder", "decoder", "segmentation_head")
    },
    "twice the same": lambda state: {"state_dict": state, "best": {name: state[name].clone() for name in state}},
    "in half precision": lambda state: {
        name: value.half() if value.is_floating_point() else value for name, value in state.items()
    },
    "without counters": lambda state: {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    },
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_whatever_is_around_the_weights_they_are_found(save, state, tiny_network, wrap):
    found = find_weights(read_checkpoint(save(wrap(state))), tiny_network, "best_model.pth").state
    assert_same(found, state)


AVERAGED = {
    "beside": lambda raw, state: {"model": raw, "model_ema": state},
    "as timm names it": lambda raw, state: {"state_dict": raw, "state_dict_ema": prefixed(state, "module.")},
    "by a callback": lambda raw, state: {
        "state_dict": prefixed(raw, "model."),
        "callbacks": {"EMACallback": {"ema_state_dict": prefixed(state, "model.")}},
    },
    "in the same state dict": lambda raw, state: {
        "state_dict": prefixed(raw, "model.") | prefixed(state, "averaged_model.module.") | {"n": torch.tensor(5)}
    },
    "stochastic": lambda raw, state: {"net": raw, "swa": {"n_averaged": torch.tensor(5), **prefixed(state, "module.")}},
    "swapped by Lightning": lambda raw, state: {
        "state_dict": prefixed(state, "model."),
        "current_model_state": prefixed(raw, "model."),
        "averaging_state": {"n_averaged": torch.tensor(5)},
    },
    "ours": lambda raw, state: {"network": prefixed(raw, "model."), "average": prefixed(state, "model.")},
}


@pytest.mark.parametrize("wrap", AVERAGED.values(), ids=AVERAGED.keys())
def test_of_raw_and_averaged_weights_the_averaged_are_taken_and_that_is_said(save, state, tiny_network, wrap):
    path = save(wrap(zeros(state), state))
    weights = find_weights(read_checkpoint(path), tiny_network, str(path))
    assert_same(weights.state, state)
    assert weights.notes[0].startswith("took the averaged weights (")


def test_an_average_of_the_parameters_alone_takes_the_running_statistics_beside_it(save, state, tiny_network):
    parameters = parameters_of(tiny_network)
    raw = {name: torch.zeros_like(value) if name in parameters else value for name, value in state.items()}
    weights = find_weights(read_checkpoint(save({"model": raw, "ema": parameters})), tiny_network, "")
    assert_same(weights.state, state)
    assert "running statistics" in weights.notes[1]


@pytest.mark.parametrize(
    "average",
    [
        lambda state: {"ema": {"shadow_params": list(state.values())}},
        lambda state: {f"model_ema.{name.replace('.', '')}": value for name, value in state.items()},
    ],
    ids=["without names", "under other names"],
)
def test_an_average_that_cannot_be_matched_is_never_passed_over_in_silence(save, state, tiny_network, average):
    with pytest.raises(ArtifactError, match=r"holds averaged weights .* save its state_dict"):
        find_weights(read_checkpoint(save({"model": state, **average(state)})), tiny_network, "")


def test_of_two_sets_of_weights_none_is_guessed(save, state, tiny_network):
    with pytest.raises(ArtifactError, match=r"holds several sets of weights \(student, teacher\), expected one"):
        find_weights(read_checkpoint(save({"student": state, "teacher": zeros(state)})), tiny_network, "")


def test_what_is_not_the_networks_is_left_out_by_name(save, state, tiny_network):
    extras = {
        "mean": torch.zeros(1, 3, 1, 1),
        "loss_fn.weight": torch.ones(7),
        "criterion.vgg.weight": torch.ones(4, 4, 3, 3),
        "model.classification_head.3.weight": torch.ones(4, 320),
    }
    weights = find_weights(read_checkpoint(save({"state_dict": prefixed(state, "model.") | extras})), tiny_network, "")
    assert_same(weights.state, state)
    assert weights.notes == (
        "took the weights under state_dict.model",
        f"left out what is not the network's: {', '.join(f'state_dict.{name}' for name in extras)}",
    )


@pytest.mark.parametrize("name", ["encoder.blocks.9.weight", "refine.weight", "decoder.attention.scale"])
def test_layers_that_the_network_lacks_make_it_another_network(save, state, tiny_network, name):
    content = state | {name: torch.ones(8, 8, 3, 3)}
    with pytest.raises(ArtifactError, match=rf"is not just a DeepLabV3Plus .* too many \(first: {name}\)"):
        find_weights(read_checkpoint(save({"state_dict": prefixed(content, "net.")})), tiny_network, "")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({HEAD: torch.zeros(9, 256, 1, 1)}, "predicts 9 classes, expected the 7 of the label map"),
        ({STEM: torch.zeros(32, 4, 3, 3)}, rf"1 of another shape \(first: {STEM}\)"),
        ({STEM: torch.full((32, 3, 3, 3), torch.nan)}, f"{STEM} that are not finite"),
        ({STEM: torch.zeros(32, 3, 3, 3, dtype=torch.int8)}, "as torch.int8, expected torch.float32"),
        ({STEM: torch.zeros(32, 3, 3, 3).to_sparse()}, "as a sparse tensor"),
        (
            {"encoder.bn1.running_var": torch.full((32,), -1.0)},
            "variances in encoder.bn1.running_var that are negative",
        ),
    ],
    ids=["classes", "channels", "diverged", "quantised", "sparse", "variance"],
)
def test_weights_that_do_not_fit_are_refused_with_the_cause(save, state, tiny_network, change, sentence):
    with pytest.raises(ArtifactError, match=f"best_model.pth: .*{sentence}"):
        find_weights(read_checkpoint(save(state | change)), tiny_network, "best_model.pth")


def test_weights_of_another_library_are_refused_as_such(save, tiny_network):
    content = {"backbone.conv1.weight": torch.zeros(64, 3, 7, 7), "classifier.4.weight": torch.zeros(7, 256, 1, 1)}
    with pytest.raises(ArtifactError, match="holds no tensor with a name of segmentation-models-pytorch"):
        find_weights(read_checkpoint(save(content)), tiny_network, "")


def test_an_artifact_of_another_network_says_what_does_not_fit(state):
    changed = state | {"segmentation_head.0.weight": torch.zeros(9, 256, 1, 1)}
    with pytest.raises(ArtifactError, match=r"1 of another shape \(first: segmentation_head\.0\.weight\)"):
        network_from_state_dict(TINY, changed, "weights.safetensors")


@pytest.mark.parametrize("encoder", ["timm-regnetx_002", "timm-mobilenetv3_small_075", "timm-gernet_s"])
def test_names_that_older_versions_of_smp_gave_encoders_are_understood(save, encoder):
    config = NetworkConfig("FPN", encoder, 2)
    expected = SegmentationNetwork(config).model.state_dict()
    older = {
        name.replace("encoder.model.", "encoder.").replace(".stages_", ".stages."): value
        for name, value in expected.items()
    }
    assert older.keys() != expected.keys()
    network, _ = network_from_checkpoint(config, read_checkpoint(save(older)), "")
    assert_same(network.model.state_dict(), expected)


# ------------------------------------------------------------------------------------------------------ other forms
def test_a_safetensors_file_is_read(tmp_path, state, tiny_network):
    save_file(dict(state), tmp_path / "model.safetensors")
    assert_same(find_weights(read_checkpoint(tmp_path / "model.safetensors"), tiny_network, "").state, state)


def test_the_old_format_of_torch_is_read(tmp_path, state, tiny_network):
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(find_weights(read_checkpoint(tmp_path / "old.pth"), tiny_network, "").state, state)


def test_a_folder_of_smps_save_pretrained_says_its_own_network(tmp_path):
    model = smp.Unet("resnet18", encoder_weights=None, classes=7, decoder_attention_type="scse", encoder_depth=4,
                     decoder_channels=[32, 16, 8, 8])  # fmt: skip
    model.save_pretrained(tmp_path / "saved")
    source = read_source(ExportConfig(tmp_path / "out", tmp_path / "saved"))
    assert_same(source.network.model.state_dict(), model.state_dict())
    assert source.card.network["encoder"] == "resnet18"
    with pytest.raises(ArtifactError, match="predicts 7 classes, expected the 10 of the label map"):
        read_source(ExportConfig(tmp_path / "out", tmp_path / "saved", label_map="falcon10"))


# ---------------------------------------------------------------------------------------------------- normalisation
@pytest.mark.parametrize(
    ("encoder", "mean", "std"),
    [
        ("resnet101", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("timm-tf_efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tu-tf_efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("timm-mobilenetv3_large_100", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tu-vit_base_patch16_224.augreg_in21k", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("inceptionv4", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("mit_b0", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_an_encoder_brings_the_normalisation_of_its_pretrained_weights(encoder, mean, std):
    assert encoder_normalization(encoder) == (mean, std)


def read(path, **settings):
    return read_source(ExportConfig(path.parent / "out", path, encoder=TINY.encoder, **settings))


def test_the_normalisation_is_the_encoders_unless_it_is_given_and_always_said(save, state):
    source = read(save(state), label_map="falcon7_stones")
    assert source.card.network["mean"] == source.card.network["std"] == (0.5, 0.5, 0.5)
    assert source.notes[-1].startswith("normalisation: mean 0.5 0.5 0.5, std 0.5 0.5 0.5, that of the pretrained timm-")
    given = read(save(state), label_map="falcon7_stones", mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
    assert torch.allclose(given.network.mean.flatten(), torch.tensor([102.0, 102.0, 102.0]))
    assert given.notes[-1] == "normalisation: mean 0.4 0.4 0.4, std 0.2 0.2 0.2, as given"


@pytest.mark.parametrize("figures", [{"mean": (123.7, 116.3, 103.5)}, {"std": (0.0, 0.2, 0.2)}])
def test_a_normalisation_of_another_range_is_refused(save, state, figures):
    with pytest.raises(DataError, match=r"from 0 to 1; divide figures for 0\.\.255 by 255"):
        read(save(state), **figures)


def test_an_artifact_keeps_its_own_normalisation(tmp_path):
    with pytest.raises(DataError, match="found --mean or --std beside --model, which has its own"):
        read_source(ExportConfig(tmp_path, model=LIGHT, mean=(0.5, 0.5, 0.5)))


def test_an_artifact_is_no_checkpoint(tmp_path):
    with pytest.raises(ArtifactError, match="is a model artifact, not a checkpoint; give it as --model"):
        read_source(ExportConfig(tmp_path / "out", LIGHT))


def test_the_shipped_weights_come_back_unchanged_from_another_trainings_checkpoint(save):
    shipped = load_file(LIGHT / "weights.safetensors")
    state = {name: value.float() if value.is_floating_point() else value for name, value in shipped.items()}
    path = save({"epoch": 5, "model": zeros(state), "model_ema": prefixed(state, "module._orig_mod.")})
    source = read(path, label_map="falcon7_stones")
    assert_same(source.network.model.state_dict(), state)
    assert source.card.network == load_artifact(LIGHT).card.network | {
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }


# --------------------------------------------------------------------------------------------------------- refusals
class Mischief:
    def __reduce__(self):
        return (print, ("this must never run",))


@pytest.mark.parametrize("extra", [Mischief(), argparse.Namespace(epochs=3), torch.nn.Linear(2, 2)])
def test_a_checkpoint_with_python_objects_is_refused_and_not_run(save, capfd, extra):
    with pytest.raises(ArtifactError, match=r"Python objects beside tensors \(\S+\), which are never loaded; save"):
        read_checkpoint(save({"state_dict": {}, "extra": extra}))
    assert "must never run" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"not a checkpoint", "is no checkpoint of PyTorch, by its first bytes b'not a ch'"),
        (b"PK\x03\x04 half a zip", "is damaged or cut short"),
        (b"\x80\x02 half a pickle", "is damaged"),
        (b"<!DOCTYPE html><html>", "is a web page, not a checkpoint; download the file itself"),
        (
            b'<?xml version="1.0"?><net>',
            "is an XML file, not a checkpoint; .* OpenVINO, save model.state_dict",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b'{"metadata": {}, "weight_map": {}}', "is a JSON file, which describes weights and holds none"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, sentence):
    path = tmp_path / "best_model.pth"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"best_model\.pth: {sentence}"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"version https://git-lfs.github.com/spec", "is a Git LFS pointer"), (b"{}", "cannot be read as safetensors")],
)
def test_a_safetensors_file_that_is_none_is_refused(tmp_path, content, sentence):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"model\.safetensors: {sentence}"):
        read_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damage_to_a_checkpoint_in_the_old_format_never_ends_in_anything_but_a_sentence(tmp_path):
    path, random = tmp_path / "old.pth", np.random.default_rng(0)
    torch.save({"a.weight": torch.zeros(3), "b": [1, "c"]}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for _ in range(200):
        content = bytearray(whole[: random.integers(1, len(whole) + 1)])
        content[random.integers(len(content))] = random.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(ArtifactError):
            read_checkpoint(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "nowhere.pth")


def test_a_path_that_cannot_be_reached_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot be reached \(File name too long\); check the path"):
        read_checkpoint(tmp_path / ("x" * 300))


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_checkpoint_that_was_cut_short_is_refused(save, state, share):
    path = save(state)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ArtifactError, match=r"is damaged or cut short .*; copy it again"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_byte_that_changed_is_noticed(save, state, share):
    path = save(state)
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="was changed after it was saved"):
        read_checkpoint(path)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    for name in ("best_model.pth", "model.safetensors"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(ArtifactError, match="is no regular file"):
            read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["best_model.pth", "model.safetensors"])
def test_a_file_larger_than_the_memory_is_refused(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(10**13)
    with pytest.raises(ArtifactError, match="has 10000 GB, more than this machine's"):
        read_checkpoint(tmp_path / name)


def test_an_archive_of_something_else_is_refused(tmp_path):
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "weights.pth", "w", compression) as archive:
            archive.writestr("best_model.pth", bytes(1000))
        with pytest.raises(ArtifactError, match="is an archive, not a checkpoint; unpack it"):
            read_checkpoint(tmp_path / "weights.pth")


def test_a_torchscript_program_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(path)
    with pytest.raises(ArtifactError, match="is a TorchScript program, not a checkpoint"):
        read_checkpoint(path)


def test_a_safetensors_file_and_one_of_torch_are_known_by_what_they_hold(tmp_path, state):
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "best.pth")
    torch.save(state, tmp_path / "best.safetensors")
    for name in ("best.pth", "best.safetensors"):
        assert read_checkpoint(tmp_path / name).keys() == state.keys()


def test_a_part_of_a_checkpoint_is_refused_with_how_one_is_made_of_all(tmp_path):
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="is one of 2 parts of a checkpoint; load them all"):
        read_checkpoint(tmp_path / "model-00001-of-00002.safetensors")
    (tmp_path / "__0_0.distcp").touch()
    with pytest.raises(ArtifactError, match=r"divided among processes; .* dcp_to_torch FOLDER FILE"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"), [("m/archive_format", "is a program that torch.export saved"), ("a.npy", "holds NumPy arrays")]
)
def test_other_archives_are_told_by_what_they_hold(tmp_path, name, said):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr(name, "")
    with pytest.raises(ArtifactError, match=said):
        read_checkpoint(tmp_path / "model.pt")


def test_weights_that_are_not_there_are_refused(save, state, tiny_network):
    zeros = {name: torch.zeros_like(value) for name, value in state.items()}
    for content, said in [(zeros, "nothing but zeros"), (state | {STEM: state[STEM].to("meta")}, "not its values")]:
        with pytest.raises(ArtifactError, match=said):
            find_weights(read_checkpoint(save(content)), tiny_network, "best_model.pth")


def test_a_tensor_alone_is_refused(save):
    with pytest.raises(ArtifactError, match="holds a Tensor, expected a state dict"):
        read_checkpoint(save(torch.zeros(3)))


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"is no model artifact, .* lacks config\.json and model\.safetensors"):
        read_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"hidden_size": 768}')
    with pytest.raises(ArtifactError, match=r"config\.json: is not what smp's save_pretrained writes"):
        read_checkpoint(tmp_path)


# ------------------------------------------------------------------------------------------------------ the command
@pytest.mark.slow
def test_the_command_makes_an_artifact_that_both_engines_run(tmp_path, save, state, tiny_network):
    config = tiny_network.config
    result = package(
        *("--checkpoint", save({"state_dict": prefixed(state, "net.")}), "--out", tmp_path / "imported"),
        *("--architecture", config.architecture, "--encoder", config.encoder, "--label-map", "falcon7"),
        *("--input-height", 64, "--input-width", 96, "--mean", 0.4, 0.4, 0.4),
    )
    assert result.returncode == 0, result.stderr
    assert "took the weights under state_dict.net\n" in result.stdout
    assert "normalisation: mean 0.4 0.4 0.4, std 0.5 0.5 0.5, as given\n" in result.stdout
    assert f"wrote {tmp_path / 'imported'}" in result.stdout
    artifact = load_artifact(tmp_path / "imported")
    assert artifact.card.input_size == (64, 96)
    assert artifact.card.label_map.name == "falcon7"


def test_the_command_answers_a_wrong_path_with_one_line(tmp_path):
    result = package("--checkpoint", tmp_path / "x.pth", "--out", tmp_path / "y")
    assert result.returncode == 1
    assert result.stderr.strip() == f"error: there is no checkpoint {tmp_path / 'x.pth'}; check the path"
    assert not (tmp_path / "y").exists()


def package(*arguments):
    command = [sys.executable, "-m", "desert_seg_train.cli", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
