"""Rendered deserts: the same bytes from the same seed, labels that fit the picture, and worlds that are refused."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from desert_seg.errors import DataError, DesertSegError
from desert_seg.images import read_image, read_mask
from desert_seg_train.synth.config import SynthConfig

pytest.importorskip("moderngl", reason="the renderer's package moderngl is not installed")

from desert_seg_train.synth import gl
from desert_seg_train.synth.camera import Camera, Stance, vehicle_pose
from desert_seg_train.synth.dataset import Rendered, render
from desert_seg_train.synth.randomise import draw_world
from desert_seg_train.synth.renderer import Renderer
from desert_seg_train.synth.rocks import Geology, Rock
from desert_seg_train.synth.scene import Scene
from desert_seg_train.synth.worlds import LABELS, Layer, dump_world, load_world, shipped_worlds
from experiments.ground import Options, distances

SIZE = {"width": 240, "height": 135}
NUM_FRAMES = 7  # two scenes
SKY, ROCKS = LABELS.labels.index("Sky"), LABELS.labels.index("Rocks")

REAL_SHARES = {  # percent of the pixels of the two deserts, shared/design/evaluation.md
    "mojave": {"Trees": 4.07, "Lush Bushes": 6.02, "Dry Grass": 19.34, "Rocks": 1.21, "Landscape": 23.77, "Sky": 37.76},
    "redrock": {"Trees": 0.27, "Lush Bushes": 0.0, "Dry Grass": 17.4, "Rocks": 18.14, "Landscape": 43.18, "Sky": 17.96},
}


@pytest.fixture(scope="session")
def renderer():
    try:
        return Renderer(**SIZE)
    except DesertSegError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def rendered_set(renderer, tmp_path_factory):
    config = SynthConfig(
        tmp_path_factory.mktemp("set") / "redrock", "redrock", NUM_FRAMES, seed=3, depth=True, processes=2, **SIZE
    )
    assert render(config) == Rendered(config.out, NUM_FRAMES, 0)
    return config


@pytest.fixture(scope="session")
def drive(renderer, tmp_path_factory):
    out = tmp_path_factory.mktemp("drive") / "mojave"
    config = SynthConfig(out, "mojave", seed=2, drive=True, hz=10, seconds=0.3, depth=True, processes=1, **SIZE)
    return render(config).folder


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_world_yaml_makes_the_same_bytes_with_any_number_of_processes(rendered_set, tmp_path):
    again = replace(rendered_set, world=str(rendered_set.out / "world.yaml"), out=tmp_path / "again", processes=1)
    assert content(render(again).folder) == content(rendered_set.out)


def test_another_seed_makes_other_frames(rendered_set, tmp_path):
    other = render(replace(rendered_set, seed=4, frames=1, out=tmp_path / "other")).folder
    name = "Color_Images/redrock_00000.jpg"
    assert (other / name).read_bytes() != (rendered_set.out / name).read_bytes()


def test_a_set_has_the_layout_of_the_reference(rendered_set):
    out, names = rendered_set.out, [f"redrock_{index:05d}" for index in range(NUM_FRAMES)]
    for folder in ("Color_Images", "Segmentation", "depth"):
        assert sorted(path.stem for path in (out / folder).iterdir()) == names
    camera = json.loads((out / "camera.json").read_text())
    assert [Path(frame["file"]).stem for frame in camera["frames"]] == names
    assert (camera["width"], camera["height"], camera["distortion"]) == (240, 135, [0.0] * 5)
    assert np.array(camera["K"]).shape == (3, 3)


def test_every_mask_pixel_has_one_of_the_ten_raw_values(rendered_set):
    for path in (rendered_set.out / "Segmentation").iterdir():
        mask = read_mask(path)
        assert mask.dtype == np.uint16 and mask.shape == (135, 240)
        assert set(np.unique(mask)) <= set(LABELS.values)


def test_depth_files_are_millimetres_and_zero_in_the_sky(rendered_set):
    for path in (rendered_set.out / "depth").iterdir():
        depth, mask = read_mask(path), read_mask(rendered_set.out / "Segmentation" / path.name)
        assert depth.dtype == np.uint16
        assert (depth[mask == 10000] == 0).all()
        assert 1000 < depth[-1].min() < depth[-1].max() < 20000  # the ground right in front of the camera


def test_a_frame_that_was_deleted_comes_back_and_the_others_are_left_alone(rendered_set):
    image = rendered_set.out / "Color_Images" / "redrock_00006.jpg"
    before = content(rendered_set.out)
    written = {path: path.stat().st_mtime_ns for path in image.parent.iterdir()}
    image.unlink()
    assert render(rendered_set) == Rendered(rendered_set.out, NUM_FRAMES, NUM_FRAMES - 1)
    assert content(rendered_set.out) == before
    assert [path for path in image.parent.iterdir() if path.stat().st_mtime_ns != written[path]] == [image]


def test_a_folder_begun_with_other_options_is_refused(rendered_set, tmp_path):
    with pytest.raises(DataError, match="begun with other options"):
        render(replace(rendered_set, seed=99))
    (tmp_path / "camera.json").write_text("mine")
    with pytest.raises(DataError, match=r"found camera\.json, expected nothing there"):
        render(SynthConfig(tmp_path))


def test_what_is_labelled_sky_is_infinitely_far_and_nothing_else_is(renderer):
    scene = Scene(load_world("mojave"), 5)
    for along in (20.0, 90.0):
        frame = renderer.render(scene, vehicle_pose(scene.terrain, Stance(along)))
        assert np.array_equal(frame.labels == SKY, np.isinf(frame.depth))
        assert (frame.labels == SKY).any()


def test_edges_of_mask_and_image_are_within_a_pixel(renderer):
    world = load_world("redrock")
    scene = Scene(replace(world, layers=(), weather=replace(world.weather, clouds=0.0, haze_per_m=1e-5)), 3)
    frame = renderer.render(scene, vehicle_pose(scene.terrain, Stance(40.0)))
    luminance = frame.image.astype(float).sum(2)
    horizon = (frame.labels == SKY).sum(0)  # bare ground: all of the sky is above it
    steps = np.abs(np.diff(luminance, axis=0))
    offsets = []
    for column, row in enumerate(horizon):
        near = slice(row - 5, row + 5)
        offsets.append(int(np.argmax(steps[near, column])) + row - 5 - (row - 1))
    assert np.mean(np.abs(offsets) <= 1) > 0.98


def test_a_known_point_is_where_the_camera_model_says_it_is(renderer):
    stones = Layer("Rocks", Rock(), 0.15, size=(0.3, 0.4), patch=(0.0, 0.01), reach_m=40, clear_m=2.0)
    world = replace(load_world("redrock"), layers=(stones,))
    scene, camera = Scene(world, 1), Camera(**SIZE, fov_deg=world.camera.fov_deg)
    hits = []
    for along in (10.0, 50.0, 90.0):
        pose = vehicle_pose(scene.terrain, Stance(along, pitch=-0.1))
        frame = renderer.render(scene, pose)
        places = scene.things[0].places
        pixels, depth = camera.project(pose, places[:, :3] + [0.0, 0.0, 0.3] * places[:, 6:7] * 0.6)
        columns, rows = np.rint(pixels).astype(int).T
        seen = (depth > 3) & (depth < 15) & (columns >= 0) & (columns < 240) & (rows >= 0) & (rows < 135)
        at = rows[seen], columns[seen]
        hits += list((frame.labels[at] == ROCKS) & (np.abs(frame.depth[at] - depth[seen]) < 1.0))
    assert len(hits) > 20
    assert np.mean(hits) > 0.85  # the rest stands behind other stones


@given(st.integers(2, 40), st.integers(2, 40), st.floats(20, 140), st.integers(0, 1000))
def test_projecting_what_was_unprojected_gives_every_pixel_back(width, height, fov_deg, seed):
    generator, camera = np.random.default_rng(seed), Camera(width, height, fov_deg)
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    pose[:3, 3] = generator.normal(size=3) * 10
    depth = generator.uniform(0.5, 100, (height, width))
    pixels, ahead = camera.project(pose, camera.unproject(pose, depth).reshape(-1, 3))
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    assert pixels == pytest.approx(np.stack([columns.ravel(), rows.ravel()], 1), abs=1e-6)
    assert ahead == pytest.approx(depth.ravel())


def test_consecutive_frames_of_a_drive_agree_when_warped_by_depth_and_pose(drive):
    camera_file = json.loads((drive / "camera.json").read_text())
    camera = Camera(**SIZE, fov_deg=load_world("mojave").camera.fov_deg)
    assert np.array(camera_file["K"]) == pytest.approx(camera.matrix())
    frames = camera_file["frames"]
    assert [frame["stamp"] for frame in frames] == pytest.approx([0.0, 0.1, 0.2])
    for this, following in pairwise(frames):
        mask, next_mask = (read_mask(drive / "Segmentation" / f"{Path(f['file']).stem}.png") for f in (this, following))
        depth = read_mask(drive / "depth" / f"{Path(this['file']).stem}.png") / 1000.0
        points = camera.unproject(np.array(this["T_world_camera"]), depth).reshape(-1, 3)
        pixels, _ = camera.project(np.array(following["T_world_camera"]), points)
        columns, rows = np.rint(pixels).T.reshape(2, *depth.shape)
        seen = (depth > 0) & (columns >= 1) & (columns < 239) & (rows >= 1) & (rows < 134)
        columns, rows = columns[seen].astype(int), rows[seen].astype(int)
        warped = mask[seen] == next_mask[rows, columns]
        neighbours = [next_mask[rows + y, columns + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
        within_a_pixel = (np.stack(neighbours) == mask[seen]).any(0)
        assert within_a_pixel.mean() > 0.95
        assert warped.mean() > np.mean(mask[seen] == next_mask[seen]) + 0.1


def test_obstacles_of_a_rendered_drive_are_where_its_depth_has_them_within_the_stated_errors(drive):
    """The errors are those that docs/readers.md states of nine in ten columns, for a camera of known pitch."""
    true, found = distances(drive, Options((drive,)), with_pose=False)
    for near_m, far_m, error_m in ((4, 6, 0.3), (6, 8, 0.85), (8, 10, 1.1)):
        in_band = (near_m < true) & (true <= far_m)
        assert in_band.sum() >= 30
        assert np.quantile(np.abs(found[in_band] - true[in_band]), 0.9) < error_m


@pytest.mark.parametrize("name", REAL_SHARES)
def test_the_mirror_worlds_have_the_class_shares_of_their_deserts(name, renderer, tmp_path):
    out = render(SynthConfig(tmp_path / name, name, frames=24, seed=7, **SIZE)).folder
    masks = np.stack([read_mask(path) for path in (out / "Segmentation").iterdir()])
    value_of = {LABELS.labels.names[index]: value for value, index in LABELS.values.items()}
    for label, expected in REAL_SHARES[name].items():
        assert 100 * np.mean(masks == value_of[label]) == pytest.approx(expected, abs=3.0), label


@pytest.mark.parametrize("name", shipped_worlds())
def test_a_shipped_world_survives_a_round_trip_through_yaml(name, tmp_path):
    path = tmp_path / "world.yaml"
    path.write_text(dump_world(load_world(name)))
    assert load_world(path) == load_world(name)


def test_the_rock_field_has_geologies_of_all_kinds():
    geologies = load_world("rockfield").geologies
    assert len(geologies) >= 8
    for quality in ("color", "angularity", "height", "bands", "speckles", "veins", "pits"):
        assert len({getattr(geology, quality) for geology in geologies}) >= 3, quality


def test_a_weathered_rock_takes_on_its_share_of_the_soils_colour():
    gray, red = (0.5, 0.5, 0.5), (0.3, 0.1, 0.1)
    assert Geology("stone", gray, soil=0.0).on_soil(red).color == gray
    assert Geology("stone", gray, soil=1.0).on_soil(red).color == red
    assert Geology("stone", gray, soil=0.5).on_soil(red).color == pytest.approx((0.4, 0.3, 0.3))


def test_leaning_gravel_stands_higher_than_flat_gravel():
    slab = Geology("slab", (0.5, 0.5, 0.5), height=0.1, lumpiness=0.1)
    flat, leaning = (
        Rock(stones=40, spread=8, tilt_deg=tilt).build(np.random.default_rng(4), 0, slab).arrays()[0][:, 2].max()
        for tilt in (0.0, 60.0)
    )
    assert leaning > 1.5 * flat


def test_straw_changes_the_picture_of_the_ground_and_no_label(renderer):
    world = load_world("haze")
    frames = []
    for straw in (0.0, 1.0):
        scene = Scene(replace(world, ground=replace(world.ground, straw=straw)), 5)
        pose = vehicle_pose(scene.terrain, Stance(20.0, pitch=-0.2))
        frames.append(renderer.render(scene, pose))
    assert np.array_equal(frames[0].labels, frames[1].labels)
    ground = frames[0].labels == LABELS.labels.index("Landscape")
    changed = (frames[0].image != frames[1].image).any(2)
    assert changed[ground].mean() > 0.3
    assert not changed[frames[0].labels == SKY].any()


def write_world(path, change):
    data = yaml.safe_load(dump_world(load_world("mojave")))
    change(data)
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w["ground"].update(relif_m=3.0), r"ground: there is no key 'relif_m'; did you mean relief_m\?"),
        (lambda w: w.pop("light"), "light is missing"),
        (lambda w: w["weather"].update(clouds="many"), "weather.clouds: found 'many', expected a finite number"),
        (lambda w: w["layers"][0]["shape"].update(kind="gras"), r"no kind 'gras'; did you mean grass\?"),
        (lambda w: w["layers"][1].update(label="Sky"), r"layers\[1\]: nothing can be strewn as 'Sky'"),
        (lambda w: w["layers"][0].update(size=[2, 1]), r"size is \[smallest, largest\]"),
        (lambda w: w["ground"].update(color=[0.1, 0.2]), "ground.color: found .* expected a list of 3"),
        (lambda w: w["ground"].update(mountains="mesa"), r"mountains: found 'mesa'; did you mean mesas\?"),
        (lambda w: w.update(geologies=["granit"]), "no geology 'granit'; there are: .*granite"),
        (lambda w: w.update(geologies_per_scene=9), "geologies_per_scene is 9, of 3"),
        (lambda w: w["geologies"][0].update(soil=1.5), "soil is 1.5, expected a share"),
    ],
)
def test_a_world_that_is_wrong_is_refused_with_the_place_and_the_cure(change, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_world(write_world(tmp_path / "wrong.yaml", change))


def test_an_unknown_world_is_refused_with_the_names_of_those_that_exist():
    with pytest.raises(DataError, match=r"no world 'mohave'.*mojave, overcast, redrock"):
        load_world("mohave")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_a_randomised_world_is_valid_and_follows_from_its_seed(seed):
    base = load_world("dusk")
    drawn = draw_world(base, np.random.default_rng(seed))
    assert drawn == draw_world(base, np.random.default_rng(seed))
    assert drawn.layers and drawn.name.startswith("dusk_")


def test_a_randomised_set_has_a_world_of_its_own_for_each_scene(renderer, tmp_path):
    out = render(SynthConfig(tmp_path / "mixed", "dusk", NUM_FRAMES, seed=1, randomise=True, **SIZE)).folder
    worlds = [frame["desert"] for frame in json.loads((out / "camera.json").read_text())["frames"]]
    assert len(set(worlds)) == 2
    assert worlds[0] == worlds[5] != worlds[6]


def test_things_stand_on_the_drawn_ground():
    scene = Scene(load_world("redrock"), 1)
    terrain, (x, y) = scene.terrain, scene.terrain.grid()
    corners = scene.terrain_mesh().vertices[:, :3].reshape(*x.shape, 3)
    assert terrain.height(x[:-1, :-1], y[:-1, :-1]) == pytest.approx(corners[:-1, :-1, 2], abs=1e-4)
    middle_x, middle_y = (x[:-1, :-1] + x[1:, 1:]) / 2, (y[:-1, :-1] + y[1:, 1:]) / 2
    on_diagonal = (corners[:-1, :-1, 2] + corners[1:, 1:, 2]) / 2
    assert terrain.height(middle_x, middle_y) == pytest.approx(on_diagonal, abs=1e-3)


def test_a_machine_without_opengl_is_told_which_packages_to_install(monkeypatch):
    def no_library(**_):
        raise ImportError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(gl.moderngl, "create_context", no_library)
    with pytest.raises(DesertSegError, match="libegl1 libgl1 libgl1-mesa-dri"):
        gl.open_context()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drive": True, "seconds": 900.0}, "render several drives"),
        ({"drive": True, "hz": 0.0}, "both above 0"),
        ({"drive": True, "randomise": True}, "a drive has one world"),
        ({"frames": 0}, "at least 1 frame"),
        ({"width": 8}, "32 to 4096"),
    ],
)
def test_options_that_make_no_set_are_refused_before_anything_is_written(options, message, tmp_path):
    with pytest.raises(DataError, match=message):
        render(SynthConfig(tmp_path / "none", **options))
    assert not (tmp_path / "none").exists()


def test_the_command_line_can_be_described_without_loading_the_renderer():
    code = "import sys, desert_seg_train.synth.config; print({'numpy', 'cv2', 'moderngl'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_images_are_neither_black_nor_burnt_out(rendered_set):
    for path in (rendered_set.out / "Color_Images").iterdir():
        image = read_image(path)
        assert 40 < image.mean() < 200 and image.std() > 15
