"""Whenever a command is killed, what was there before is whole, and doing it again ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
import time

import pytest

pytest.importorskip("torch")
pytest.importorskip("rich")

from commands import ROS_PROGRAMS, WarmProcess, make_cases

NUM_FOLDERS, KILLS_IN_A_ROW = 2, 4
NAMES = ("train", "adapt", "site", "export", "calibrate", "predict", "label", "benchmark", "evaluate", "synth")
NAMES += ("synth --bag", *ROS_PROGRAMS)


@pytest.fixture(scope="module")
def warm():
    process = WarmProcess()
    yield process
    process.close()


@pytest.fixture(scope="module")
def cases(warm, tiny_artifact, tmp_path_factory):
    return make_cases(warm, tmp_path_factory.mktemp("killed"), tiny_artifact.path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_killed_breaks_nothing_and_can_be_done_again(warm, cases, tmp_path, name, record_property):
    if name in ROS_PROGRAMS:
        pytest.importorskip("rclpy")
    case, log, generator, kills = cases[name], tmp_path / "log", random.Random(name), []
    seconds, whole = {}, tmp_path / "whole" / name.split()[0]  # the name of a model is that of its folder
    for out in (whole, tmp_path / "again" / whole.name):
        out.parent.mkdir()
        case.before(out, whole)
        begun = time.monotonic()
        code, _ = warm.run(case.command(out), log)
        if name.startswith("synth") and "EGL" in log.read_text():
            pytest.skip("this machine cannot render")
        assert code == 0, log.read_text()
        seconds[out], expected = time.monotonic() - begun, case.result(whole)
    assert case.result(out) == expected, "nobody was killed"
    for folder in range(NUM_FOLDERS):
        out = tmp_path / f"killed{folder}" / whole.name
        out.parent.mkdir()
        case.before(out, whole)
        for number in range(KILLS_IN_A_ROW):
            how, moment = (signal.SIGKILL, signal.SIGTERM)[number % 2], generator.uniform(0, min(seconds.values()))
            if not case.is_done(out):
                code, is_told = warm.run(case.command(out), log, how, moment)
                assert code in (0, 1, -how, 128 + how), (how, moment, code, log.read_text())
                case.check(out)
                kills += [(how.name, round(moment, 2))] * is_told
        if not case.is_done(out):
            code, _ = warm.run(case.command(out), log)
            assert code == 0, (kills, log.read_text())
        assert case.result(out) == expected, kills
        assert [path.name for path in out.parent.iterdir()] == [out.name], kills
    record_property("kills", len(kills))
