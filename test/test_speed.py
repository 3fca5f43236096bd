"""`make bench`: what its figures may claim, and one small run of all of it but the node."""

import json
import os
import re
import subprocess
import sys
from itertools import islice

import pytest
from conftest import ROOT

from desert_seg.artifact import load_artifact
from desert_seg.console import Console
from desert_seg.errors import DesertSegError
from desert_seg.recordings.bag import serialize
from desert_seg.recordings.drive import open_drive
from desert_seg.views import VIEW_SETS
from desert_seg_ros.bag_benchmark.results import Results, meanings
from speed import footprint, live_node, names
from speed.bars import bars_for
from speed.contender import Contender, Lap
from speed.figures import MET, MISSED, NOT_SHOWN, Bar, Figure, ratio
from speed.ours import WHOLE
from speed.report import write_report
from speed.rounds import ALONE, AUTO, CLIENT, NODE, OVERLOAD, SCRIPT, figures_of, make_rounds

MODEL = ROOT / "models" / "light"


def test_a_ratio_whose_values_scatter_is_not_shown_and_its_bar_not_judged():
    figure = Figure("a", "b", (0.5, 1.0, 1.5, 1.0), bar=Bar(2.0))
    assert not figure.is_shown
    assert figure.verdict == NOT_SHOWN and figure.fails
    assert figure.cells()[1:3] == ("scatters", "0.875..1.125")


def test_one_disturbed_value_of_many_does_not_hide_a_ratio():
    figure = Figure("a", "b", (1.0, 1.01, 0.99, 1.0, 7.0))
    assert figure.is_shown
    assert figure.cells()[1] == "1.000"


def test_two_values_are_too_few_however_well_they_agree():
    figure = Figure("a", "b", (1.0, 1.0), bar=Bar(2.0))
    assert figure.verdict == NOT_SHOWN
    assert figure.cells()[1] == "2 of 3 values"


def test_what_there_is_once_in_a_run_is_told_as_it_is():
    figure = Figure("a", "b", (1234567.0,), "bytes", once=True, bar=Bar(2e6))
    assert figure.cells() == ("b", "1,234,567 bytes", "", "<= 2e+06", MET)


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [(0.95, True, MET), (0.96, True, MISSED), (0.95, False, MET), (0.94, False, MISSED)],
)
def test_a_bar_is_met_from_its_own_value_on(value, at_most, verdict):
    figure = Figure("a", "b", (value,) * 3, bar=Bar(0.95, at_most))
    assert figure.verdict == verdict
    assert figure.fails is (verdict == MISSED)


def test_a_machine_that_slows_down_during_the_run_does_not_move_a_ratio():
    assert ratio("a", "b", [1.0, 2.0, 4.0], [2.0, 4.0, 8.0]).values == (0.5, 0.5, 0.5)


def test_everybody_has_a_turn_in_every_round_and_another_one_begins_each_time():
    called = []

    def turn(name):
        return lambda: called.append(name) or {"whole": [Lap(1.0, 0.5)]}

    rounds = make_rounds({name: turn(name) for name in "abc"}, 2, lambda: None)
    assert called == [*"abc", *"abc", *"bca"]
    assert rounds["a", "whole"] == [[Lap(1.0, 0.5)]] * 2


def test_a_frame_that_was_fast_once_in_three_rounds_makes_their_value():
    walls = [3.0, 1.0, 2.0, 4.0, 5.0, 9.0, 7.0, 7.0, 8.0]
    rounds = {(AUTO, task): [[Lap(wall, 0.0)] for wall in walls] for task in ("bare", "whole", *VIEW_SETS)}
    [bare] = [
        figure for figure in figures_of(rounds, [], dict.fromkeys(VIEW_SETS, 1.0)) if figure.name == "auto, bare engine"
    ]
    assert bare.values == (1.0, 4.0, 7.0)


def test_figures_are_of_the_fastest_frames_and_of_what_was_measured_only():
    laps = [Lap(9.0, 7.0), Lap(4.0, 3.0)]
    auto = {(AUTO, task): [laps] * 3 for task in ("bare", "whole", "color", "none", "flip", "scales", "full")}
    pixels = {"flip": 2.0, "scales": 3.125, "full": 6.25}
    alone = list(figures_of(auto, [AUTO], pixels))
    assert {figure.section for figure in alone} == {names.WHOLE, names.VIEWS, names.MACHINE}
    node = {(NODE, "whole"): [[Lap(5.0, 4.0)]] * 3, (OVERLOAD, NODE): [[Lap(10.0, 0.0)]] * 3}
    script = {(SCRIPT, "color"): [[Lap(40.0, 20.0)]] * 3, (OVERLOAD, ALONE): [[Lap(9.0, 0.0)]] * 3}
    node[OVERLOAD, CLIENT] = [[Lap(0.5 * (os.cpu_count() or 1), 0.0)]] * 3
    found = {(each.section, each.name): each.quartiles[1] for each in figures_of(auto | node | script, [AUTO], pixels)}
    assert found[names.SCRIPT, AUTO] == 0.1
    assert found[names.SCRIPT, names.BESIDES] == 0.05
    assert found[names.WHOLE, names.NODE] == 1.25
    assert found[names.OVERLOAD, names.THROUGHPUT] == 0.9
    assert found[names.OVERLOAD, names.CLIENT] == 0.05


