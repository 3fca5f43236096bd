"""Every command, what it is run on and what must come of it, and a process in which they begin at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT
from labelled_folder import write_folder

from desert_seg.artifact import load_artifact
from desert_seg.checkpoint import read_checkpoint
from desert_seg.recordings.drive import open_drive
from desert_seg_ros.bag_benchmark.masks import recorded_masks

ROS_PROGRAMS = ("desert-seg-demo", "desert-seg-benchmark")
"""Where they, or the node that they start, end by a signal that cannot be caught, or abort for want of memory, Fast
DDS's shared memory stays behind: nobody else could free it."""


class WarmProcess:
    """See warm.py; where that is allowed it has a /dev/shm of its own, which nobody else writes to meanwhile."""

    def __init__(self):
        own_memory = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
        own_memory += ['mount -t tmpfs tmpfs /dev/shm && exec "$@"', "sh"]
        is_allowed = shutil.which("unshare") and not subprocess.run([*own_memory, "true"], check=False).returncode
        command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
        self.may_mount = bool(is_allowed)
        self._process = subprocess.Popen(
            [*own_memory, *command] if is_allowed else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    @property
    def root(self):
        """The file system as it sees it, with what it has mounted."""
        return Path(f"/proc/{self._process.pid}/root")

    def run(self, arguments, log, how=0, moment=0.0, shell="", memory_mb=0):
        """Run a command.

        Args:
            arguments: Of it.
            log: File for what it prints.
            how: A signal that it is sent, if any.
            moment: When, seconds.
            shell: Commands to run before, with the right to mount.
            memory_mb: How much more memory it may take than it has in the beginning; 0 = any.

        Returns:
            How it ended, and whether it was sent the signal.
        """
        log.write_text("")
        request = {"arguments": list(map(str, arguments)), "log": str(log), "signal": how, "moment": moment}
        self._process.stdin.write(json.dumps(request | {"shell": shell, "memory_mb": memory_mb}) + "\n")
        self._process.stdin.flush()
        ending = json.loads(self._process.stdout.readline())
        assert ending["orphans"] == 0, (arguments, how, moment, log.read_text())
        is_abrupt = ending["code"] < 0 or (ending["code"] and memory_mb)
        if self.may_mount and not (is_abrupt and arguments[0] in ROS_PROGRAMS):
            assert not ending["memory"], (arguments, how, moment, ending["memory"])
        assert "Traceback" not in log.read_text(), (arguments, how, moment, log.read_text())
        return ending["code"], ending["is_told"]

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


@dataclass(frozen=True)
class Case:
    """A command.

    Attributes:
        arguments: Of the command; OUT stands for where it writes.
        result: What has to be the same in the end, of what it wrote.
        check: Raises if what lies there after a kill is of no use.
        before: Puts there what was there before; it is given the folder, and that of a run that nobody killed.
        again: More arguments for going on, where something is there to go on from.
        is_done: Whether it has done everything, and would refuse to do it again.
    """

    arguments: tuple[object, ...]
    result: Callable[[Path], object]
    check: Callable[[Path], object] = lambda out: None
    before: Callable[[Path, Path], object] = lambda out, whole: None
    again: Callable[[Path], tuple[str, ...]] = lambda out: ()
    is_done: Callable[[Path], bool] = lambda out: False

    def command(self, out):
        return [*(str(argument).replace("OUT", str(out)) for argument in self.arguments), *self.again(out)]


def files(pattern):
    return lambda out: {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob(pattern))}


def digest(out):
    return load_artifact(out).digest


def has_artifact(out):
    return (out / "artifact").exists()


def check_training(out):
    if (out / "last.ckpt").exists():
        read_checkpoint(out / "last.ckpt")
    if has_artifact(out):
        load_artifact(out / "artifact")


def check_labelled(out):
    if out.exists():
        assert len([json.loads(path.read_text()) for path in (out / "frames").glob("*.json")]) == 3


def going_on(out):
    return ("--resume",) if (out / "last.ckpt").exists() else ()


def earlier_file(out, whole):
    out.mkdir()
    (out / "scores.json").write_text('{"earlier": true}')


def earlier_results(out, whole):
    if whole.exists():
        shutil.copytree(whole, out)


