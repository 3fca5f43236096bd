"""Teaching a model a few frames of another place."""

import re
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.errors import DataError
from desert_seg.images import read_image, read_mask, write_image

torch = pytest.importorskip("torch")

from desert_seg.artifact import load_artifact  # noqa: E402
from desert_seg.console import Console  # noqa: E402
from desert_seg.labels import IGNORE, LabelSet  # noqa: E402
from desert_seg_train.adapt import place, place_frames, teaching  # noqa: E402
from desert_seg_train.adapt.command import RATES, adapt, parse_duration  # noqa: E402
from desert_seg_train.adapt.config import AdaptConfig  # noqa: E402
from desert_seg_train.adapt.judgement import read_judgement  # noqa: E402
from desert_seg_train.adapt.mixing import PseudoLabels, paste_classes  # noqa: E402
from desert_seg_train.adapt.place import Impression, signs_of_collapse  # noqa: E402
from desert_seg_train.adapt.place_frames import gather_frames  # noqa: E402
from desert_seg_train.adapt.start import Start  # noqa: E402
from desert_seg_train.data.config import SamplingConfig  # noqa: E402
from desert_seg_train.data.sources import open_source  # noqa: E402
from desert_seg_train.train.config import LossConfig  # noqa: E402
from desert_seg_train.train.losses import CrossEntropyAndDice  # noqa: E402


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.parametrize(("text", "seconds"), [("10min", 600), ("90s", 90), ("1.5 h", 5400)])
def test_a_budget_is_a_number_with_a_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["10", "min", "0s", "-5min", "soon"])
def test_a_budget_without_one_is_refused(text):
    with pytest.raises(DataError, match="expected a time like 10min, 90s or 1h"):
        parse_duration(text)


def write_frames(root, names, bright, dark):
    rng = np.random.default_rng(0)
    for name in names:
        mask = np.full((96, 160), dark, np.uint16)
        mask[: rng.integers(20, 70)] = bright
        image = np.where(mask == bright, 220, 60).astype(np.uint8)[..., None] + rng.integers(0, 20, 3, dtype=np.uint8)
        write_image(root / "Color_Images" / f"{name}.png", image)
        write_image(root / "Segmentation" / f"{name}.png", mask)
    return root


@pytest.fixture
def site(tmp_path):
    return write_frames(tmp_path / "site", ["s0", "s1", "s2", "s3", "s4", "s5"], 10000, 7100)


@pytest.fixture
def old(tmp_path):
    return write_frames(tmp_path / "old", [f"o{number}" for number in range(8)], 100, 300)


def test_labelled_frames_are_all_learned_and_cross_validated(tiny_artifact, tmp_path, site, old, capsys):
    replay = ((old, "falcon7_stones", 1.0),)
    adapted = adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", site, budget="1s", replay=replay))
    told = capsys.readouterr().out
    assert "cross-validation 3/3: 4 frames" in told
    assert "learning from 6 labelled frames, 6 replayed" in told
    assert "site, cross-validated │ 6 " in told
    assert "old, replayed         │ 2 " in told
    assert f"desert-seg export --model {adapted}" in told
    assert load_artifact(adapted).digest != tiny_artifact.digest
    assert load_artifact(adapted).card.provenance["adapted from"].endswith(tiny_artifact.digest[:12])
    assert len(list((tmp_path / "run" / "learned_from" / "Segmentation").iterdir())) == 6


def test_frames_can_be_held_back_instead(tiny_artifact, tmp_path, site, capsys):
    adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", site, budget="1s", hold_back=("s1", "s2")))
    told = capsys.readouterr().out
    assert "learning from 4 labelled frames" in told
    assert re.search("site, held back +│ 2 ", told)
    assert "too few for an interval" in told
    assert "cross-validation" not in told


def test_a_model_learns_other_classes(tiny_artifact, tmp_path, capsys):
    site = write_frames(tmp_path / "site", ["a", "b", "c"], 8, 1)
    adapted = adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", site, budget="1s", label_map="ycor"))
    assert load_artifact(adapted).card.label_map.labels.names[0] == "Smooth Trail"
    told = capsys.readouterr().out
    assert "had other classes" in told
    assert "warning: no frame that was learned from shows " in told
    assert "Puddle, Obstacle, Low Vegetation" in told


def test_frames_are_replayed_only_where_a_class_is_missing(tiny_artifact, tmp_path, capsys):
    site = write_frames(tmp_path / "site", ["every", "two"], 10000, 7100)
    values = read_mask(site / "Segmentation" / "every.png")
    values[-8:] = np.resize(sorted(tiny_artifact.card.label_map.values), values.shape[1])
    write_image(site / "Segmentation" / "every.png", values)
    adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", site, budget="1s"))
    told = capsys.readouterr().out
    assert "cross-validation 1/2: 1 frame, 15 replayed, 1 step" in told
    assert "cross-validation 2/2: 1 frame, 1 step" in told
    assert "learning from 2 labelled frames: " in told
    assert "no frame that was learned from" not in told


