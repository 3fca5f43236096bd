"""Programs on unkind machines: no home, another encoding, odd names, a full disk, Ctrl-C at any moment."""

import io
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
from conftest import ROOT
from labelled_folder import write_folder

pytest.importorskip("rich")
pytest.importorskip("openvino")
pytest.importorskip("torch")

import torch

from desert_seg import errors, machine, program
from desert_seg.errors import DataError, OutputError
from desert_seg.files import check_output_file, check_output_folder, write_bytes, write_text
from desert_seg.image_folder import list_images
from desert_seg_train import cli

PROGRAMS = {
    "desert-seg": "desert_seg_train.cli",
    "desert-seg-replay": "desert_seg_ros.replay",
    "desert-seg-benchmark": "desert_seg_ros.bag_benchmark.command",
    "desert-seg-demo": "desert_seg_ros.demo",
}
ODD = os.fsdecode(b"caf\xe9 a[/2]b[red]:smile: \xe2\x80\x94")
"""A name with what rich takes for markup, what a Latin-1 terminal does not have, and a byte that is no UTF-8."""


@pytest.fixture(autouse=True)
def own_signals_and_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    yield
    sys.unraisablehook = hook
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def odd_place(tiny_artifact, tmp_path_factory):
    """A folder of an odd name with a model and labelled frames."""
    place = tmp_path_factory.mktemp("odd") / ODD
    shutil.copytree(tiny_artifact.path, place / "model")
    write_folder(place / "set", frames=2)
    return place


@pytest.fixture
def run(monkeypatch):
    """Runs a command in this process; returns its exit code and what it printed to a terminal of some encoding."""

    def run(*arguments, main=cli.main, encoding="utf-8"):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["program", *map(str, arguments)])
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            try:
                main()
                code = 0
            except SystemExit as ending:
                code = ending.code or 0
                if isinstance(code, str):
                    streams["stderr"].write(code)
                    code = 1
        for stream in streams.values():
            stream.flush()
        return code, *(stream.buffer.getvalue().decode(encoding) for stream in streams.values())

    return run


def commands(place, out):
    return {
        "info": ["info", place / "model"],
        "consumers": ["consumers", place / "model", "--out", out / "consumers"],
        "predict": ["predict", "--model", place / "model", "--input", place / "set", "--output", out / "predict"],
        "inspect": ["inspect", place / "set", "--out", out / "inspect", "--label-map", "falcon7_stones"],
        "label": ["label", place / "set", "--model", place / "model", "--out", out / "label", "--count", "1"],
    }


# -------------------------------------------------------------------------------------------------- names, terminals
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("name", ["info", "consumers", "predict", "inspect", "label"])
def test_a_path_is_printed_as_it_is_on_every_terminal(odd_place, run, tmp_path, name, encoding):
    code, printed, said = run(*commands(odd_place, tmp_path / ODD)[name], encoding=encoding)
    assert (code, said) == (0, "")
    if name != "info":
        assert ODD.encode(encoding, "desert_seg.stand_in").decode(encoding) in printed


def test_a_terminal_without_the_character_gets_one_that_stands_for_it(odd_place, run):
    assert "| # Trees" in " ".join(run("info", odd_place / "model", encoding="ascii")[1].split())


def test_an_error_about_an_odd_path_is_one_sentence(run, tmp_path):
    code, _, said = run("info", tmp_path / ODD, encoding="ascii")
    assert code == 1
    assert said.startswith("error: ")
    assert "a[/2]b[red]:smile:" in said


def test_a_name_that_is_no_text_survives_a_file_of_json(tmp_path):
    write_text(tmp_path / "names.json", json.dumps([ODD], ensure_ascii=False))
    assert json.loads((tmp_path / "names.json").read_bytes()) == [ODD]


# -------------------------------------------------------------------------------------------------------- the output
@pytest.mark.parametrize("name", ["consumers", "predict", "inspect", "label"])
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_place_of_the_output_folder_or_above_it_is_refused_and_kept(odd_place, run, tmp_path, name, place):
    (tmp_path / "file").write_text("mine")
    arguments = commands(odd_place, tmp_path)[name]
    arguments = [tmp_path / place if argument == tmp_path / name else argument for argument in arguments]
    code, printed, said = run(*arguments)
    assert (code, printed) == (1, "")
    assert said.startswith(f"error: {tmp_path / place}: ")
    assert "a file, expected a folder; choose another --out" in said
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_place_of_an_output_file_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"is a folder, expected a file; add a file name to --json"):
        check_output_file(tmp_path, "--json")
    with pytest.raises(OutputError, match=r"cannot be written \(Is a directory\)"):
        write_bytes(tmp_path, b"")
    check_output_file(tmp_path / "new" / "file.json", "--json")
    check_output_folder(tmp_path / "new" / "folder", "--out")
    assert not list(tmp_path.iterdir())