def masks(folder):
    """Every mask of every bag in a folder, with its stamp."""
    bags = sorted(path.parent for path in folder.rglob("metadata.yaml") if ".partial" not in str(path))
    return [[(stamp, mask.tobytes()) for stamp, mask in recorded_masks(bag)] for bag in bags]


def check_bags(num_bags):
    def check(out):
        found = masks(out)
        assert len(found) == num_bags
        assert all(found)

    return check


def synthetic_drive(out):
    """The frames on the disk and those in the bag."""
    frames = [(frame.stamp_ns, frame.rgb().tobytes()) for frame in open_drive(out / "bag").frames()]
    return files("*.png")(out), frames


def file_names(out):
    return sorted(path.name for path in out.iterdir())


def make_cases(warm, folder, model):
    """Every command by its name, on frames that are written to a folder, with a model."""
    data, begun = write_folder(folder / "data", frames=4), folder / "site"
    images = data / "Color_Images"

    def copy_model(out, whole):
        shutil.copytree(model, out)

    def begin_site(out, whole):
        shutil.copytree(begun, out)

    settings = ("--epochs", 3, "--steps-per-epoch", 3, "--sampling.height", 32, "--sampling.width", 64)
    sources = ("--sources", data, "falcon7_stones", 1, "--validation", data)
    on_drive = ("--model", model, "--limit", 4, "--out", "OUT")
    frames = ("--frames", 3, "--width", 96, "--height", 64, "--image-format", "png", "--processes", 2, "--out", "OUT")
    site = ("site", images, "--model", model, "--count", 3, "--budget", "1s", "--out")
    code, _ = warm.run((*site, begun), folder / "log")
    assert code == 0, (folder / "log").read_text()
    labels = begun / "label" / "frames"
    for path in labels.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"flags": {"checked": True}}))
    drive = ("--drive", "--seconds", 0.3, "--width", 96, "--height", 64, "--image-format", "png", "--out", "OUT")
    return {
        "train": Case(
            ("train", "--config", "config/smoke.yaml", *sources, *settings, "--out", "OUT"),
            result=lambda out: digest(out / "artifact"),
            check=check_training,
            again=going_on,
        ),
        "adapt": Case(
            ("adapt", model, "--frames", data, "--hold-back", "s00", "--budget", "1s", "--out", "OUT"),
            result=lambda out: sorted(path.name for path in (out / "artifact").iterdir()),
            check=check_training,
            is_done=has_artifact,
        ),
        "site": Case((*site, "OUT"), file_names, before=begin_site, is_done=lambda out: (out / "index.html").exists()),
        "export": Case(
            ("export", "--model", model, "--name", "another", "--out", "OUT"), digest, load_artifact, copy_model
        ),
        "calibrate": Case(("calibrate", "--model", "OUT", "--data", data), digest, load_artifact, copy_model),
        "predict": Case(
            ("predict", "--model", model, "--input", images, "--output", "OUT", "--tta", "none"), files("*.png")
        ),
        "label": Case(
            ("label", images, "--model", model, "--out", "OUT", "--count", 3, "--tta", "none"),
            files("*.png"),
            check_labelled,
            is_done=Path.exists,
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
        "synth": Case(("synth", *frames), files("*.png")),
        "synth --bag": Case(
            ("synth", *drive, "--bag", "OUT/bag"),
            synthetic_drive,
            lambda out: (out / "bag").exists() and synthetic_drive(out),
            earlier_results,
        ),
        "desert-seg-demo": Case(
            ("desert-seg-demo", "--drive", images, "--hz", 4, *on_drive),
            lambda out: sorted(path.name for path in out.iterdir()),
            check_bags(1),
            earlier_results,
        ),
        "desert-seg-benchmark": Case(
            ("desert-seg-benchmark", images, "--deterministic", *on_drive), masks, check_bags(2), earlier_results
        ),
        "info": Case(("info", model), lambda out: None),
        "inspect": Case(("inspect", data, "--label-map", "falcon7_stones", "--out", "OUT"), file_names),
        "consumers": Case(("consumers", model, "--out", "OUT"), file_names),
        "profile": Case(
            ("profile", model, "--frames", 2, "--sizes", "160x96", "--engines", "openvino", "--out", "OUT"), file_names
        ),
        "view": Case(("view", data, "--model", model, "--save", "OUT/view.rrd"), file_names),
        "read-labels": Case(("read-labels", labels, "--model", model, "--out", "OUT"), files("*.png")),
    }
