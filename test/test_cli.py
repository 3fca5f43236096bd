"""The command line `desert-seg`: help, settings from YAML, and what is said about mistakes."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import pytest
from conftest import ROOT

from desert_seg.errors import ArtifactError, DataError
from desert_seg.program import installed_version
from desert_seg.share import share_directory
from desert_seg_train.cli import COMMANDS, GROUPS, config_of, parse, prepare
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.yaml_config import read_yaml_config


def run(*arguments):
    command = [sys.executable, "-m", "desert_seg_train.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_imports_nothing_heavy(arguments):
    code = (
        f"import sys, desert_seg_train.cli as cli; sys.argv = ['desert-seg', *{arguments}, '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'openvino', 'matplotlib', 'jinja2', 'ray', 'rclpy', 'rich.progress'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"]], ids=str)
def test_without_a_command_all_of_them_are_shown_in_groups_as_wide_as_the_terminal(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    prepare(arguments)()
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    groups = {block.splitlines()[0]: block for block in shown.split("\n\n")}
    assert len(GROUPS) == 4
    for group, names in GROUPS.items():
        assert re.findall(r"^  (\S+) +[A-Z]", groups[group], re.MULTILINE)[: len(names)] == list(names)
    assert {"demo", "replay"} <= set(groups["Use a model"].split())


def on_a_terminal(code, columns=80):
    """What a Python program shows on a terminal of its own, without colours."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=its, stdout=its, stderr=its, env={**environment, "TERM": "xterm"}
    )
    os.close(its)
    shown = b""
    with suppress(OSError):  # at its end
        while chunk := os.read(ours, 2**16):
            shown += chunk
    os.close(ours)
    process.wait()
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()


def test_every_help_text_has_lines_of_whole_words_on_a_narrow_terminal():
    code = (
        "from desert_seg_train.cli import COMMANDS, parse\n"
        "for name in COMMANDS:\n"
        "    try: parse([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "from desert_seg_ros import demo, replay\n"
        "from desert_seg_ros.bag_benchmark import options\n"
        "from desert_seg_ros.start import USAGE\n"
        "for module in (demo, replay, options): module.make_parser().print_help()\n"
        "print(USAGE)"
    )
    lines = on_a_terminal(code)
    assert not [line for line in lines if len(line) > 80]
    assert sum(line.startswith("usage: ") for line in lines) == len(COMMANDS) + 4
    assert "Look at a recording and at what a model makes of it, in the Rerun viewer; or" in lines
    assert any(line.startswith("╭─ options ─") for line in lines)


def test_an_error_has_lines_of_whole_words_on_a_narrow_terminal():
    lines = on_a_terminal("from desert_seg.program import fail\nfail('a word ' * 20 + '`and a command`')", columns=40)
    assert lines[0] == "error: a word a word a word a word a"
    assert max(map(len, lines)) <= 40
    assert lines[-1].endswith("`and a command`")


