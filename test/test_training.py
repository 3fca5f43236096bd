"""Making a model: losses, optimisation, and the training loop on a tiny dataset."""

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from desert_seg.artifact import load_artifact
from desert_seg.console import Console
from desert_seg.errors import ArtifactError, DataError
from desert_seg.images import write_image
from desert_seg.labels import IGNORE, load_label_map

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from tiny_model import TINY  # noqa: E402

from desert_seg.checkpoint import read_checkpoint  # noqa: E402
from desert_seg_train.data.config import SamplingConfig  # noqa: E402
from desert_seg_train.train.command import train  # noqa: E402
from desert_seg_train.train.config import LossConfig, NetworkChoice, OptimizerConfig, TrainConfig  # noqa: E402
from desert_seg_train.train.cost import BenchmarkTrainingConfig, compare_with_pure_steps  # noqa: E402
from desert_seg_train.train.losses import CrossEntropyAndDice  # noqa: E402
from desert_seg_train.train.optimization import (  # noqa: E402
    gradient_is_sane,
    make_optimizer,
    make_schedule,
    set_encoder_trainable,
)
from desert_seg_train.train.run_state import EpochResult, Position, RunFolder  # noqa: E402
from desert_seg_train.train.start import start_network  # noqa: E402
from desert_seg_train.train.stopping import StoppedError  # noqa: E402

FALCON = load_label_map("falcon7").labels
THREE = replace(FALCON, names=FALCON.names[:3], colors=FALCON.colors[:3])


# ---------------------------------------------------------------------------------------------------- losses
def loss_of(scores, target, **settings):
    return CrossEntropyAndDice(LossConfig(**settings), THREE)(scores, target)


def scores_for(target, confidence):
    return torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float() * confidence


def test_a_confident_right_answer_costs_almost_nothing_and_a_wrong_one_much():
    target = torch.arange(3).repeat(1, 8, 8)
    assert loss_of(scores_for(target, 50), target) < 0.01
    assert loss_of(scores_for((target + 1) % 3, 50), target) > 2


def test_ignored_pixels_neither_cost_nor_teach():
    target = torch.arange(3).repeat(1, 8, 8)
    ignored = target.clone()
    ignored[:, 4:] = IGNORE
    scores = scores_for(target, 2).requires_grad_()
    other = scores.detach().clone()
    other[:, :, 5:] = 7.0
    assert torch.allclose(loss_of(scores, ignored), loss_of(other, ignored))
    loss_of(scores, ignored).backward()
    assert not scores.grad[:, :, 4:].any()


def test_a_batch_in_which_all_is_ignored_costs_nothing():
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = loss_of(scores, torch.full((1, 16, 16), IGNORE))
    loss.backward()
    assert loss == 0
    assert not scores.grad.any()


def test_a_batch_of_classes_that_weigh_nothing_costs_its_dice_alone():
    scores, target = torch.randn(1, 3, 4, 4), torch.zeros(1, 16, 16).long()
    nothing = {"class_weights": {FALCON.names[0]: 0.0}}
    dice_alone = loss_of(scores, target) - loss_of(scores, target, dice=0.0)
    assert torch.isclose(loss_of(scores, target, **nothing), dice_alone, atol=1e-5)
    assert loss_of(scores, target, **nothing, dice=0.0) == 0


def test_a_heavier_class_costs_more_when_it_is_missed():
    target = torch.arange(3).repeat(1, 8, 8)
    blind_to_bushes = scores_for(target.where(target != 1, 0), 5)
    heavy = loss_of(blind_to_bushes, target, class_weights={"Lush Bushes": 5.0}, dice=0.0)
    assert heavy > 1.5 * loss_of(blind_to_bushes, target, dice=0.0)


def test_the_weight_of_a_class_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match="there is no class 'Cactus'"):
        loss_of(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4).long(), class_weights={"Cactus": 2.0})


# ---------------------------------------------------------------------------------------------------- optimisation
@pytest.mark.parametrize(("norm", "sane"), [(1.0, True), (float("nan"), False), (float("inf"), False), (1e33, False)])
def test_a_step_with_an_absurd_gradient_is_not_taken(norm, sane):
    assert gradient_is_sane(torch.tensor(norm)) is sane