def test_one_frame_cannot_be_judged_by(tiny_artifact, tmp_path, capsys):
    site = write_frames(tmp_path / "site", ["a"], 10000, 7100)
    adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", site, budget="1s"))
    assert "one frame cannot be judged by, so the gain is not known" in capsys.readouterr().out


def test_a_model_learns_a_place_without_labels_and_replays_rendered_frames(
    tiny_artifact, tmp_path, site, monkeypatch, capsys
):
    # How many steps random weights take in the time is chance, and so what they think of a place.
    monkeypatch.setattr("desert_seg_train.adapt.command.signs_of_collapse", lambda *_: [])
    frames = str(site / "Color_Images")
    run = tmp_path / "run"
    adapted = adapt(AdaptConfig(tiny_artifact.path, run, unlabelled=(frames,), budget="2s"))
    told = capsys.readouterr().out
    assert "learning from 6 frames without labels, 15 replayed" in told
    assert "same class in the mirror" in told
    assert "replay, replayed │ 5 " in told
    assert load_artifact(adapted).digest != tiny_artifact.digest
    assert len(list((run / "place").iterdir())) == 6


@pytest.mark.parametrize("has_bf16", [True, False])
def test_a_taught_network_is_the_same_kind_whether_the_cpu_multiplies_in_bf16_or_not(
    tiny_artifact, site, monkeypatch, has_bf16
):
    monkeypatch.setattr(teaching, "cpu_multiplies_in_bf16", lambda: has_bf16)
    start = Start(tiny_artifact, tiny_artifact.card.label_map)
    source = open_source(site, "falcon7_stones", 1.0, Console(quiet=True))
    place = tuple(sorted((site / "Color_Images").iterdir()))
    lessons = teaching.Lessons((source,), place, SamplingConfig(height=32, width=64), RATES, batch_size=2)
    criterion = CrossEntropyAndDice(LossConfig(), start.label_map.labels)
    network, types = start.network(), set()
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_hook(lambda module, images, features: types.add(features.dtype))
    taught = teaching.teach(network, lessons, criterion, 2, Console(quiet=True))
    assert (torch.bfloat16 in types) == has_bf16
    assert not any("forward" in vars(module) for module in taught.modules())
    assert {weights.dtype for weights in taught.parameters()} == {torch.float32}


def test_the_frames_of_a_bag_are_spread_over_it(tmp_path, monkeypatch):
    monkeypatch.setattr(place_frames, "MAX_FRAMES", 3)
    drive = write_frames(tmp_path / "drive", [f"{number}" for number in range(11)], 10000, 7100) / "Color_Images"
    taken = gather_frames([str(drive)], "", tmp_path / "run", Console(quiet=True))
    assert [path.stem for path in taken] == ["000000_0", "000005_5", "000010_10"]


def test_an_unreadable_frame_is_left_out_and_named(tmp_path, capsys):
    drive = write_frames(tmp_path / "drive", ["a", "b"], 10000, 7100) / "Color_Images"
    (drive / "b.png").write_bytes((drive / "b.png").read_bytes()[:200])
    assert len(gather_frames([str(drive)], "", tmp_path / "run", Console())) == 1
    assert "warning: left out 1 of the frames, unreadable; the first: " in capsys.readouterr().out