@pytest.mark.parametrize(("typed", "cure"), [("trian", "write `desert-seg train`"), ("xyz", "`desert-seg` alone says")])
def test_a_command_that_does_not_exist_is_answered_with_the_nearest(typed, cure, capsys):
    with pytest.raises(SystemExit, match="2"):
        prepare([typed, "--help"])
    assert re.match(f"error: found the command '{typed}', expected one of: synth, .*; {cure}", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("desert_seg_train.cli", "desert-seg"),
        ("desert_seg_ros.demo", "desert-seg-demo"),
        ("desert_seg_ros.replay", "desert-seg-replay"),
        ("desert_seg_ros.bag_benchmark.command", "desert-seg-benchmark"),
        ("desert_seg_ros.start", "segment_node"),
    ],
)
def test_every_program_tells_its_version(module, name):
    command = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{name} {installed_version()}\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"), [(["doc"], {"doctor"}), (["evaluate", "--mod"], {"--model"}), ([""], {*COMMANDS})]
)
def test_bash_completes_commands_and_options(typed, offered, completion):
    words = ["desert-seg", *typed]
    code = f"""source {completion}
    COMP_WORDS=({" ".join(f"'{word}'" for word in words)}) COMP_CWORD={len(typed)}
    COMP_LINE="{" ".join(words)}" COMP_POINT={len(" ".join(words))}
    $(complete -p desert-seg | sed 's/.*-F \\([^ ]*\\).*/\\1/') desert-seg
    printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert offered <= {line.strip() for line in done.stdout.splitlines()}, done.stderr


@pytest.fixture(scope="module")
def completion(tmp_path_factory):
    """The script that the command prints for bash."""
    path = tmp_path_factory.mktemp("completion") / "desert-seg"
    path.write_text(run("--tyro-print-completion", "bash").stdout)
    return path


def test_an_option_that_does_not_exist_is_answered_with_the_nearest(tmp_path):
    done = run("evaluate", "--modle", tmp_path, "--data", tmp_path)
    assert done.returncode == 2
    assert "--model" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["adapt", "light", "--frames", "frames", "--out", "out"],
        ["benchmark", "--model", "light", "--data", "data"],
        ["calibrate", "--model", "light", "--data", "data"],
        ["consumers", "light"],
        ["evaluate", "--model", "light", "--data", "data"],
        ["export", "--model", "light", "--out", "out"],
        ["info", "light"],
        ["label", "drive", "--model", "light", "--out", "out"],
        ["predict", "--model", "light", "--input", "images", "--output", "out"],
        ["profile", "light"],
        ["read-labels", "folder", "--model", "light", "--out", "out"],
        ["site", "drive", "--model", "light"],
        ["view", "drive", "--model", "light"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_command_finds_a_shipped_model_by_name(arguments):
    _, config = parse(arguments)
    assert config.model == share_directory() / "models" / "light"
    with pytest.raises(ArtifactError, match=r"there is no shipped model 'heavy'; give .* one of: light"):
        parse(["heavy" if argument == "light" else argument for argument in arguments])


def test_the_commands_that_take_a_model_are_those_that_are_tested_to_find_one():
    takes = {name for name in COMMANDS if "model" in {item.name for item in fields(config_of(name))}}
    marks = test_every_command_finds_a_shipped_model_by_name.pytestmark
    assert takes == {arguments[0] for arguments in marks[0].args[1]}


# ---------------------------------------------------------------------------------------------------- YAML
@dataclass(frozen=True)
class Inner:
    """Nested."""

    rate: float = 0.1
    names: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outer:
    """Everything that a setting can be."""

    needed: int
    kind: Literal["a", "b"] = "a"
    path: Path | None = None
    size: tuple[int, int] = (1, 2)
    sources: tuple[tuple[Path, str, float], ...] = ()
    inner: Inner = field(default_factory=Inner)


def read(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return read_yaml_config(Outer, path)


def test_settings_become_what_the_fields_declare(tmp_path):
    text = "{needed: 3, kind: b, path: x/y, size: [3, 4], sources: [[p, m, 1]], inner: {rate: 1e-3, names: {Rocks: 5}}}"
    assert read(tmp_path, text) == Outer(
        3, "b", Path("x/y"), (3, 4), ((Path("p"), "m", 1.0),), Inner(0.001, {"Rocks": 5.0})
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("needed: 3\nknid: a", "there is no setting knid; did you mean kind?"),
        ("needed: 3\ninner: {raet: 1}", r"there is no setting inner\.raet; did you mean inner\.rate\?"),
        ("needed: three", "found 'three' for needed, expected a whole number"),
        ("needed: true", "found True for needed, expected a whole number"),
        ("{needed: 3, kind: c}", "found 'c' for kind, expected one of: a, b"),
        ("{needed: 3, size: [1, 2, 3]}", r"found \[1, 2, 3\] for size, expected a list"),
        ("{needed: 3, inner: {rate: fast}}", r"found 'fast' for inner\.rate, expected a finite number"),
        ("{needed: 3, inner: {rate: .inf}}", r"found inf for inner\.rate, expected a finite number"),
        ("{needed: 3, inner: {names: {Rocks: nan}}}", r"found 'nan' for inner\.names\.Rocks, expected a finite number"),
        ("[1, 2]", r"found \[1, 2\] for the file, expected keys and values"),
        ("needed: [", "not readable as YAML"),
    ],
)
def test_a_mistake_in_a_file_is_answered_with_its_place_and_what_is_valid(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, text)


def test_options_override_the_file_and_what_it_leaves_out_is_asked_for(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("epochs: 7\nseed: 5\noptimizer: {ema_decay: 0.5}\n")
    name, config = parse(
        ["train", "--config", str(path), "--seed", "6", "--sources", "a", "falcon7", "1", "--out", "b"]
    )
    assert name == "train"
    assert (config.epochs, config.seed, config.optimizer.ema_decay) == (7, 6, 0.5)
    done = run("train", f"--config={path}", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "--sources" in done.stderr


def test_a_file_that_is_not_there_ends_with_one_line():
    done = run("train", "--config", "nowhere.yaml")
    assert (done.returncode, done.stderr) == (
        1,
        "error: nowhere.yaml: cannot be read (No such file or directory); check the path\n",
    )


@pytest.mark.parametrize("name", ["light", "reference", "reference_robust", "dinov2_small", "smoke"])
def test_the_shipped_settings_are_valid(name):
    assert read_yaml_config(TrainConfig, ROOT / "config" / f"{name}.yaml").epochs > 0


def test_the_reference_settings_are_the_reference_recipe():
    config = read_yaml_config(TrainConfig, ROOT / "config" / "reference.yaml")
    rates = (config.optimizer.encoder_rate, config.optimizer.decoder_rate, config.optimizer.head_rate)
    assert (config.network.architecture, config.network.encoder) == ("DeepLabV3Plus", "resnet101")
    assert (config.input_size, config.epochs, config.batch_size) == ((512, 896), 60, 4)
    assert (config.sampling.height, config.sampling.width) == (512, 896)
    assert rates == (3e-5, 1e-4, 3e-4)
    assert config.optimizer.freeze_encoder_epochs == 5
    assert config.loss.class_weights == {"Rocks": 5.0}
