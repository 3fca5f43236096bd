"""Whenever a command is killed, what was there before is whole, and doing it again ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("rich")

from labelled_folder import write_folder

from desert_seg.artifact import load_artifact
from desert_seg.checkpoint import read_checkpoint


class WarmProcess:
    """See warm.py; where that is allowed it has a /dev/shm of its own, which nobody else writes to meanwhile."""

    def __init__(self):
        own_memory = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
        own_memory += ['mount -t tmpfs tmpfs /dev/shm && exec "$@"', "sh"]
        is_allowed = shutil.which("unshare") and not subprocess.run([*own_memory, "true"], check=False).returncode
        command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
        self.knows_memory = bool(is_allowed)
        self._process = subprocess.Popen(
            [*own_memory, *command] if is_allowed else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def run(self, arguments, log, how=None, moment=0.0):
        """Run a command, perhaps with a signal after so many seconds; returns how it ended."""
        log.write_text("")
        self._process.stdin.write(json.dumps({"arguments": list(map(str, arguments)), "log": str(log)}) + "\n")
        self._process.stdin.flush()
        child = json.loads(self._process.stdout.readline())["child"]
        if how is not None:
            time.sleep(moment)
            os.kill(child, how)  # the warm process waits for it, so the id is still its own
        ending = json.loads(self._process.stdout.readline())
        assert ending["orphans"] == 0, (arguments, log.read_text())
        assert not self.knows_memory or not ending["memory"], (arguments, ending["memory"])
        assert "Traceback" not in log.read_text(), log.read_text()
        return ending["code"]

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def warm():
    process = WarmProcess()
    yield process
    process.close()


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        arguments: Of the command; OUT stands for where it writes.
        result: What has to be the same in the end, of what it wrote.
        check: Raises if what lies there after a kill is of no use.
        before: Puts there what was there before.
        again: More arguments for going on, where something is there to go on from.
    """

    arguments: tuple[object, ...]
    result: Callable[[Path], object]
    check: Callable[[Path], object] = lambda out: None
    before: Callable[[Path], object] = lambda out: None
    again: Callable[[Path], tuple[str, ...]] = lambda out: ()

    def command(self, out):
        return [str(argument).replace("OUT", str(out)) for argument in self.arguments]


def files(pattern):
    return lambda out: {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob(pattern))}


def digest(out):
    return load_artifact(out).digest


def check_training(out):
    if (out / "last.ckpt").exists():
        read_checkpoint(out / "last.ckpt")
    if (out / "artifact").exists():
        load_artifact(out / "artifact")


def going_on(out):
    return ("--resume",) if (out / "last.ckpt").exists() else ()


def earlier_file(out):
    out.mkdir()
    (out / "scores.json").write_text('{"earlier": true}')


@pytest.fixture(scope="module")
def cases(tiny_artifact, tmp_path_factory):
    data, model = write_folder(tmp_path_factory.mktemp("killed") / "data", frames=4), tiny_artifact.path
    images = data / "Color_Images"

    def copy_model(out):
        shutil.copytree(model, out)

    settings = ("--epochs", 3, "--steps-per-epoch", 3, "--sampling.height", 32, "--sampling.width", 64)
    sources = ("--sources", data, "falcon7_stones", 1, "--validation", data)
    return {
        "train": Case(
            ("train", "--config", "config/smoke.yaml", *sources, *settings, "--out", "OUT"),
            result=lambda out: digest(out / "artifact"),
            check=check_training,
            again=going_on,
        ),
        "export": Case(
            ("export", "--model", model, "--name", "another", "--out", "OUT"), digest, load_artifact, copy_model
        ),
        "calibrate": Case(("calibrate", "--model", "OUT", "--data", data), digest, load_artifact, copy_model),
        "predict": Case(
            ("predict", "--model", model, "--input", images, "--output", "OUT", "--tta", "none"), files("*.png")
        ),
        "label": Case(
            ("label", images, "--model", model, "--out", "OUT", "--count", 3, "--tta", "none"), files("*.png")
        ),
        "benchmark": Case(
            ("benchmark", "--model", model, "--data", data, "--out", "OUT"),
            files("predictions/**/*.png"),
            lambda out: [json.loads(path.read_text()) for path in out.glob("*.json")],
        ),
        "evaluate": Case(
            ("evaluate", "--model", model, "--data", data, "--json", "OUT/scores.json"),
            lambda out: [path.name for path in out.iterdir()],
            lambda out: json.loads((out / "scores.json").read_text()),
            earlier_file,
        ),
        "synth": Case(
            ("synth", "--frames", 3, "--width", 96, "--height", 64, "--image-format", "png", "--out", "OUT"),
            files("*.png"),
        ),
    }


NAMES = ("train", "export", "calibrate", "predict", "label", "benchmark", "evaluate", "synth")
NUM_KILLS = 12


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_killed_breaks_nothing_and_can_be_done_again(warm, cases, tmp_path, name, record_property):
    case, log, generator = cases[name], tmp_path / "log", random.Random(name)

    def prepared(folder):
        case.before(tmp_path / folder)
        return tmp_path / folder

    whole, begun = prepared("whole"), time.monotonic()
    code = warm.run(case.command(whole), log)
    if name == "synth" and "EGL" in log.read_text():
        pytest.skip("this machine cannot render")
    assert code == 0, log.read_text()
    seconds, expected = time.monotonic() - begun, case.result(whole)
    for number in range(NUM_KILLS):
        out, how = prepared(f"killed{number}"), (signal.SIGKILL, signal.SIGTERM)[number % 2]
        moment = generator.uniform(0, seconds)
        code = warm.run(case.command(out), log, how, moment)
        assert code in (0, 1, -how, 128 + how), (how, moment, log.read_text())
        case.check(out)
        again = [*case.command(out), *case.again(out)]
        assert warm.run(again, log) == 0, (how, moment, again, log.read_text())
        assert case.result(out) == expected, (how, moment)
    record_property("kills", NUM_KILLS)
