"""`desert-seg predict`: masks for images, folders, patterns and bags."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__Image as Image

from desert_seg.errors import DataError, EngineError
from desert_seg.images import read_image, read_mask, write_image
from desert_seg.recordings.bag import BagWriter
from desert_seg.recordings.drive import open_drive
from desert_seg.segmenter import Segmenter, SegmentOptions

pytest.importorskip("torch")

from desert_seg_train.predict.command import predict
from desert_seg_train.predict.config import PredictConfig
from desert_seg_train.predict.inputs import BagChunk, FileChunk, divided, find_bags, find_chunks, frame_names


@pytest.fixture
def images(tmp_path):
    """Five frames of two sizes."""
    rng = np.random.default_rng(0)
    for index in range(5):
        coarse = rng.integers(0, 256, (6, 8 + index % 2, 3), dtype=np.uint8)
        write_image(tmp_path / "in" / f"frame{index}.png", np.kron(coarse, np.ones((10, 10, 1), np.uint8)))
    return tmp_path / "in"


@pytest.fixture
def config(tiny_artifact, images, tmp_path):
    return PredictConfig(tiny_artifact.path, str(images), tmp_path / "out", tta="none")


def written(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_image_gets_the_mask_of_the_robot_at_its_own_size(config, images, tiny_artifact):
    predict(config)
    segmenter = Segmenter.load(tiny_artifact.path)
    for path in images.iterdir():
        rgb = read_image(path)
        raw = read_mask(config.output / "raw" / path.name)
        assert np.array_equal(raw, segmenter.segment(rgb).mask)
        assert np.array_equal(read_image(config.output / "color" / path.name), segmenter.labels.palette()[raw])


def test_overlay_and_confidence_come_when_asked_for(config, images, tiny_artifact):
    predict(replace(config, overlay=True, confidence=True))
    assert len(written(config.output)) == 4 * 5 + 1
    rgb = read_image(images / "frame0.png")
    result = Segmenter.load(tiny_artifact.path).segment(rgb, SegmentOptions(want_confidence=True))
    assert np.array_equal(read_mask(config.output / "confidence" / "frame0.png"), result.confidence)


def test_a_run_that_was_cut_off_does_only_what_is_missing(config, capsys):
    predict(config)
    kept = config.output / "raw" / "frame1.png"
    kept.write_bytes(b"kept")
    (config.output / "color" / "frame3.png").unlink()
    predict(config)
    assert "5 frames in" in (told := capsys.readouterr().out.splitlines()[-1])
    assert "4 of them there already" in told
    assert kept.read_bytes() == b"kept"
    assert (config.output / "color" / "frame3.png").is_file()


def test_an_image_that_was_replaced_under_its_name_is_done_anew_and_no_other(config, images, capsys):
    predict(config)
    write_image(images / "frame1.png", np.full((80, 60, 3), 90, np.uint8))
    (images / "frame2.png").unlink()
    write_image(images / "frame2.bmp", np.zeros((50, 60, 3), np.uint8))
    predict(config)
    assert "3 of them there already" in capsys.readouterr().out.splitlines()[-1]
    assert read_mask(config.output / "raw" / "frame1.png").shape == (80, 60)
    assert read_mask(config.output / "raw" / "frame2.png").shape == (50, 60)


def test_what_a_killed_run_wrote_is_known_by_the_files_it_was_going_to_predict(config, images, capsys):
    predict(config)
    record = config.output / "predictions.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"written": [], "finished": False}))
    write_image(images / "frame1.png", np.full((80, 60, 3), 90, np.uint8))
    predict(config)
    assert "4 of them there already" in capsys.readouterr().out.splitlines()[-1]
    assert read_mask(config.output / "raw" / "frame1.png").shape == (80, 60)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"written": []}))
    predict(replace(config, overwrite=True))
    assert "already" not in capsys.readouterr().out.splitlines()[-1]


def test_a_mask_that_no_run_recorded_is_not_taken_for_a_new_image_s(config, images):
    predict(config)
    write_image(images / "other.png", np.zeros((50, 60, 3), np.uint8))
    write_image(config.output / "raw" / "other.png", np.zeros((50, 60), np.uint8))
    with pytest.raises(DataError, match=r"found raw/other\.png, expected nothing there that this command"):
        predict(config)


def test_masks_of_a_bag_that_was_changed_are_not_taken_for_the_new_one_s(config, tmp_path):
    for frames in (2, 3):
        with BagWriter(tmp_path / "bag", overwrite=True) as bag:
            for frame in open_drive(config.input, limit=frames).frames():
                bag.write_message("/camera/image_raw/compressed", frame.stamp_ns, frame.image)
        other = replace(config, input=str(tmp_path / "bag"))
        if frames == 2:
            predict(other)
            predict(other)
    with pytest.raises(DataError, match=r"bag as it was before it was changed; .*--overwrite"):
        predict(other)


@pytest.mark.parametrize("wrong", [{"engine": "opnvino"}, {"precision": "int8"}], ids=str)
def test_an_engine_that_cannot_be_had_is_refused_before_anything_is_written_or_replaced(config, wrong):
    with pytest.raises(EngineError):
        predict(replace(config, **wrong))
    assert not config.output.exists()
    predict(config)
    before = written(config.output)
    with pytest.raises(EngineError):
        predict(replace(config, **wrong, overwrite=True))
    assert written(config.output) == before


@pytest.mark.parametrize(
    "change", [{"tta": "flip"}, {"speed": "fast"}, {"precision": "f32"}, {"input": "frame0.png"}], ids=str
)
def test_predictions_made_otherwise_are_not_mixed_but_can_be_replaced(config, images, change):
    predict(config)
    other = replace(config, **change)
    if "input" in change:
        other = replace(config, input=str(images / change["input"]))
    before = written(config.output)
    with pytest.raises(DataError, match=r"holds predictions with .* choose another --output, or replace them"):
        predict(other)
    assert written(config.output) == before
    predict(replace(other, overwrite=True))
    assert json.loads((config.output / "predictions.json").read_text())["finished"]


def test_a_corrupt_image_in_the_middle_is_recorded_and_the_rest_is_done(config, images):
    (images / "frame2.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1 of 5 frames failed, the others are done; .*frame2\.png"):
        predict(config)
    record = json.loads((config.output / "predictions.json").read_text())
    assert [failed["name"] for failed in record["failed"]] == ["frame2"]
    assert (record["frames"], record["finished"]) == (5, True)
    assert len(list((config.output / "raw").iterdir())) == 4


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is no regular file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
        (os.mkdir, "is no regular file"),
        (lambda path: write_image(path.with_name("n" * 251 + ".png"), np.zeros((40, 40, 3), np.uint8)), None),
        (lambda path: Path(os.fsdecode(bytes(path.parent) + b"/frame\xff.png")).write_bytes(b"no"), "found 2 bytes"),
    ],
    ids=["FIFO", "loop", "folder", "long", "no text"],
)
def test_a_file_that_cannot_be_read_is_listed_and_the_others_are_done(config, images, make, reason):
    make(images / "frame9.png")
    if reason:
        with pytest.raises(DataError, match=rf"1 of 6 frames failed, the others are done; .*{reason}"):
            predict(config)
    else:
        predict(config)
    record = json.loads((config.output / "predictions.json").read_text())
    assert (len(record["failed"]), len(record["written"])) == ((1, 5) if reason else (0, 6))


def test_a_pattern_that_finds_links_beside_their_targets_and_folders_in_circles_has_an_end(images):
    (images / "frame2_again.png").symlink_to(images / "frame2.png")
    (images / "sub").mkdir()
    for name in ("one", "two", ".hidden"):
        (images / "sub" / name).symlink_to(images)
    (images / ".git").mkdir()
    (images / ".git" / "a.png").touch()
    (images / "._frame1.png").touch()
    chunks = find_chunks(str(images / "**" / "*.png"), "")
    names = [name for chunk in chunks for name, _ in chunk.frames()]
    assert names == ["frame0", "frame1", "frame2", "frame2_again", "frame3", "frame4"]
    assert len(find_chunks(str(images / ".git" / "*.png"), "")) == 1


def test_frames_come_in_natural_order(tmp_path):
    for name in ("f10.png", "f9.png", "f1.png"):
        (tmp_path / name).touch()
    (chunk,) = find_chunks(str(tmp_path), "")
    assert [name for name, _ in chunk.frames()] == ["f1", "f9", "f10"]


def test_what_is_told_is_what_was_done_and_not_what_was_expected(config, images, monkeypatch, capsys):
    monkeypatch.setattr(FileChunk, "__len__", lambda self: 50)
    predict(config)
    assert "5 frames in" in capsys.readouterr().out.splitlines()[-1]
    assert json.loads((config.output / "predictions.json").read_text())["frames"] == 5


def test_one_image_a_pattern_and_a_dataset_folder_are_inputs_too(config, images, tmp_path):
    write_image(tmp_path / "data" / "Color_Images" / "a.png", read_image(images / "frame0.png"))
    for name, text, count in (
        ("one", images / "frame4.png", 1),
        ("pattern", images / "frame[0-2].png", 3),
        ("dataset", tmp_path / "data", 1),
    ):
        predict(replace(config, input=str(text), output=tmp_path / name))
        assert len(list((tmp_path / name / "raw").iterdir())) == count


def test_masks_among_images_are_told(images, caplog):
    assert len(find_chunks(str(images), "")[0]) == 5
    assert not caplog.text
    write_image(images / "frame0_mask.png", np.zeros((60, 80), np.uint8))
    find_chunks(str(images), "")
    assert "1 of 6 files are named like masks of the others (first: frame0_mask.png)" in caplog.text


def test_the_frames_of_a_bag_are_named_by_their_stamps(config, sample_drive):
    predict(replace(config, input=str(sample_drive)))
    names = sorted(path.stem for path in (config.output / "raw").iterdir())
    assert len(names) == 40
    assert all(len(name) == 19 for name in names)
    assert int(names[1]) - int(names[0]) == 100_000_000


def test_a_bag_can_be_done_in_parts(sample_drive):
    (chunk,) = find_chunks(str(sample_drive), "")
    whole = [name for name, _ in chunk.frames()]
    parts = [name for first in (0, 16, 32) for name, _ in replace(chunk, first=first, length=16).frames()]
    assert parts == whole
    name, read = next(iter(replace(chunk, first=7, length=1).frames()))
    assert name == whole[7]
    assert read().shape == (540, 960, 3)


def test_a_bag_is_one_chunk_whatever_it_counts_and_is_divided_only_for_workers(tmp_path, sample_drive):
    frame = next(open_drive(sample_drive).frames())
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(150):
            bag.write_message("/camera/image_raw/compressed", index, frame.with_stamp(10**18 + index).image)
    metadata = tmp_path / "bag" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 150", "message_count: 4000000000"))
    chunks = find_chunks(str(tmp_path / "bag"), "")
    assert len(chunks) == 1
    parts = pickle.loads(pickle.dumps(list(divided(chunks))))  # as they travel to workers
    assert [len(part) for part in parts] == [64, 64, 22]
    names = [name for name, _ in chunks[0].frames()]
    assert [name for part in parts for name, _ in part.frames()] == names
    assert len(set(names)) == 150
    for claimed in (0, 1, 149, 10**9):  # by a file that is damaged
        parts = list(divided([replace(chunks[0], declared=claimed)]))
        assert len(parts) <= 100
        assert [name for part in parts[:3] for name, _ in part.frames()] == names


@pytest.fixture
def archive(config, tmp_path):
    """Three bags of one to three frames, two of them of one name, and settings for all of them."""
    for num_frames, name in enumerate(("monday/run", "tuesday/run", "tuesday/walk"), 1):
        with BagWriter(tmp_path / "archive" / name) as bag:
            for frame in open_drive(config.input, limit=num_frames).frames():
                bag.write_message("/camera/image_raw/compressed", frame.stamp_ns, frame.image)
    return replace(config, input=str(tmp_path / "archive" / "*" / "*"), output=tmp_path / "masks")


def test_every_bag_of_an_archive_has_a_folder_as_if_it_were_predicted_alone(archive, tmp_path, capsys):
    predict(archive)
    assert f"6 frames of 3 bags in {archive.output}" in capsys.readouterr().out
    for name, num_frames in (("monday/run", 1), ("tuesday/run", 2), ("tuesday/walk", 3)):
        predict(replace(archive, input=str(tmp_path / "archive" / name), output=tmp_path / "alone" / name))
        assert len(written(archive.output / name / "raw")) == num_frames
    assert written(archive.output) == written(tmp_path / "alone")
    for name in written(archive.output):
        assert (archive.output / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_finished_bag_of_an_archive_is_not_read_again_and_a_missing_mask_is_done(archive, monkeypatch, capsys):
    predict(archive)
    with monkeypatch.context() as patch:
        patch.setattr(BagChunk, "frames", None)
        predict(archive)
    assert "6 frames of 3 bags" in (told := capsys.readouterr().out.splitlines()[-1])
    assert "6 of them there already" in told
    missing = min((archive.output / "tuesday/walk/raw").iterdir())
    missing.unlink()
    (missing.parent / ".1.2.partial").touch()  # of a worker that was killed
    predict(archive)
    assert "5 of them there already" in capsys.readouterr().out.splitlines()[-1]
    assert len(list(missing.parent.iterdir())) == 3


def test_a_bag_of_an_archive_that_cannot_be_read_is_reported_and_the_others_are_done(archive, tmp_path, capsys):
    (tmp_path / "archive/monday/run/run.mcap").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1 of 3 bags and 0 frames of the others failed, .* the rest is done"):
        predict(archive)
    told = capsys.readouterr().out
    assert "failed: monday/run: " in told
    assert "5 frames of 2 bags" in told


def test_frames_of_a_camera_that_does_not_scale_its_samples_are_told_once(config, tmp_path, capsys):
    gradient = np.linspace(0, 4095, 40 * 60).astype(np.uint16).reshape(40, 60)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "dim" / name, np.dstack([gradient] * 3))
    predict(replace(config, input=str(tmp_path / "dim"), output=tmp_path / "files"))
    assert "warning: 2 frames use fewer than 64 of the 256 levels of brightness (first: a)" in capsys.readouterr().out
    header = next(open_drive(config.input).frames()).image.header
    with BagWriter(tmp_path / "bags" / "one") as bag:
        data = gradient.reshape(-1).view(np.uint8)
        bag.write_message("/camera/image_raw", 1, Image(header, 40, 60, "mono16", 0, 120, data))
    predict(replace(config, input=str(tmp_path / "bags" / "*"), output=tmp_path / "masks"))
    assert "warning: one: 1 frame uses fewer" in capsys.readouterr().out


def test_an_archive_and_a_single_input_do_not_share_a_folder(archive, config):
    predict(config)
    with pytest.raises(DataError, match=r"holds predictions of a single input; choose another --output"):
        predict(replace(archive, output=config.output))


def test_a_pattern_matches_bags_or_images_and_a_bag_once(archive, tmp_path):
    assert list(find_bags(archive.input)) == ["monday/run", "tuesday/run", "tuesday/walk"]
    assert list(find_bags(str(tmp_path / "archive/**/*"))) == ["monday/run", "tuesday/run", "tuesday/walk"]
    assert list(find_bags(str(tmp_path / "archive/tuesday/*/*.mcap"))) == ["run/run.mcap", "walk/walk.mcap"]
    assert not find_bags(str(tmp_path / "in/*.png"))
    with pytest.raises(DataError, match=r"found bags and images, such as .*; give a pattern for each"):
        find_bags(str(tmp_path / "**/*"))


def test_frames_of_one_stamp_do_not_overwrite_each_other(config, images, tmp_path):
    frame = next(open_drive(images).frames())
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(3):
            bag.write_message("/camera/image_raw/compressed", index, frame.image)
    predict(replace(config, input=str(tmp_path / "bag")))
    names = sorted(path.stem for path in (config.output / "raw").iterdir())
    assert names == [str(frame.stamp_ns), f"{frame.stamp_ns}_2", f"{frame.stamp_ns}_3"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("nothing/*.png", "found no image at nothing/"), ("README.md", r"README\.md: found \d+ bytes without the header")],
)
def test_what_holds_no_image_is_refused(config, text, sentence):
    with pytest.raises(DataError, match=sentence):
        predict(replace(config, input=text))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", "x_jpg"]), st.sampled_from(["jpg", "png"])),
        unique=True,
    )
)
def test_no_two_files_get_one_name(files):
    paths = [Path("/data") / folder / f"{stem}.{suffix}" for folder, stem, suffix in files]
    names = frame_names(paths)
    assert len(set(names)) == len(paths)


def test_names_hold_no_slash_even_where_folders_differ_only_in_where_they_end():
    names = frame_names([Path("/a/b_c.png"), Path("/a_b/c.png"), Path("/a/b_c.jpg")])
    assert len(set(names)) == 3
    assert not any("/" in name for name in names)


def test_a_name_is_the_stem_where_that_is_enough():
    assert frame_names([Path("/d/a.jpg"), Path("/d/b.jpg"), Path("/d/b.png")]) == ["a", "b_jpg", "b_png"]


def test_the_command_says_where_the_masks_are(config, images):
    command = ["predict", "--model", config.model, "--input", images, "--output", config.output]
    done = subprocess.run(
        [sys.executable, "-m", "desert_seg_train.cli", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"5 frames in {config.output}: color, raw"
    assert json.loads((config.output / "predictions.json").read_text())["settings"]["tta"] == "full"


def test_info_says_what_a_model_is(tiny_artifact):
    command = [sys.executable, "-m", "desert_seg_train.cli", "info", str(tiny_artifact.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for expected in (
        f"tiny {tiny_artifact.digest[:12]}",
        "DeepLabV3Plus with timm-tf_efficientnet_lite0, 160x96",
        "Dry Bushes",
        "550, 800",
        "weights.safetensors",
        "engine auto: ",
    ):
        assert expected in done.stdout
