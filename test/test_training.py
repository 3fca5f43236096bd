"""Making a model: losses, augmentation, dataset folders, and the training loop on a tiny dataset."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desert_seg.errors import DataError
from desert_seg.images import write_image
from desert_seg.labels import IGNORE, load_label_map

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from desert_seg.checkpoint import read_checkpoint, state_dict_of  # noqa: E402
from desert_seg_train.augmentation import color_cast, random_crop, rarity_from_targets  # noqa: E402
from desert_seg_train.cli import COMMANDS  # noqa: E402
from desert_seg_train.config import CropConfig, TrainConfig  # noqa: E402
from desert_seg_train.folder import Sample, SegmentationFolder  # noqa: E402
from desert_seg_train.losses import cross_entropy_and_dice, gradient_is_sane  # noqa: E402
from desert_seg_train.training import Batches, train  # noqa: E402


# ---------------------------------------------------------------------------------------------------- losses
def scores_for(target, confidence):
    return torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float() * confidence


def test_a_sure_and_right_network_loses_almost_nothing_and_a_wrong_one_much():
    target = torch.arange(3).repeat(1, 8, 8)
    assert cross_entropy_and_dice(scores_for(target, 50), target) < 0.01
    assert cross_entropy_and_dice(scores_for((target + 1) % 3, 50), target) > 2


def test_ignored_pixels_neither_cost_nor_teach():
    target = torch.arange(3).repeat(1, 8, 8)
    ignored = target.clone()
    ignored[:, 4:] = IGNORE
    scores = scores_for(target, 2).requires_grad_()
    other = scores.detach().clone()
    other[:, :, 5:] = 7.0
    assert torch.allclose(cross_entropy_and_dice(scores, ignored), cross_entropy_and_dice(other, ignored))
    cross_entropy_and_dice(scores, ignored).backward()
    assert not scores.grad[:, :, 4:].any()


def test_a_batch_in_which_all_is_ignored_costs_nothing():
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = cross_entropy_and_dice(scores, torch.full((1, 16, 16), IGNORE))
    loss.backward()
    assert loss == 0
    assert not scores.grad.any()


@pytest.mark.parametrize(("norm", "sane"), [(1.0, True), (float("nan"), False), (float("inf"), False), (1e33, False)])
def test_a_step_with_an_absurd_gradient_is_not_taken(norm, sane):
    assert gradient_is_sane(torch.tensor(norm)) is sane


# ---------------------------------------------------------------------------------------------------- augmentation
def coded_sample(height=60, width=100):
    """A frame whose pixels say where they came from, and whose target says the same as its red channel."""
    target = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8) % 7
    return Sample("coded", np.repeat((target * 30)[..., None], 3, axis=2), target)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_image_and_target_are_cropped_and_mirrored_together(seed):
    config = CropConfig(height=32, width=48, min_scale=1.0, max_scale=1.0)
    image, target = random_crop(coded_sample(), config, np.ones(256), np.random.default_rng(seed))
    assert image.shape == (32, 48, 3)
    assert np.array_equal(image[..., 0], target * 30)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 3.0))
def test_scaling_never_invents_a_class(seed, scale):
    sample = coded_sample()
    sample.target[sample.target == 3] = 5
    config = CropConfig(height=32, width=48, min_scale=scale, max_scale=scale)
    _, target = random_crop(sample, config, np.ones(256), np.random.default_rng(seed))
    assert set(np.unique(target)) <= set(np.unique(sample.target))


def test_crops_prefer_places_with_rare_classes():
    target = np.zeros((100, 400), np.uint8)
    target[:, 380:] = 1
    sample = Sample("rare", np.zeros((100, 400, 3), np.uint8), target)
    config = CropConfig(height=96, width=64, min_scale=1.0, max_scale=1.0, candidates=6)

    def share_with_rare(rarity):
        rng = np.random.default_rng(0)
        return np.mean([(random_crop(sample, config, rarity, rng)[1] == 1).any() for _ in range(200)])

    assert share_with_rare(rarity_from_targets([target])) > 1.3 * share_with_rare(np.zeros(256))


def test_rarity_is_highest_for_the_rarest_and_zero_for_what_is_ignored_or_absent():
    rarity = rarity_from_targets([np.array([[0] * 90 + [1] * 9 + [2] + [IGNORE] * 50], np.uint8)])
    assert rarity[2] == 1.0 > rarity[1] > rarity[0] > 0
    assert rarity[3] == rarity[IGNORE] == 0


def test_a_colour_cast_keeps_the_range():
    image = torch.linspace(0, 255, 3 * 16 * 16).reshape(3, 16, 16)
    for seed in range(20):
        changed = color_cast(image, np.random.default_rng(seed))
        assert changed.min() >= 0
        assert changed.max() <= 255


# ---------------------------------------------------------------------------------------------------- folders
@pytest.fixture
def dataset(tmp_path):
    """Four frames of two colours: what is bright is Sky, what is dark is Landscape."""
    rng = np.random.default_rng(0)
    for index in range(4):
        target = np.full((48, 64), 7100, np.uint16)
        target[: rng.integers(12, 36)] = 10000
        image = np.where(target == 10000, 220, 60).astype(np.uint8)[..., None] + rng.integers(0, 20, 3, dtype=np.uint8)
        write_image(tmp_path / "data" / "Color_Images" / f"{index}.png", image)
        write_image(tmp_path / "data" / "Segmentation" / f"{index}.png", target)
    return tmp_path / "data"


def test_a_folder_pairs_images_and_masks_and_maps_the_values(dataset):
    folder = SegmentationFolder(dataset, load_label_map("falcon7"))
    assert len(folder) == 4
    assert folder[0].image.shape == (48, 64, 3)
    assert set(np.unique(folder[0].target)) == {5, 6}


def test_an_image_without_a_mask_is_named(dataset):
    (dataset / "Segmentation" / "2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 images have no mask.*2\.png"):
        SegmentationFolder(dataset, load_label_map("falcon7"))


def test_a_mask_of_another_size_or_with_eight_bit_damage_is_named(dataset):
    write_image(dataset / "Segmentation" / "0.png", np.full((24, 32), 7100, np.uint16))
    write_image(dataset / "Segmentation" / "1.png", np.full((48, 64), 7100 >> 8, np.uint8))
    folder = SegmentationFolder(dataset, load_label_map("falcon7"))
    with pytest.raises(DataError, match=r"0\.png: found a mask of 32x24, expected the image's 64x48"):
        folder[0]
    with pytest.raises(DataError, match=r"1\.png: values 27 .*cut to 8 bits"):
        folder[1]


def test_a_corrupt_image_is_named(dataset):
    path = dataset / "Color_Images" / "3.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"3\.png: is not an image"):
        SegmentationFolder(dataset, load_label_map("falcon7"))[3]


# ---------------------------------------------------------------------------------------------------- the loop
@pytest.fixture
def config(dataset, tmp_path, tiny_network):
    save_file(tiny_network.model.encoder.state_dict(), tmp_path / "encoder.safetensors")
    return TrainConfig(
        source=((dataset, "falcon7", 1.0),),
        start=tmp_path / "encoder.safetensors",
        out=tmp_path / "run",
        epochs=2,
        steps_per_epoch=2,
        batch_size=2,
        crop=CropConfig(height=32, width=32),
    )


def test_training_writes_a_checkpoint_and_a_log_and_goes_on_exactly_where_it_stopped(config, monkeypatch):
    whole = state_dict_of(read_checkpoint(train(config)))
    lines = (config.out / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,skipped_steps,seconds"
    assert len(lines) == 3

    draw, calls = Batches.draw, []

    def interrupted_in_the_second_epoch(self, rng):
        calls.append(rng)
        if len(calls) > config.steps_per_epoch + 1:
            raise KeyboardInterrupt
        return draw(self, rng)

    monkeypatch.setattr(Batches, "draw", interrupted_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()
    resumed = state_dict_of(read_checkpoint(train(replace(config, resume=True))))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_weights_that_are_not_the_encoder_s_are_refused_by_name(config):
    config.start.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"encoder\.safetensors: is no safetensors file"):
        train(config)


def test_evaluation_prints_every_class_and_writes_the_same_numbers_as_json(dataset, tiny_artifact, tmp_path):
    done = run("evaluate", "--model", tiny_artifact.path, "--data", dataset, "--json", tmp_path / "numbers.json")
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert f"mIoU {numbers['miou_present']:.4f}" in done.stdout
    assert all(name in done.stdout for name in tiny_artifact.card.label_map.labels.names)
    assert numbers["share"][5] + numbers["share"][6] == pytest.approx(1)


def test_evaluating_with_other_classes_than_the_model_s_is_refused(dataset, tiny_artifact):
    done = run("evaluate", "--model", tiny_artifact.path, "--data", dataset, "--label-map", "falcon10")
    assert done.returncode == 1
    assert done.stderr.startswith("error: label map falcon10 has classes Trees")


def run(name, *arguments):
    command = [sys.executable, "-m", "desert_seg_train.cli", name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=["desert-seg", *COMMANDS])
def test_help_imports_nothing_heavy(arguments):
    code = (
        f"import sys, desert_seg_train.cli as cli; sys.argv = ['desert-seg', *{arguments}, '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'cv2', 'openvino', 'rich.progress'} & sys.modules.keys()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout


def test_an_option_that_does_not_exist_is_answered_with_the_nearest(tmp_path):
    done = run("evaluate", "--modle", tmp_path, "--data", tmp_path)
    assert done.returncode == 2
    assert "--model" in done.stderr
