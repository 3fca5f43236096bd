"""`desert-seg view`: what is in a saved recording, and that neither it nor the viewer reports anything."""

import json
import re
import resource
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from conftest import ROOT

from desert_seg.errors import DataError, DesertSegError, OutputError
from desert_seg_train.view.command import view
from desert_seg_train.view.config import ViewConfig
from desert_seg_train.view.output import to_file, viewer_of
from desert_seg_train.view.rerun_quiet import load_rerun, quiet_environment, viewer_program
from desert_seg_train.view.scene import layout

pytest.importorskip("rerun")

PICTURES = ["image", "overlay", "mask", "confidence", "unknown"]
CURVES = ["latency_ms/resize", "latency_ms/inference", "latency_ms/decode", "latency_ms/total", "share/unknown"]
TRUTH = ["truth", "errors", "share/wrong"]
KEY = "classes"


def entities(path, home):
    """How often each entity of a recording was logged at some time; its program says whether the file is whole."""
    home.mkdir()
    environment = quiet_environment(home)
    command = [str(viewer_program()), "rrd"]
    subprocess.run([*command, "verify", str(path)], env=environment, check=True, capture_output=True)
    print_it = [*command, "print", "-v", str(path)]
    text = subprocess.run(print_it, env=environment, check=True, capture_output=True, text=True).stdout
    counts = {}
    for rows, name, columns in re.findall(r"with (\d+) rows .*? - /(\S+) - (.*)", text):
        if not re.search("AnnotationContext|SeriesLines", columns) and not name.startswith("__"):
            counts[name] = counts.get(name, 0) + int(rows)
    return counts


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder, and no display."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return path


def test_a_drive_with_truth_is_saved_with_all_pictures_curves_and_errors(tmp_path, home, tiny_artifact, capsys):
    path = tmp_path / "out" / "drive.rrd"
    view(ViewConfig(ROOT / "sample_drive", tiny_artifact.path, save=path, limit=2))
    found = entities(path, tmp_path / "viewer")
    assert {name: found[name] for name in (*PICTURES, *CURVES, *TRUTH)} == dict.fromkeys(
        (*PICTURES, *CURVES, *TRUTH), 2
    )
    assert KEY in found
    assert f"2 frames in {path}; open it: desert-seg view {path}" in capsys.readouterr().out.replace("\n", "")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert not any("rerun" in str(each) for each in home.rglob("*"))


def test_images_without_truth_have_no_errors_and_a_broken_one_is_told_at_the_end(tmp_path, home, tiny_artifact):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "c.png"):
        cv2.imwrite(str(images / name), np.full((48, 64, 3), 90, np.uint8))
    (images / "b.png").write_bytes(b"no image")
    path = tmp_path / "images.rrd"
    with pytest.raises(DataError, match="1 message could not be read and was left out"):
        view(ViewConfig(images, tiny_artifact.path, save=path))
    found = entities(path, tmp_path / "viewer")
    assert found["image"] == found["share/unknown"] == 2
    assert not {*TRUTH} & found.keys()


def test_where_no_frame_can_be_read_nothing_is_saved(tmp_path, home, tiny_artifact):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(DesertSegError):
        view(ViewConfig(tmp_path / "images", tiny_artifact.path, save=tmp_path / "out.rrd"))
    assert not (tmp_path / "out.rrd").exists()


@pytest.mark.parametrize("has_truth", [True, False])
def test_everything_that_is_logged_is_in_the_window_and_the_viewers_own_panels_are_closed(has_truth):
    window = layout(load_rerun(), 7, has_truth)
    pictures, curves = window.root_container.contents
    shown = [f"{view.origin}".strip("/") for view in (*pictures.contents, *curves.contents)]
    logged = {name.split("/")[0] for name in (*PICTURES, *CURVES, *(TRUTH if has_truth else ())) if name}
    assert sorted(shown) == sorted({*logged, KEY})
    assert window.collapse_panels


def test_without_a_display_saving_is_offered(home):
    with pytest.raises(DesertSegError, match=r"found no display .* add --save FILE\.rrd"):
        view(ViewConfig(ROOT / "sample_drive"))


def test_a_disk_that_is_full_is_said_and_what_was_saved_before_stays(tmp_path):
    path = tmp_path / "drive.rrd"
    path.write_text("earlier")
    rerun = load_rerun()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        recording = rerun.RecordingStream("test")
        with (
            pytest.raises(OutputError, match=r"drive\.rrd: cannot be written \(File too large\); raise the limit"),
            to_file(recording, path),
        ):
            recording.log("noise", rerun.Image(noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("drive.rrd", "earlier")]


def test_the_viewer_is_told_to_report_nothing_and_leaves_nothing_in_the_home_folder(tmp_path, home):
    told = subprocess.run(
        [str(viewer_program()), "analytics", "config"],
        env=quiet_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout)["analytics_enabled"] is False
    shutil.rmtree(home / "rerun")
    assert not list(home.iterdir())
    # A viewer that saves what it receives opens no window.
    rerun = load_rerun()
    recording = rerun.RecordingStream("test")
    with viewer_of(recording, "--save", str(tmp_path / "received.rrd")) as process:
        recording.log("curve", rerun.Scalars(1.0))
        recording.flush()
        recording.disconnect()
        process.terminate()
    assert not list(home.iterdir())
