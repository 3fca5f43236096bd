"""What a command did not write is neither replaced nor removed by it, whatever it is called and wherever links lead."""

import json
from dataclasses import replace

import numpy as np
import pytest

from desert_seg.consumers import write_consumers
from desert_seg.errors import DataError
from desert_seg.images import write_image
from desert_seg_train.written import files_under, read_record, refuse_foreign, remove_written, write_record

pytest.importorskip("torch")

from labelled_folder import write_folder

from desert_seg_train.adapt.command import adapt
from desert_seg_train.adapt.config import AdaptConfig
from desert_seg_train.adapt.place_frames import LESSONS
from desert_seg_train.inspect.command import inspect
from desert_seg_train.inspect.config import InspectConfig
from desert_seg_train.label.command import label
from desert_seg_train.label.config import LabelConfig
from desert_seg_train.predict.command import predict
from desert_seg_train.predict.config import PredictConfig


def content(root):
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


# ------------------------------------------------------------------------------------------- the record
def test_only_what_is_recorded_is_removed_and_folders_that_are_empty_then(tmp_path):
    for name in ("a/b/mine.txt", "a/b/theirs.txt", "c/mine.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    write_record(tmp_path, ["c/mine.txt", "a/b/theirs.txt"])
    remove_written(tmp_path, read_record(tmp_path))
    assert files_under(tmp_path, ["a", "c"]) == ["a/b/mine.txt"]
    assert not (tmp_path / "c").exists()


def test_a_record_never_leads_out_of_its_folder(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    remove_written(tmp_path / "root", ["", "link/file", "../outside/file", str(tmp_path / "outside" / "file")])
    assert (tmp_path / "outside" / "file").exists()


@pytest.mark.parametrize("text", ["", "{}", "nonsense", "[1, null]"])
def test_a_damaged_record_records_nothing(tmp_path, text):
    (tmp_path / ".written.json").write_text(text)
    assert read_record(tmp_path) == frozenset()


def test_links_and_empty_folders_are_somebody_elses(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found empty, expected nothing there"):
        refuse_foreign(tmp_path, ["empty"], (), "--out")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="link: is a link, expected a folder or a file"):
        refuse_foreign(tmp_path, ["link"], (), "--out")


# ------------------------------------------------------------------------------------------- predict
@pytest.fixture
def config(tiny_artifact, tmp_path):
    for index in range(2):
        write_image(tmp_path / "in" / f"f{index}.png", np.full((64, 64, 3), 60 * index, np.uint8))
    return PredictConfig(tiny_artifact.path, str(tmp_path / "in"), tmp_path / "out", tta="none")


def refused(config, sentence):
    """Predicting ends with the sentence and changes nothing."""
    root = config.output.parent
    before = content(root)
    with pytest.raises(DataError, match=sentence):
        predict(config)
    assert content(root) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_images_in_the_output_folder_are_not_replaced_by_their_masks(config, tmp_path, overwrite):
    (tmp_path / "out").mkdir()
    (tmp_path / "in").rename(tmp_path / "out" / "raw")
    config = replace(config, input=str(tmp_path / "out" / "raw"), overwrite=overwrite)
    refused(config, r"found the input .*f0\.png in the output folder")
    (tmp_path / "in").symlink_to(tmp_path / "out" / "raw")
    refused(replace(config, input=str(tmp_path / "in")), r"found the input .*f0\.png in the output folder")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_ours_by_its_record_and_not_by_its_name(config, overwrite):
    (config.output / "color").mkdir(parents=True)
    (config.output / "color" / "holiday.png").write_text("mine")
    refused(replace(config, overwrite=overwrite), r"out: found color/holiday\.png, expected nothing there")


def test_overwriting_removes_what_was_written_and_refuses_where_there_is_more(config):
    predict(config)
    other = replace(config, tta="flip", overwrite=True)
    notes = config.output / "raw" / "notes.txt"
    notes.write_text("mine")
    refused(other, r"out: found raw/notes\.txt, expected nothing there")
    notes.rename(config.output / "notes.txt")
    predict(replace(other, input=str(config.output.parent / "in" / "f1.png")))
    assert sorted(content(config.output)) == [
        "color",
        "color/f1.png",
        "notes.txt",
        "predictions.json",
        "raw",
        "raw/f1.png",
    ]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_in_the_output_that_leads_out_of_it_is_not_followed(config, tmp_path, overwrite):
    predict(config)
    (config.output / "raw").rename(tmp_path / "elsewhere")
    (config.output / "raw").symlink_to(tmp_path / "elsewhere")
    refused(replace(config, overwrite=overwrite), "out/raw: is a link, expected a folder or a file")


def test_frames_of_a_run_that_was_cut_off_are_in_its_record(config, monkeypatch):
    def interrupted(self, chunk, output):
        yield from original(self, chunk, output)
        raise KeyboardInterrupt

    from desert_seg_train.predict.worker import Worker

    original = Worker.do
    monkeypatch.setattr(Worker, "do", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(config)
    record = json.loads((config.output / "predictions.json").read_text())
    assert (record["finished"], record["written"]) == (False, ["f0", "f1"])
    monkeypatch.undo()
    predict(replace(config, tta="flip", overwrite=True))


def test_an_output_that_cannot_be_written_ends_with_one_sentence(config):
    config.output.write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        predict(config)
    assert config.output.read_text() == "a file"


# ------------------------------------------------------------------------------------------- the other commands
def test_inspect_replaces_its_own_page_and_nobody_elses(tmp_path):
    data, out = write_folder(tmp_path / "data", frames=2), tmp_path / "out"
    for _ in range(2):
        inspect(InspectConfig(data, "falcon10", out=out))
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    with pytest.raises(DataError, match=r"site: found index\.html, expected nothing there"):
        inspect(InspectConfig(data, "falcon10", out=site))
    assert content(site) == {"index.html": b"mine"}


def test_label_leaves_files_of_its_names_alone(tmp_path, tiny_artifact):
    (tmp_path / "labels.txt").write_text("mine")
    with pytest.raises(DataError, match=r"found labels\.txt, expected nothing there"):
        label(LabelConfig(("nowhere",), tiny_artifact.path, tmp_path))


def test_adapt_removes_only_links_of_its_own(tmp_path, tiny_artifact):
    site, notes = write_folder(tmp_path / "site", frames=3), tmp_path / "run" / LESSONS / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    with pytest.raises(DataError, match=rf"found {LESSONS}/notes\.txt, expected nothing there"):
        adapt(AdaptConfig(tiny_artifact.path, tmp_path / "run", site, budget="2s"))
    assert notes.read_text() == "mine"


def test_consumers_leaves_a_file_with_other_content_alone(tmp_path, tiny_artifact):
    for _ in range(2):
        write_consumers(str(tiny_artifact.path), tmp_path)
    before = content(tmp_path)
    (tmp_path / "nvblox.yaml").write_text("mine")
    with pytest.raises(DataError, match=r"nvblox\.yaml: found a file with other content; move it away"):
        write_consumers(str(tiny_artifact.path), tmp_path)
    assert content(tmp_path) == before | {"nvblox.yaml": b"mine"}
