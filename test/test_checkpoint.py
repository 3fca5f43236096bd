"""Importing checkpoints, as the reference project saves them."""

import subprocess
import sys

import pytest

from desert_seg.artifact import load_artifact
from desert_seg.errors import ArtifactError

torch = pytest.importorskip("torch")

from desert_seg.checkpoint import network_from_state_dict, read_checkpoint, state_dict_of  # noqa: E402


@pytest.fixture
def best_model(tmp_path, tiny_network):
    path = tmp_path / "best_model.pth"
    torch.save(tiny_network.model.state_dict(), path)
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model_state_dict": state, "epoch": 3},
        lambda state: {f"module.{name}": value for name, value in state.items()},
    ],
    ids=["plain", "in a dictionary", "from DataParallel"],
)
def test_every_usual_form_of_state_dict_gives_the_same_network(tmp_path, tiny_network, wrap):
    path = tmp_path / "best_model.pth"
    torch.save(wrap(tiny_network.model.state_dict()), path)
    imported = network_from_state_dict(tiny_network.config, state_dict_of(read_checkpoint(path)), str(path))
    image = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(imported(image), tiny_network(image))


class Mischief:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_checkpoint_with_python_objects_is_refused_and_not_run(tmp_path, capfd):
    path = tmp_path / "best_model.pth"
    torch.save({"state_dict": {}, "extra": Mischief()}, path)
    with pytest.raises(ArtifactError, match="never loaded"):
        read_checkpoint(path)
    assert "must never run" not in capfd.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "best_model.pth"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"best_model\.pth"):
        read_checkpoint(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "nowhere.pth")


def test_a_checkpoint_of_another_network_says_what_does_not_fit(tiny_network):
    state = dict(tiny_network.model.state_dict())
    state["segmentation_head.0.weight"] = torch.zeros(9, 256, 1, 1)
    with pytest.raises(ArtifactError, match=r"1 of another shape \(first: segmentation_head\.0\.weight\)"):
        network_from_state_dict(tiny_network.config, state, "best_model.pth")


@pytest.mark.slow
def test_the_command_makes_an_artifact_that_both_engines_run(tmp_path, best_model, tiny_network):
    config = tiny_network.config
    result = package(
        *("--checkpoint", best_model, "--out", tmp_path / "imported"),
        *("--architecture", config.architecture, "--encoder", config.encoder, "--label-map", "falcon7"),
        *("--input-height", 64, "--input-width", 96),
    )
    assert result.returncode == 0, result.stderr
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
