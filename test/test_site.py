"""From a recording of a place to a model that knows it, in one command that goes on where it ended."""

import contextlib
import io
import json
import os
import pty
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from labelled_folder import write_folder

pytest.importorskip("torch")
pytest.importorskip("jinja2")

from desert_seg.artifact import load_artifact
from desert_seg.errors import DataError, DesertSegError
from desert_seg.parity import MIN_AGREEMENT
from desert_seg_train.adapt.judgement import read_judgement
from desert_seg_train.label.labelme import checked_files
from desert_seg_train.site import correcting
from desert_seg_train.site.command import site
from desert_seg_train.site.config import SiteConfig


@pytest.fixture(autouse=True, scope="module")
def nobody_is_there():
    """No display and no terminal, and lines that are not broken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        patch.delenv("DISPLAY", raising=False)
        patch.delenv("WAYLAND_DISPLAY", raising=False)
        patch.setattr(sys, "stdin", io.StringIO())
        # Random weights have no classes to keep.
        patch.setattr("desert_seg_train.adapt.command.signs_of_collapse", lambda *_: [])
        for precision in MIN_AGREEMENT:  # nor scores that engines would agree about
            patch.setitem(MIN_AGREEMENT, precision, 0.9)
        yield


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("site_drive"), frames=4) / "Color_Images"


@pytest.fixture(scope="module")
def begun(tiny_artifact, drive, tmp_path_factory):
    """A site whose frames are chosen and wait for a person."""
    out = tmp_path_factory.mktemp("begun") / "quarry"
    config = SiteConfig((str(drive),), tiny_artifact.path, out, count=2, budget="1s")
    site(config)
    return config


@pytest.fixture(scope="module")
def taught(begun, tmp_path_factory):
    """The same site after a person has ticked the frames, and what the command then printed."""
    config = copied(begun, tmp_path_factory.mktemp("taught") / "quarry")
    for path in labelme_files(config):
        tick(path)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        site(config)
    return config, told.getvalue()


def copied(config, out):
    shutil.copytree(config.out, out, symlinks=True)
    return replace(config, out=out)


def labelme_files(config):
    return sorted((config.out / "label" / "frames").glob("*.json"))


def tick(path, ticked=True):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"flags": {"checked": ticked}}))


def test_without_a_terminal_it_stops_where_a_person_is_needed_and_again(begun, capsys):
    before = {path: path.read_bytes() for path in labelme_files(begun)}
    assert len(before) == 2
    site(begun)
    told = capsys.readouterr().out
    assert f"labelme {begun.out}/label/frames --labels {begun.out}/label/labels.txt" in told
    assert "stopped here, because no frame is ticked `checked`; tick those you have corrected, and the same" in told
    assert {path: path.read_bytes() for path in labelme_files(begun)} == before
    assert sorted(path.name for path in begun.out.iterdir()) == ["label", "site.json"]


def test_with_ticked_frames_it_goes_on_to_a_model_for_every_engine_and_a_page(taught, tiny_artifact):
    config, told = taught
    assert "learning from 2 labelled frames, 15 replayed: " in told
    assert "same class in the mirror" in told
    model = load_artifact(config.out / "model")
    assert model.digest != tiny_artifact.digest
    assert model.card.name.startswith("quarry_2_labels_")
    assert model.parity.num_images == 4
    assert f"python -m desert_seg_ros.swap_model /segment {model.path}" in told
    page = (config.out / "index.html").read_text()
    assert page.count("<figure>") == 4
    assert "labelled, cross-validated" in page
    assert "of the pixels changed" in page
    assert (config.out / "before_after.jpg").stat().st_size > 1000
    (run,) = (config.out / "runs").iterdir()
    assert [gain.num_frames for gain in read_judgement(run).gains] == [2, 5]
    assert len(list((run / "learned_from" / "Segmentation").iterdir())) == 2


def test_what_is_done_is_not_done_again_and_what_is_missing_is(taught, tmp_path, capsys):
    config = copied(taught[0], tmp_path / "quarry")
    (run,) = (config.out / "runs").iterdir()
    artifact, model = load_artifact(run / "artifact"), load_artifact(config.out / "model")
    (config.out / "model" / "artifact.json").write_text("{}")
    (config.out / "index.html").unlink()
    site(config)
    told = capsys.readouterr().out
    assert "learning" not in told
    assert "against float32 in eager torch" in told
    assert load_artifact(run / "artifact").digest == artifact.digest
    assert load_artifact(config.out / "model").card.provenance["model"] == model.card.provenance["model"]
    assert (config.out / "index.html").exists()


def test_other_labels_are_learned_in_a_run_of_their_own(taught, tmp_path):
    config = copied(taught[0], tmp_path / "quarry")
    tick(labelme_files(config)[0], False)
    site(config)
    assert sorted(path.name[:15] for path in (config.out / "runs").iterdir()) == ["quarry_1_labels", "quarry_2_labels"]
    assert load_artifact(config.out / "model").card.name.startswith("quarry_1_labels_")
    assert "the gain is not known" in (config.out / "index.html").read_text()


def test_another_recording_or_model_never_goes_on_in_the_folder(begun, tmp_path):
    with pytest.raises(DataError, match=r"quarry: found inputs .*, expected .*site_drive.*; choose another --out"):
        site(replace(begun, inputs=(str(tmp_path),)))
    with pytest.raises(DataError, match=r"found count 9, expected 2, with which it was begun; choose another --out"):
        site(replace(begun, count=9))


def test_a_node_that_is_not_there_is_said_after_everything_else_is_done(taught, tmp_path, monkeypatch):
    config, _ = taught
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@" > "$0.called"\necho "error: found no node" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(DesertSegError, match=r"model is ready, but found no node"):
        site(replace(config, node="/segment"))
    called = program.with_name("python.called").read_text().split()
    assert called == ["-m", "desert_seg_ros.swap_model", "/segment", str(config.out / "model")]


def test_without_labels_it_learns_from_the_recording_alone_and_begins_again_after_an_interruption(
    begun, tmp_path, monkeypatch, capsys
):
    config = replace(begun, out=tmp_path / "pit", labels="none")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("desert_seg_train.adapt.command.save_network", interrupt)
        with pytest.raises(KeyboardInterrupt):
            site(config)
    (run,) = (tmp_path / "pit" / "runs").iterdir()
    assert not (run / "artifact").exists()
    site(config)
    assert (run / "artifact").exists()
    assert "learning from 4 frames without labels, 15 replayed" in capsys.readouterr().out
    assert not (tmp_path / "pit" / "label").exists()
    assert load_artifact(tmp_path / "pit" / "model").card.name.startswith("pit_without_labels_")


def test_labelme_is_opened_where_there_is_a_display_and_waited_for(begun, tmp_path, monkeypatch):
    """With a program of that name which ticks every frame, as a person would."""
    config = copied(begun, tmp_path / "pit")
    program = tmp_path / "bin" / "labelme"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nsed -i \'s/"checked": false/"checked": true/\' "$1"/*.json\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("DISPLAY", ":0")
    folder, console = config.out / "label", correcting.Console()
    labels = load_artifact(config.model).card.label_map.labels
    assert checked_files(folder / "frames", labels) == []
    assert correcting.have_corrected(folder, console)
    assert len(checked_files(folder / "frames", labels)) == 2
    program.write_text("#!/bin/sh\necho no plugin >&2\nexit 3\n")
    with pytest.raises(DesertSegError, match=r"labelme failed \(no plugin\); mend it, or take it off the PATH"):
        correcting.have_corrected(folder, console)


def test_on_a_terminal_it_waits_for_enter(begun, monkeypatch):
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setenv("PATH", "")
        os.write(keyboard, b"\n")
        assert correcting.have_corrected(begun.out / "label", correcting.Console(force_terminal=True))
    os.close(keyboard)


def test_an_unreadable_frame_is_left_out_and_said(begun, drive, tmp_path, capsys):
    for path in drive.iterdir():
        (tmp_path / "in" / path.name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "s00.png").write_bytes(b"nothing")
    site(replace(begun, inputs=(str(tmp_path / "in"),), out=tmp_path / "pit"))
    told = capsys.readouterr().out
    assert "warning: 1 of 4 frames could not be read, the others are done; the first: " in told
    assert len(labelme_files(replace(begun, out=tmp_path / "pit"))) == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": ()}, "found no recording, expected a bag or a folder of images"),
        ({"inputs": ("nowhere",)}, "found no image at nowhere"),
        ({"count": 0}, "found 0 for count, expected 1 or more"),
        ({"budget": "soon"}, "found budget 'soon', expected a time"),
    ],
)
def test_a_mistake_is_answered_before_anything_is_written(begun, tmp_path, changes, sentence):
    with pytest.raises(DataError, match=sentence):
        site(replace(begun, out=tmp_path / "pit", **changes))
    assert not (tmp_path / "pit").exists()


def test_files_of_somebody_else_are_never_written_over(begun, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(DataError, match=r"found index\.html, expected nothing there that this command has not written"):
        site(replace(begun, out=tmp_path))
    assert (tmp_path / "index.html").read_text() == "mine"


def test_a_changed_pixel_has_the_colour_of_its_new_class():
    from desert_seg.labels import load_label_map
    from desert_seg.painter import Painter
    from desert_seg_train.site.pictures import compare

    labels = load_label_map("falcon7").labels
    before, after = np.zeros((96, 480), np.uint8), np.zeros((96, 480), np.uint8)
    after[:24] = 3
    shown = compare("a", np.full((96, 480, 3), 100, np.uint8), before, after, Painter(labels))
    assert shown.share_changed == 0.25
    assert shown.changed[0, 0].tolist() == list(labels.colors[3])
    assert shown.changed[50, 0].tolist() == [178] * 3