DISK = """
    import contextlib, io, json, os, sys
    from pathlib import Path
    import numpy as np
    from desert_seg.artifact import WEIGHTS, load_artifact, save_artifact
    from desert_seg.errors import OutputError
    from desert_seg.recordings.bag import BagWriter
    from desert_seg_ros.pictures import Video
    from desert_seg_train import cli

    disk, place, reason = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    model = load_artifact(place / "model")

    def run(*arguments):
        sys.argv, sys.stdout, sys.stderr = ["desert-seg", *map(str, arguments)], io.StringIO(), io.StringIO()
        sys.stdout.reconfigure = sys.stderr.reconfigure = lambda errors: None
        try:
            cli.main()
        except SystemExit as ending:
            return ending.code
        finally:
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        return 0

    def bag(storage):
        with BagWriter(disk / storage, storage) as writer:
            for stamp in range(100):
                writer.write("/topic", "std_msgs/msg/ByteMultiArray", stamp, os.urandom(10_000))

    def video():
        with Video(disk / "masks.mp4", 10) as writer:
            for seed in range(20):
                writer.add(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))

    def attempt(write, *arguments):
        try:
            write(*arguments)
        except OutputError as error:
            return str(error)

    def state():
        return {path: path.read_bytes() for path in disk.rglob("*") if path.is_file() and path.name != "filler"}

    of_model = "--model", place / "model"
    consumers = ["consumers", place / "model", "--out", disk / "consumers"]
    files = {path.name: path.read_bytes() for path in model.path.iterdir() if path.name != "artifact.json"}
    assert run(*consumers) == 0
    save_artifact(disk / "model", model.card, {})
    before = state()
    if reason == "full":
        with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(1000)):
                pass
    else:
        os.system(f"mount -o remount,ro {disk}")
    said = {
        "consumers": run(*consumers),
        "predict": run("predict", "--model", place / "model", "--input", place / "set", "--output", disk / "predict"),
        "inspect": run("inspect", place / "set", "--out", disk / "inspect", "--label-map", "falcon7_stones"),
        "label": run("label", place / "set", "--model", place / "model", "--out", disk / "label", "--count", "1"),
        "evaluate": run("evaluate", *of_model, "--data", place / "set", "--json", disk / "scores.json"),
        "artifact": attempt(save_artifact, disk / "model", model.card, files),
        "mcap": attempt(bag, "mcap"),
        "sqlite3": attempt(bag, "sqlite3"),
        "video": attempt(video),
    }
    assert state() == before, state().keys() ^ before.keys()
    load_artifact(disk / "model")
    sys.__stdout__.write(json.dumps(said))
"""