def test_encoder_decoder_and_head_learn_at_their_own_rates_and_nothing_is_left_out(tiny_network):
    optimizer = make_optimizer(tiny_network, OptimizerConfig(encoder_rate=1.0, decoder_rate=2.0, head_rate=3.0))
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 2.0, 3.0]
    moved = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in moved} == {id(parameter) for parameter in tiny_network.parameters()}


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_rates_rise_for_the_warm_up_and_end_near_zero(schedule):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rates = []
    scheduler = make_schedule(optimizer, OptimizerConfig(schedule=schedule, warmup=0.2), 50)
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert 8 <= int(np.argmax(rates)) <= 11
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.01


@pytest.mark.parametrize(("warmup", "num_steps"), [(0.5, 2), (0.1, 10), (0.0, 1), (0.9, 3)])
def test_there_is_a_schedule_for_any_number_of_steps(warmup, num_steps):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_schedule(optimizer, OptimizerConfig(warmup=warmup), num_steps)
    for _ in range(num_steps):
        assert 0 <= optimizer.param_groups[0]["lr"] <= 1
        optimizer.step()
        scheduler.step()


def test_a_frozen_encoder_learns_nothing_and_keeps_its_batch_statistics(tiny_network):
    network = start_network(tiny_network.config, "random", FALCON).train()
    set_encoder_trainable(network, False)
    before = {name: value.clone() for name, value in network.model.encoder.state_dict().items()}
    network(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).sum().backward()
    assert all(parameter.grad is None for parameter in network.model.encoder.parameters())
    assert all(parameter.grad is not None for parameter in network.model.decoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.model.encoder.state_dict().items())


def test_the_best_epoch_has_the_highest_validation_score_or_else_is_the_last():
    def history(*scores):
        return Position(history=[EpochResult(i + 1, 1.0, 0, 1.0, 0.1, score) for i, score in enumerate(scores)])

    assert history(0.2, 0.5, 0.4).best().epoch == 2
    assert history(float("nan"), float("nan")).best().epoch == 2
    assert Position().best() is None