def test_export_makes_the_artifact_for_every_engine(tiny_artifact, tmp_path, site):
    out = tmp_path / "model"
    config = AdaptConfig(tiny_artifact.path, tmp_path / "run", unlabelled=(str(site),), budget="1s", export=out)
    assert adapt(config) == out
    artifact = load_artifact(out)
    assert (out / "model.onnx").exists()
    assert artifact.parity is not None
    assert artifact.parity.num_images == 6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "found nothing to learn from, expected frames of the place; give --frames FOLDER"),
        ({"hold_back": ("a",), "unlabelled": ("x",)}, "found --hold-back without --frames"),
        ({"unlabelled": ("x",), "label_map": "ycor"}, "found --unlabelled with classes that the model does not have"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_at_once(tiny_artifact, tmp_path, options, sentence):
    with pytest.raises(DataError, match=sentence):
        adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_classes_needs_frames_to_replay(tiny_artifact, tmp_path, site):
    frames = write_frames(tmp_path / "trail", ["a", "b"], 8, 1)
    trail = adapt(AdaptConfig(tiny_artifact.path, tmp_path / "first", frames, budget="1s", label_map="ycor"))
    with pytest.raises(DataError, match="give --replay FOLDER LABEL_MAP 1 with frames that it was trained on"):
        adapt(AdaptConfig(trail, tmp_path / "run", unlabelled=(str(site),)))


def test_a_model_that_lost_a_class_is_not_written(tiny_artifact, tmp_path, site, monkeypatch):
    monkeypatch.setattr(place, "KEPT", {True: 1e9, False: 1e9})
    with pytest.raises(DataError, match=r"taught itself something wrong and is not written: .* of the pixels"):
        adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", unlabelled=(str(site),), budget="1s"))
    assert not (tmp_path / "run" / "artifact").exists()


def test_beside_labels_frames_without_are_looked_at_and_a_lost_class_is_told(
    tiny_artifact, tmp_path, site, monkeypatch, capsys
):
    monkeypatch.setattr(place, "KEPT", {True: 1e9, False: 1e9})
    frames, run = str(site / "Color_Images"), tmp_path / "run"
    adapted = adapt(AdaptConfig(tiny_artifact.path, run, frames=site, unlabelled=(frames,), budget="1s"))
    told = capsys.readouterr().out
    assert "learning from 6 labelled frames, 15 replayed: " in told
    assert "of the pixels; look whether that is right" in told
    assert load_artifact(adapted).digest != tiny_artifact.digest
    assert "look whether that is right" in " ".join(read_judgement(run).doubts)


def test_a_model_that_learned_nothing_is_as_sure_as_before(site):
    start = Start(load_artifact(ROOT / "models" / "light"), load_artifact(ROOT / "models" / "light").card.label_map)
    frames = [partial(read_image, site / "Color_Images" / "s0.png")]
    before, after = (Impression.of(each, frames) for each in (start.segmenter, start.segmenter_of(start.network())))
    assert after.entropy == pytest.approx(before.entropy, abs=1e-3)


def impression(shares, agreement=0.9, entropy=0.3):
    return Impression(agreement, entropy, np.array(shares), ())


def test_an_obstacle_may_lose_less_than_another_class():
    labels = LabelSet(("Rocks", "Dry Grass"), ((0, 0, 0), (1, 1, 1)))
    before = impression([0.2, 0.8])
    assert signs_of_collapse(before, impression([0.13, 0.87]), labels) == []
    assert signs_of_collapse(before, impression([0.11, 0.89]), labels) == [
        "Rocks went from 20.0% to 11.0% of the pixels"
    ]
    assert signs_of_collapse(impression([0.8, 0.2]), impression([0.89, 0.11]), labels) == []


def test_a_model_that_becomes_surer_and_agrees_less_with_itself_has_collapsed():
    labels = LabelSet(("Rocks",), ((0, 0, 0),))
    before = impression([1.0])
    assert signs_of_collapse(before, impression([1.0], agreement=0.91, entropy=0.2), labels) == []
    (sign,) = signs_of_collapse(before, impression([1.0], agreement=0.85, entropy=0.2), labels)
    assert "surer (entropy 0.300 to 0.200) while it agrees less" in sign


def test_the_surest_share_of_each_class_is_taught():
    sure = torch.linspace(1, 5, 100)
    scores = torch.stack([torch.cat([sure, torch.zeros(100)]), torch.cat([torch.zeros(100), sure / 4])])
    taught = PseudoLabels(2, 0.5)(scores.view(1, 2, 10, 20))
    counts = torch.bincount(taught.flatten(), minlength=IGNORE + 1)
    assert abs(int(counts[0]) - 50) <= 8
    assert abs(int(counts[1]) - 50) <= 8
    assert counts[IGNORE] == 200 - counts[0] - counts[1]


def test_half_of_the_labelled_classes_are_pasted_onto_the_place():
    targets = torch.arange(4).repeat(4, 1)[None]
    images, onto = torch.full((1, 3, 4, 4), 7, dtype=torch.uint8), torch.zeros((1, 3, 4, 4), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    mixed, mixed_targets = paste_classes(images, targets, onto, torch.full_like(targets, IGNORE), generator)
    assert sorted(mixed_targets.unique().tolist())[-1] == IGNORE
    assert len(mixed_targets.unique()) == 3
    assert torch.equal(mixed[0, 0] == 7, mixed_targets[0] != IGNORE)


def test_a_stopped_adaptation_writes_no_model(tiny_artifact, tmp_path, site):
    command = ["adapt", tiny_artifact.path, "--frames", site, "--out", tmp_path / "run", "--budget", "5min"]
    process = subprocess.Popen(
        [sys.executable, "-m", "desert_seg_train.cli", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("cross-validation 1/3")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "run" / "artifact").exists()


def test_a_wrong_budget_ends_the_command_with_one_line(tiny_artifact, tmp_path):
    command = ["adapt", tiny_artifact.path, "--frames", tmp_path, "--out", tmp_path / "run", "--budget", "soon"]
    done = subprocess.run(
        [sys.executable, "-m", "desert_seg_train.cli", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: found budget 'soon', expected a time like 10min, 90s or 1h\n"
