"""Without room on the disk, or memory, a command ends by itself, in a sentence; what was there before is whole."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("torch")
pytest.importorskip("rich")

from commands import ROS_PROGRAMS, WarmProcess, make_cases

NAMES = ("train", "adapt", "site", "export", "calibrate", "predict", "label", "read-labels", "benchmark", "evaluate")
NAMES += ("profile", "info", "inspect", "consumers", "view", "synth", "synth --bag", *ROS_PROGRAMS)
DISK_MB = 900
MEMORY_MB = (1, 16, 64, 256)
WRITES_NOTHING = ("info",)


@pytest.fixture(scope="module")
def warm():
    process = WarmProcess()
    yield process
    process.close()


@pytest.fixture(scope="module")
def cases(warm, tiny_artifact, tmp_path_factory):
    return make_cases(warm, tmp_path_factory.mktemp("scarce"), tiny_artifact.path)


def content(folder):
    """All files but logs, which are begun anew."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"}


def half_written(folder):
    return [path for path in folder.rglob("*") if path.suffix == ".partial"]


def sentence(log):
    """The one sentence with which it ended."""
    said = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
    assert len(said) == 1, log.read_text()
    return said[0]


def done_once(warm, case, name, tmp_path, log):
    """What the command makes where nothing is scarce; skips what this machine cannot do at all."""
    whole = tmp_path / "whole" / name.split()[0]
    whole.parent.mkdir()
    case.before(whole, whole)
    code, _ = warm.run(case.command(whole), log)
    if code and ("EGL" in log.read_text() or "pip install" in log.read_text()):
        pytest.skip("this machine cannot do that")
    assert code == 0, log.read_text()
    return whole


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_without_room_on_the_disk_a_command_ends_in_a_sentence(warm, cases, tmp_path, name, record_property):
    if not warm.may_mount:
        pytest.skip("this user may not mount a small disk")
    case, log, inside = cases[name], tmp_path / "log", tmp_path / "disk"
    inside.mkdir()
    disk = warm.root / inside.relative_to("/")
    whole, runs = done_once(warm, case, name, tmp_path, log), 0
    for how in ("full", "read-only"):
        for place in ("earlier", "new"):
            warm.run(["--version"], log, shell=f"mount -t tmpfs -o size={DISK_MB}m tmpfs {inside}")
            out = disk / place / whole.name
            out.parent.mkdir()
            if place == "earlier" and whole.exists():
                shutil.copytree(whole, out)
            else:
                case.before(out, whole)
            before = content(disk)
            (disk / "filler").write_text("a size of 0 would be no limit")
            used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*"))
            shell = f"mount -o remount,size={used} {inside}" if how == "full" else f"mount -o remount,ro {inside}"
            code, _ = warm.run(case.command(inside / place / whole.name), log, shell=shell)
            found = (name, how, place, code, log.read_text())
            # Where everything is there already, some have nothing left to write.
            if name not in WRITES_NOTHING and (code != 0 or place == "new"):
                assert code == 1, found
                assert str(inside) in sentence(log) or place == "earlier", found
                after = content(disk)
                assert {path: after.get(path) for path in before} == before, found
            else:
                assert code == 0, found
            assert not half_written(disk), found
            warm.run(["--version"], log, shell=f"umount {inside}")
            runs += 1
    record_property("refusals of the disk", runs)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_without_memory_a_command_ends_in_a_sentence(warm, cases, tmp_path, name, record_property):
    case, log, aborted = cases[name], tmp_path / "log", 0
    whole = done_once(warm, case, name, tmp_path, log)
    expected = case.result(whole)
    for memory_mb in MEMORY_MB:
        out = tmp_path / str(memory_mb) / whole.name
        out.parent.mkdir()
        case.before(out, whole)
        code, _ = warm.run(case.command(out), log, memory_mb=memory_mb)
        found = (name, memory_mb, code, log.read_text())
        if code == 0:
            assert case.result(out) == expected, found
        elif code == 1:
            # Mesa only says that it does not start.
            assert "memory" in sentence(log) or (name.startswith("synth") and "OpenGL" in sentence(log)), found
            assert not half_written(out.parent), found
        else:
            assert code < 0, found  # a library that does not let us say anything: see docs/reliability.md
            aborted += 1
        case.check(out)
        if not case.is_done(out):
            code, _ = warm.run(case.command(out), log)
            assert code == 0, (*found, log.read_text())
        assert case.result(out) == expected, found
    record_property("memory limits", len(MEMORY_MB))
    record_property("aborts by a library", aborted)