@pytest.mark.parametrize("reason", ["full", "read-only"])
def test_a_disk_that_takes_nothing_is_a_sentence_and_leaves_what_was_there(tiny_artifact, tmp_path, reason):
    mount = 'mkdir -p "$1" && mount -t tmpfs -o size=400k tmpfs "$1"'
    namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    disk = str(tmp_path / "disk")
    allowed = (
        shutil.which("unshare")
        and not subprocess.run([*namespace, mount, "sh", disk], capture_output=True, check=False).returncode
    )
    if not allowed:
        pytest.skip("this user may not mount a small disk")
    place = tmp_path / "place"
    shutil.copytree(tiny_artifact.path, place / "model")
    write_folder(place / "set", frames=2)
    script = [mount + ' && shift && exec "$@"', "sh", disk, sys.executable, "-c", textwrap.dedent(DISK)]
    done = subprocess.run(
        [*namespace, *script, disk, str(place), reason], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    for name, sentence in json.loads(done.stdout).items():
        assert str(sentence).removeprefix("error: ").startswith(disk), (name, sentence)
        assert "cannot be written" in sentence or "may not be written to" in sentence, (name, sentence)
        assert "\n" not in sentence


# -------------------------------------------------------------------------------------------------------- the memory
def taken_for_damage():
    try:
        bytearray(2**60)
    except MemoryError as error:
        raise DataError("a.png: is damaged; copy it again") from error


@pytest.mark.parametrize(
    "take",
    [
        lambda: np.empty(2**58, np.uint8),
        lambda: torch.empty(2**58),
        lambda: cv2.resize(np.zeros((2, 2), np.uint8), (2**31 - 1, 2**31 - 1)),
        lambda: mmap.mmap(-1, 2**58),
        taken_for_damage,
    ],
    ids=["numpy", "torch", "opencv", "system", "taken for damage"],
)
def test_a_lack_of_memory_is_one_sentence_whoever_notices_it(run, take):
    code, printed, said = run(main=lambda: program.run_program("program", lambda arguments: take))
    assert (code, printed) == (1, "")
    assert said.startswith("error: there is not enough memory; end other programs")
    assert "\n" not in said


def test_an_error_that_speaks_of_memory_for_another_reason_is_none():
    static = "libgomp.so.1: cannot allocate memory in static TLS block"
    noexec = "libopenvino.so: failed to map segment from shared object: Operation not permitted"
    assert not errors.is_out_of_memory(ImportError(static))
    assert not errors.is_out_of_memory(ImportError(noexec))
    assert errors.is_out_of_memory(ImportError("libopenvino.so: failed to map segment from shared object"))
    assert not errors.is_out_of_memory(BlockingIOError(11, "Resource temporarily unavailable"))
    assert not errors.is_out_of_memory(None)


# ----------------------------------------------------------------------------------------------------------- no home
def test_without_a_home_everything_works_and_it_is_said_once(odd_place, tmp_path):
    code = (
        "import os, sys\n"
        "import pwd; pwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid))\n"  # as for an unknown user
        "os.environ.pop('HOME', None); os.environ['XDG_CACHE_HOME'] = '/proc/none'\n"
        "import desert_seg_train.cli as cli; cli.main()"
    )
    arguments = list(map(str, commands(odd_place, tmp_path)["predict"]))
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "cannot be kept" in done.stderr
    assert len(list_images(tmp_path / "predict" / "raw")) == 2


def test_a_cache_folder_that_is_not_absolute_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.cache_folder("engines") == tmp_path / ".cache" / "desert_seg" / "engines"


# ------------------------------------------------------------------------------------------------------------ Ctrl-C
INTERRUPT = """
    import os, signal, sys
    from importlib import import_module
    event, text, module, *arguments = sys.argv[1:]
    left = [1]
    def hook(found, facts):
        if left and found == event and text in str(facts[0]):
            left.clear()
            os.kill(os.getpid(), signal.SIGINT)
    sys.argv = ["program", *arguments]
    main = import_module(module).main
    sys.addaudithook(hook)
    main()
    sys.exit("was not interrupted" if left else 0)
"""


def interrupted(event, text, program, *arguments):
    """What a program said that got Ctrl-C when it imported, or renamed, something of that name."""
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPT), event, text, PROGRAMS[program], *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1, done.stderr


@pytest.mark.parametrize(
    ("program", "imported", "arguments"),
    [
        ("desert-seg", "tyro", ["info", "light"]),
        ("desert-seg-replay", "rclpy", [ROOT / "sample_drive"]),
        ("desert-seg-benchmark", "rclpy", []),
        ("desert-seg-demo", "rclpy", []),
    ],
)
def test_ctrl_c_as_a_program_starts_is_no_traceback(program, imported, arguments):
    if imported == "rclpy":
        pytest.importorskip("rclpy")
    interrupted("import", imported, program, *arguments)


@pytest.mark.parametrize(("event", "text"), [("import", "numpy"), ("import", "openvino"), ("os.rename", "raw")])
def test_ctrl_c_in_a_command_is_no_traceback_and_leaves_nothing_half_written(odd_place, tmp_path, event, text):
    interrupted(event, text, "desert-seg", *commands(odd_place, tmp_path)["predict"])
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".partial")]


def test_frames_to_label_are_all_there_or_none_and_can_be_asked_for_again(odd_place, run, tmp_path):
    label = commands(odd_place, tmp_path)["label"]
    interrupted("os.rename", "frames", "desert-seg", *label)
    assert not list(tmp_path.glob("label*")) + list(tmp_path.glob(".label*"))
    assert run(*label)[0] == 0
    assert len(list((tmp_path / "label" / "frames").iterdir())) == 2


# ----------------------------------------------------------------------------------------------------- all programs
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_tells_its_version_and_imports_nothing_heavy_for_it(program):
    code = (
        f"import sys; sys.argv = ['program', '--version']; import {PROGRAMS[program]} as program; program.main()\n"
        "heavy = {'torch', 'numpy', 'cv2', 'rich', 'rclpy', 'tyro'} & sys.modules.keys(); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name, version = done.stdout.split()
    assert name == program
    assert version in (ROOT / "package.xml").read_text()


def test_an_output_that_takes_nothing_is_a_sentence(tmp_path):
    command = [sys.executable, "-m", "desert_seg_train.cli", "--version"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
