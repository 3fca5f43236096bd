"""`make gpu` on a CPU: every line is told as run, failed or not run, because; time is kept; wheels are taken along."""

import json
import subprocess
import sys
import time
import zipfile

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch")

from desert_seg.errors import EngineError  # noqa: E402
from speed.figures import Bar, Figure  # noqa: E402
from speed.gpu.command import run  # noqa: E402
from speed.gpu.options import GpuOptions  # noqa: E402
from speed.gpu.outcome import Outcome, outcome_from_json  # noqa: E402
from speed.gpu.part import run_part  # noqa: E402
from speed.gpu.plan import Line, Part, Setting, parts  # noqa: E402
from speed.gpu.report import Report, write_report  # noqa: E402

LINES = [(part.name, line.name) for part in parts() for line in part.lines]


def stand_in(*names, seconds=0.0):
    return Part("stand-in", "gpu_stand_in", "", tuple(Line(name, seconds) for name in names))


def outcomes_of(part, folder, minutes=2.0, quick=True):
    setting = Setting("cpu", quick, None, folder, time.time() + 60 * minutes)
    return [(each.line, each.status, each.because) for each in run_part(part, setting, folder / "logs" / "0.log")]


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu")
    return run(GpuOptions(device="cpu", quick=True, minutes=30, out=out)), out


def test_a_quick_run_on_a_cpu_tells_of_every_line(quick_run):
    outcomes, _ = quick_run
    assert [(each.part, each.line) for each in outcomes] == LINES
    unexpected = [
        each.sentence() for each in outcomes if each.part not in ("tests", "make bench") and each.status != "ran"
    ]
    assert [each for each in unexpected if "does not compute in bf16" not in each] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_tests_for_a_gpu_are_not_run_without_one_and_the_report_says_so(quick_run):
    told = {(each.status, each.because) for each in quick_run[0] if each.part == "tests"}
    assert told == {("not run", "torch sees no CUDA device")}


def test_the_page_and_the_file_hold_every_line_and_figure(quick_run):
    outcomes, out = quick_run
    content, page = json.loads((out / "results.json").read_text()), (out / "page.html").read_text()
    assert [(each["part"], each["line"], each["status"]) for each in content["outcomes"]] == [
        (each.part, each.line, each.status) for each in outcomes
    ]
    assert all(figure.name in page for each in outcomes for figure in each.figures)
    assert "its figures mean nothing" in page
    assert not (out / "work").exists()


def test_a_resumed_training_goes_on_with_the_same_losses(quick_run):
    figures = {figure.name: figure for each in quick_run[0] if each.line == "resumed" for figure in each.figures}
    assert figures["all losses, mean relative difference"].values[0] < 1e-4


def test_a_line_ends_as_run_or_not_run_or_failed_and_the_next_is_run(tmp_path):
    assert outcomes_of(stand_in("impossible", "wrong", "broken", "good"), tmp_path) == [
        ("impossible", "not run", "there is no such device"),
        ("wrong", "failed", "found one, expected two; give another"),
        ("broken", "failed", "ZeroDivisionError: by zero"),
        ("good", "ran", ""),
    ]


def test_a_process_that_dies_costs_the_line_and_those_after_it(tmp_path):
    good, crash, after = outcomes_of(stand_in("good", "crash", "wrong"), tmp_path)
    assert good == ("good", "ran", "")
    assert crash[:2] == ("crash", "failed")
    assert "its process ended with 3" in crash[2]
    assert after == ("wrong", "not run", "the process ended in crash")


def test_when_the_time_is_over_what_runs_is_stopped_and_not_reported_as_run(tmp_path):
    began = time.monotonic()
    assert outcomes_of(stand_in("endless", "good"), tmp_path, minutes=0.02) == [
        ("endless", "not run", "the time was over"),
        ("good", "not run", "the time was over"),
    ]
    assert time.monotonic() - began < 60


def test_a_line_that_would_not_end_in_time_is_not_begun(tmp_path):
    ((_, status, because),) = outcomes_of(stand_in("good", seconds=1000.0), tmp_path, quick=False)
    assert status == "not run"
    assert because.endswith("s were left and it takes about 1000 s")


def test_without_any_time_every_line_is_reported_as_not_run(tmp_path):
    outcomes = run(GpuOptions(device="cpu", quick=True, minutes=0, out=tmp_path))
    assert [(each.part, each.line) for each in outcomes] == LINES
    assert {(each.status, each.because) for each in outcomes} == {("not run", "the time was over")}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(EngineError, match="torch sees no CUDA device"):
        run(GpuOptions(device="cuda", out=tmp_path))


def test_an_outcome_survives_its_file():
    figure = Figure("line", "name", (1.0, 2.0, 4.0), "ms", bar=Bar(1.5))
    outcome = Outcome("part", "line", "ran", "", (figure,), 3.0)
    assert outcome_from_json(outcome.to_json()) == outcome


def test_a_missed_goal_is_told_in_the_summary(tmp_path):
    outcome = Outcome("part", "line", "ran", "", (Figure("line", "whole frame", (7.0, 7.0, 7.0), "ms", bar=Bar(6)),))
    report = Report({"device": "a GPU"}, "cuda", False, 9.0, 1.0, (outcome,))
    assert report.summary() == "1 lines ran, 0 were not run, 0 failed; missed: line: whole frame"
    write_report(tmp_path, report)
    assert "missed: line: whole frame" in (tmp_path / "page.html").read_text()


def write_wheel(folder, name, module):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}.py", "")


def test_only_what_this_python_lacks_is_taken_from_the_wheels(tmp_path):
    write_wheel(tmp_path / "wheels", "numpy", "numpy")
    write_wheel(tmp_path / "wheels", "no_such_package", "no_such_module")
    command = [sys.executable, ROOT / "scripts" / "unpack_wheels.py", tmp_path / "wheels", tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"not installed here, so taken from {tmp_path / 'wheels'}: no_such_package\n"
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["no_such_module.py"]


def test_no_wheel_that_is_carried_replaces_what_a_gpu_machine_was_set_up_with():
    lines = (ROOT / "scripts" / "gpu_wheels.txt").read_text().splitlines()
    names = {line.split("=")[0].split(">")[0] for line in lines if line and not line.startswith("#")}
    there = {"torch", "torchvision", "timm", "lightning", "onnxruntime", "safetensors", "opencv-python-headless"}
    assert names >= {"segmentation-models-pytorch", "tyro", "rosbags"}
    assert not there & names