# ---------------------------------------------------------------------------------------------------- the loop
@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Six frames of two scenes and two colours: what is bright is Sky, what is dark is Landscape."""
    root = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(0)
    for index in range(6):
        name = f"{'ab'[index % 2]}{index}.png"
        target = np.full((64, 96), 7100, np.uint16)
        target[: rng.integers(12, 50)] = 10000
        image = np.where(target == 10000, 220, 60).astype(np.uint8)[..., None] + rng.integers(0, 20, 3, dtype=np.uint8)
        write_image(root / "Color_Images" / name, image)
        write_image(root / "Segmentation" / name, target)
    return root


def tiny_training(dataset, out):
    return TrainConfig(
        sources=((dataset, "falcon7", 1.0),),
        validation=dataset,
        start="random",
        out=out,
        epochs=4,
        steps_per_epoch=2,
        batch_size=2,
        input_size=(64, 96),
        sampling=SamplingConfig(height=32, width=64),
    )


@pytest.fixture
def config(dataset, tmp_path):
    return tiny_training(dataset, tmp_path / "run")


def weights(folder):
    return read_checkpoint(folder / "last.ckpt")["average"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def log_rows(folder):
    with (folder / "log.csv").open(newline="") as log:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(log)]


def test_two_epochs_and_two_more_are_four_bit_for_bit(config, tmp_path):
    train(config)
    in_parts = replace(config, out=tmp_path / "parts")
    with pytest.raises(StoppedError, match="stopped after 2 of 4 epochs"):
        train(replace(in_parts, stop_after=2))
    train(replace(in_parts, resume=True))
    assert_same_weights(weights(config.out), weights(in_parts.out))
    assert log_rows(config.out) == log_rows(in_parts.out)
    assert len(log_rows(config.out)) == 4


COMMAND = [sys.executable, "-u", "-m", "desert_seg_train.cli", "train", "--config", "config/smoke.yaml"]


def arguments(config):
    settings = {
        **({"--validation": config.validation} if config.validation else {}),
        "--out": config.out,
        "--epochs": config.epochs,
        "--steps-per-epoch": config.steps_per_epoch,
        "--batch-size": config.batch_size,
        "--sampling.height": 32,
        "--sampling.width": 64,
    }
    source = ["--sources", *map(str, config.sources[0])]
    return [*source, *(str(part) for pair in settings.items() for part in pair)]


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """A training that nothing interrupted."""
    config = replace(tiny_training(dataset, tmp_path_factory.mktemp("whole") / "run"), epochs=3, steps_per_epoch=15)
    train(config)
    return config


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_training_that_is_told_to_stop_saves_and_goes_on_where_it_was(whole, tmp_path, how):
    stopped = replace(whole, out=tmp_path / "stopped")
    process = subprocess.Popen(
        [*COMMAND, *arguments(stopped)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("epoch 1"):  # it is in its second epoch now
            process.send_signal(how)
            break
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "go on with --resume" in errors
    assert "Traceback" not in errors
    position = read_checkpoint(stopped.out / "last.ckpt")["position"]
    assert (position["epoch"], position["step"]) != (3, 0)
    train(replace(stopped, resume=True))
    assert_same_weights(weights(whole.out), weights(stopped.out))


def test_the_best_epoch_becomes_an_artifact_that_says_how_it_was_made(config):
    artifact = load_artifact(train(config))
    scores = [float(row["val_miou"]) for row in log_rows(config.out)]
    assert artifact.card.metrics["val_miou"] == pytest.approx(max(scores), rel=1e-5)
    assert artifact.card.input_size == (64, 96)
    assert "(6 frames, falcon7, weight 1)" in artifact.card.provenance["data"]
    recipe = json.loads(artifact.card.provenance["recipe"])
    assert recipe["epochs"] == 4
    assert all(Path(path).parts == Path(path).parts[-2:] for path, *_ in recipe["sources"]), (
        "no folders of this machine"
    )


def test_training_on_light_and_dark_learns_to_tell_them_apart(config):
    sampling = SamplingConfig(height=64, width=96, max_zoom=1.0)
    optimizer = OptimizerConfig(encoder_rate=3e-3, decoder_rate=3e-3, head_rate=3e-3, ema_decay=0.0)
    longer = replace(config, epochs=2, steps_per_epoch=20, batch_size=4, sampling=sampling, optimizer=optimizer)
    train(longer)
    assert float(log_rows(longer.out)[-1]["val_miou"]) > 0.8


def test_held_out_scenes_are_validated_on_and_never_trained_on(config, capsys):
    train(replace(config, validation=None, hold_out=("b",), epochs=1))
    assert "3 frames to train on, 3 to validate on" in capsys.readouterr().out


def test_without_better_epochs_it_stops_early(config):
    still = OptimizerConfig(encoder_rate=0.0, decoder_rate=0.0, head_rate=0.0, ema_decay=0.999999)
    train(replace(config, epochs=4, early_stop=1, optimizer=still, start="random"))
    assert len(log_rows(config.out)) == 2


def test_absurd_steps_are_skipped_counted_and_leave_the_weights_alone(config):
    absurd = replace(config, epochs=1, loss=LossConfig(dice=1e9))
    train(absurd)
    assert log_rows(config.out)[0]["skipped_steps"] == "2"
    torch.manual_seed(absurd.seed)
    network = start_network(TINY, "random", FALCON)
    assert torch.equal(
        weights(config.out)["model.segmentation_head.0.weight"], network.model.segmentation_head[0].weight
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 0}, "found 0 for epochs, expected 1 or more; change --epochs"),
        ({"steps_per_epoch": -1}, "found -1 for steps_per_epoch, expected 0 or more"),
        (
            {"optimizer": OptimizerConfig(warmup=2.0)},
            "found 2 for optimizer.warmup, expected 0 or more and less",
        ),
        ({"optimizer": OptimizerConfig(head_rate=math.nan)}, "found nan for optimizer.head_rate"),
        (
            {"optimizer": OptimizerConfig(ema_decay=1.0)},
            "less than 1; change --optimizer.ema-decay",
        ),
        ({"sampling": SamplingConfig(height=32, width=64, min_zoom=0.0)}, "sampling.min_zoom, expected more than 0"),
        ({"sampling": SamplingConfig(height=32, width=64, min_zoom=2.0)}, "found sampling.min_zoom 2 above"),
        ({"loss": LossConfig(class_weights={"Sky": -1.0})}, "found -1 for loss.class_weights Sky"),
    ],
)
def test_a_setting_out_of_range_is_refused_before_anything_is_read(config, changes, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        train(replace(config, sources=((Path("nowhere"), "falcon7", 1.0),), **changes))


def test_frames_of_which_everything_is_ignored_are_refused(config, tmp_path):
    (tmp_path / "void.yaml").write_text("name: void\nclasses: falcon7\nvalues: {7100: ignore, 10000: ignore}\n")
    with pytest.raises(DataError, match="no training frame holds a pixel of any class"):
        train(replace(config, sources=((config.validation, str(tmp_path / "void.yaml"), 1.0),), validation=None))
    assert not config.out.exists()


def test_a_training_that_diverges_is_ended_in_words(config):
    wild = OptimizerConfig(encoder_rate=1e30, decoder_rate=1e30, head_rate=1e30, warmup=0.0)
    with pytest.raises(DataError, match=r"diverged in epoch \d: .* smaller --optimizer\.encoder-rate"):
        train(replace(config, optimizer=wild))
    assert not (config.out / "artifact").exists()


def test_classes_nobody_shows_it_are_named(config, capsys):
    train(replace(config, epochs=1))
    assert "no training frame holds Trees, Lush Bushes, Dry Grass, Dry Bushes, Rocks;" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------- first weights
def test_an_encoder_starts_from_a_safetensors_file(tiny_network, tmp_path):
    save_file(tiny_network.model.encoder.state_dict(), tmp_path / "encoder.safetensors")
    network = start_network(TINY, str(tmp_path / "encoder.safetensors"), FALCON)
    assert torch.equal(network.model.encoder.conv_stem.weight, tiny_network.model.encoder.conv_stem.weight)


def test_a_network_starts_from_any_artifact_and_keeps_classes_it_knows(tiny_artifact, tiny_network):
    ycor = load_label_map("ycor").labels  # shares only Sky
    network = start_network(replace(TINY, num_classes=len(ycor)), str(tiny_artifact.path), ycor)
    head, known = network.model.segmentation_head[0].weight, tiny_network.model.segmentation_head[0].weight
    assert torch.equal(head[ycor.index("Sky")], known[FALCON.index("Sky")])
    assert not torch.equal(head[0], known[0])
    assert torch.equal(network.model.encoder.conv_stem.weight, tiny_network.model.encoder.conv_stem.weight)


def test_a_network_starts_from_a_shipped_model_by_name():
    stones = load_label_map("falcon7_stones").labels
    assert not torch.equal(
        start_network(TINY, "light", stones).model.encoder.conv_stem.weight,
        start_network(TINY, "random", stones).model.encoder.conv_stem.weight,
    )


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ("nowhere", "there is nothing at nowhere to start from"),
        ("README.md", "README.md: is no checkpoint of PyTorch"),
        ("config/../models", "is no model artifact"),
    ],
)
def test_first_weights_that_are_none_are_refused_by_name(config, start, sentence):
    with pytest.raises((DataError, ArtifactError), match=sentence):
        train(replace(config, start=start))
    assert not (config.out / "last.ckpt").exists()


def test_a_model_of_another_kind_is_no_start(config, tiny_artifact):
    with pytest.raises(ArtifactError, match="is not a Unet with resnet18"):
        train(replace(config, start=str(tiny_artifact.path), network=NetworkChoice("Unet", "resnet18")))


def test_imagenet_weights_that_cannot_be_fetched_are_explained():
    code = (
        "from pathlib import Path; from desert_seg_train.train.config import TrainConfig\n"
        "from desert_seg_train.train.start import start_network; from tiny_model import TINY\n"
        "from desert_seg.labels import load_label_map; from desert_seg.errors import DesertSegError\n"
        "try: start_network(TINY, 'imagenet', load_label_map('falcon7').labels)\n"
        "except DesertSegError as error: print(error)\n"
    )
    nowhere = {"HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent", "http_proxy": "http://127.0.0.1:9"}
    environment = os.environ | nowhere | {"https_proxy": "http://127.0.0.1:9", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "could not be fetched" in done.stdout, done.stdout + done.stderr
    assert "give --start a .safetensors file" in done.stdout


# ---------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"batch_size": 1}, "found batch_size 1 for 1 processes, .* at least 2 crops for each"),
        ({"input_size": (500, 896)}, "found input_size 500x896, expected multiples of 32"),
        ({"sampling": SamplingConfig(height=100)}, "found sampling height and width 100x448"),
        ({"hold_out": ("c",)}, r"found no scene or frame 'c' to hold out; the scenes are: a, b"),
        ({"hold_out": ("a", "b")}, "nothing is left to train on"),
        ({"sources": ()}, "found no sources"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_written(config, change, sentence):
    with pytest.raises(DataError, match=sentence):
        train(replace(config, **change))
    assert not config.out.exists()


def test_a_faulty_file_in_the_middle_ends_a_training_before_it_begins(config, dataset, tmp_path):
    copy = tmp_path / "copy"
    for path in dataset.rglob("*.png"):
        (copy / path.parent.name).mkdir(parents=True, exist_ok=True)
        (copy / path.parent.name / path.name).write_bytes(path.read_bytes())
    spoilt = copy / "Color_Images" / "a4.png"
    spoilt.write_bytes(spoilt.read_bytes()[:100])
    with pytest.raises(DataError, match=r"a4\.png: is not a whole image"):
        train(replace(config, sources=((copy, "falcon7", 1.0),)))
    assert not config.out.exists()


def test_a_training_is_not_written_over_another(config):
    train(replace(config, epochs=1))
    with pytest.raises(DataError, match="holds a training already; go on with --resume"):
        train(config)


def test_a_training_resumes_only_with_the_settings_it_was_started_with(config):
    train(replace(config, epochs=1))
    with pytest.raises(ArtifactError, match=r"is of a training with epochs 1, expected 4; resume with the settings"):
        train(replace(config, resume=True))


def test_a_training_goes_on_where_its_frames_and_first_weights_lie_elsewhere(config, dataset, tmp_path, tiny_artifact):
    first = tmp_path / "first"
    shutil.copytree(tiny_artifact.path, first)
    config = replace(config, sources=((dataset, "falcon7_stones", 1.0),), start=str(first), validation=None, epochs=2)
    with pytest.raises(StoppedError):
        train(replace(config, stop_after=1))
    shutil.rmtree(first)
    shutil.copytree(dataset, tmp_path / "moved")
    moved = replace(config, sources=((tmp_path / "moved", "falcon7_stones", 1.0),), resume=True)
    train(moved)
    assert len(log_rows(config.out)) == 2
    with pytest.raises(ArtifactError, match="is of a training with sources"):
        train(replace(moved, sources=((tmp_path / "moved", "falcon7", 1.0),)))


@pytest.fixture
def saved_run(config):
    """The folder of a training that was kept on disk once, and the parts it consists of."""
    folder, parts = RunFolder(config, TINY, load_label_map("falcon7"), "some"), {"network": torch.nn.Linear(200, 200)}
    folder.start(resume=False)
    folder.save(Position(), parts)
    return folder, parts


def test_a_training_does_not_go_on_with_frames_that_have_changed(saved_run, config):
    folder, parts = saved_run
    folder.load(parts)
    with pytest.raises(ArtifactError, match="other frames, masks or label maps, which have been changed since"):
        RunFolder(config, TINY, load_label_map("falcon7"), "others").load(parts)


def test_a_byte_of_the_last_checkpoint_that_changed_is_noticed(saved_run):
    folder, parts = saved_run
    content = bytearray(folder.last.read_bytes())
    content[len(content) // 2] ^= 1
    folder.last.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"last\.ckpt: was changed after it was saved"):
        folder.load(parts)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recipe": None}, "is no checkpoint of this version's trainings"),
        ({"recipe": "{"}, "is no checkpoint of this version's trainings"),
        ({"network": {}}, "does not hold what a training goes on from"),
        ({"network": torch.zeros(3)}, "does not hold what a training goes on from"),
        ({"position": {"epoch": 1, "history": [{}]}}, "does not hold what a training goes on from"),
        ({"position": None}, "does not hold what a training goes on from"),
    ],
)
def test_garbage_in_the_last_checkpoint_is_answered_with_a_sentence(saved_run, change, sentence):
    folder, parts = saved_run
    torch.save(read_checkpoint(folder.last) | change, folder.last)
    with pytest.raises(ArtifactError, match=rf"last\.ckpt: {sentence}"):
        folder.load(parts)


def test_a_full_disk_ends_a_training_in_one_sentence(config):
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000));"
    command = ["desert-seg", *COMMAND[4:], *arguments(config)]
    run = f"{limit} import desert_seg_train.cli as cli; sys.argv = {command!r}; cli.main()"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: \S+\.ckpt: cannot be written \(File too large\); raise the limit .*, and go on with --resume\n",
        done.stderr,
    ), done.stderr
    assert not list(config.out.glob("*.ckpt"))
    assert not list(config.out.glob("*.partial"))


# ---------------------------------------------------------------------------------------------------- several processes
def run_in_two_processes(config, *options):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, *COMMAND[2:], *arguments(config), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def test_two_processes_give_the_loss_curve_of_one(config, tmp_path):
    """Batch statistics, Dice and dropout are those of half a batch in each process, hence the tolerance."""
    frozen_first = OptimizerConfig(freeze_encoder_epochs=1)
    settings = replace(config, epochs=2, steps_per_epoch=3, batch_size=16, optimizer=frozen_first)
    settings = replace(settings, sampling=SamplingConfig(height=64, width=96))
    train(settings)
    options = "--sampling.height 64 --sampling.width 96 --optimizer.freeze-encoder-epochs 1"
    run_in_two_processes(replace(settings, out=tmp_path / "two"), *options.split())
    alone, together = log_rows(config.out), log_rows(tmp_path / "two")
    assert [row["epoch"] for row in together] == ["1", "2"]
    for ours, theirs in zip(alone, together, strict=True):
        assert float(theirs["loss"]) == pytest.approx(float(ours["loss"]), rel=0.03)
    assert load_artifact(tmp_path / "two" / "artifact").card.metrics


def test_frames_that_do_not_divide_among_processes_count_once(config, tmp_path):
    """No step is taken, so the validated weights are the same; three frames are validated in two processes."""
    settings = replace(config, epochs=1, steps_per_epoch=1, batch_size=4, validation=None, hold_out=("b",))
    settings = replace(settings, loss=LossConfig(dice=1e9))
    train(settings)
    run_in_two_processes(replace(settings, out=tmp_path / "two"), "--hold-out", "b", "--loss.dice", "1e9")
    assert log_rows(tmp_path / "two")[0]["val_miou"] == log_rows(config.out)[0]["val_miou"]


# ---------------------------------------------------------------------------------------------------- its price
def test_the_benchmark_compares_the_real_loop_with_its_bare_steps(config, tmp_path):
    settings = BenchmarkTrainingConfig(train=config.sources[0][0], rounds=2, steps=2)
    figures = compare_with_pure_steps(settings, replace(config, device="cpu"), Console(quiet=True))
    assert figures["crops_made_per_s"] > 0
    assert figures["epoch_over_pure_step_min"] <= figures["epoch_over_pure_step"] <= figures["epoch_over_pure_step_max"]
    # Tiny steps are mostly overhead; that the loop does the same work shows in neither side being free.
    assert 0.2 < figures["epoch_over_pure_step"] < 20