def test_bars_of_the_light_network_hold_for_it_alone_and_on_a_cpu_alone():
    card = load_artifact(MODEL).card
    assert bars_for(card, "openvino bf16 on cpu", False)[names.WHOLE, names.NODE] == Bar(1.15)
    assert (names.WHOLE, names.NODE) not in bars_for(card, "torch bf16 on cuda", False)


def test_masks_of_random_weights_need_not_agree():
    card = load_artifact(MODEL).card
    row = (names.AGREEMENT, "openvino bf16")
    assert bars_for(card, "openvino", False)[row] == Bar(99.5, at_most=False)
    assert row not in bars_for(card, "openvino", True)


def test_every_key_that_is_read_from_the_bag_benchmark_is_one_of_its_keys():
    code = (ROOT / "speed" / "node_runs.py").read_text()
    known = {part.removesuffix("[]") for path, _ in meanings(Results) for part in path.split(".")}
    assert set(re.findall(r'\["(\w+)"\]', code)) <= known


def test_an_engine_that_cannot_be_had_says_why_instead_of_ending_the_benchmark(tmp_path):
    contender = Contender("torch", "speed.ours", ([], MODEL, "nonsense", "f32", "cpu"), tmp_path / "log")
    with pytest.raises(DesertSegError, match="there is no engine 'nonsense'"), contender:
        pass


def test_a_missed_bar_is_seen_in_the_report(tmp_path):
    missed = Figure("section", "name", (2.0, 2.0, 2.0), bar=Bar(1.0))
    facts = {"model": "m", "machine": {"cores": "2"}, "engines": {"auto": "e"}, "not_run": {"torch": "why"}}
    with (tmp_path / "said").open("w") as file:
        write_report(tmp_path, [missed], facts, Console(file=file, record=True))
    table = (tmp_path / "table.txt").read_text()
    assert [line.split() for line in table.splitlines() if "name" in line] == [
        ["name", "2.000", "2.000..2.000", "<=", "1", "missed"]
    ]
    assert "not run: torch: why" in table
    assert json.loads((tmp_path / "bench.json").read_text())["figures"][0]["verdict"] == MISSED


def test_a_robot_installs_an_engine_and_ros_but_no_torch():
    found = footprint.distributions(footprint.PACKAGE, footprint.EXTRAS)
    assert {"desert_seg_ros", "openvino", "opencv-python-headless", "numpy"} <= set(found)
    assert not {"torch", "onnxruntime", "pytest"} & set(found)
    (figure,) = footprint.figures_of()
    assert figure.values[0] == pytest.approx(sum(map(footprint.size_of, found.values())) / 1e6)


def test_a_package_that_is_not_installed_has_no_size():
    assert list(footprint.figures_of("no-such-package", ())) == []


def test_a_distribution_is_as_large_as_its_files_without_compiled_ones(tmp_path, monkeypatch):
    for name, size in (("a/code.py", 100), ("a/code.pyc", 1000), ("a-1.dist-info/METADATA", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "a-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: a\nVersion: 1\n")
    (tmp_path / "a-1.dist-info" / "RECORD").write_text("a/code.py,,\na/code.pyc,,\na/gone.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert footprint.size_of(footprint.distributions("a")["a"]) == 100


def test_a_node_that_takes_longer_than_one_is_patient_is_measured_all_the_same(
    tiny_artifact, sample_drive, tmp_path, monkeypatch
):
    pytest.importorskip("rclpy")
    monkeypatch.setattr(live_node, "KNOCK_S", 0.03)
    frames = islice(open_drive(sample_drive).frames(), 2)
    images = [serialize(frame.as_raw().image) for frame in frames]
    with live_node.LiveNode(tiny_artifact.path, images, "cpu", tmp_path / "node.log") as node:
        (lap,) = node.run(1)[WHOLE]
    assert 0 < lap.network < lap.wall


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "speed", "--quick", "--no-node", "--rounds", "1", "--check", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done, json.loads((out / "bench.json").read_text()), (out / "table.txt").read_text()


def test_a_small_run_writes_every_row_that_needs_no_node(small_run):
    _, content, table = small_run
    found = {(figure["section"], figure["name"]): figure for figure in content["figures"]}
    assert {
        (names.SCRIPT, AUTO),
        (names.SCRIPT, names.BESIDES),
        (names.WHOLE, "auto, message to message"),
        (names.VIEWS, "full"),
        (names.LOADING, "auto: process to first mask"),
        (names.TRAFFIC, "ours / straightforward script"),
        (names.INSTALL, names.RUNTIME),
    } <= set(found)
    assert found[names.VIEWS, "full: pixels"]["median"] == 6.25
    assert 0 < found[names.SCRIPT, AUTO]["median"] < 1
    assert content["machine"]["processor"] in table
    assert all(figure["name"] in table for figure in content["figures"])


def test_one_round_shows_no_ratio_and_check_says_so(small_run):
    done, content, _ = small_run
    assert [figure["section"] for figure in content["figures"] if figure["is_shown"] and not figure["once"]] == []
    assert done.returncode == 1
    assert f"{names.SCRIPT}, {AUTO}: {NOT_SHOWN}" in done.stderr
