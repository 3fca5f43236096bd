"""What others need to read our masks, generated from the model's class list."""

import csv
import io
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from conftest import ROOT

from desert_seg.consumers import elevation_mapping, hydra_colors, hydra_label_space, nav2_layer, nav2_obstacles
from desert_seg.errors import DataError
from desert_seg.labels import LabelSet, load_label_map, shipped_label_maps
from desert_seg.recordings.drive import open_drive
from desert_seg.traversability import class_costs, read_policy
from desert_seg_ros.messages import class_list_message
from desert_seg_ros.parameters import NodeParameters

POLICY = ROOT / "config" / "traversability.yaml"
LABEL_SETS = [load_label_map(name).labels for name in shipped_label_maps()]


@pytest.mark.parametrize("labels", LABEL_SETS, ids=shipped_label_maps())
def test_every_label_the_node_publishes_has_a_cost_in_the_nav2_layer(labels):
    """The layer stops with an error at a label its YAML does not name."""
    published = [entry["name"] for entry in json.loads(class_list_message(labels, 0.0).data)["classes"]]
    camera = nav2_layer(labels, read_policy(POLICY))["semantic_segmentation_layer"]["camera"]
    named = [name for kind in camera["class_types"] for name in camera[kind]["classes"]]
    assert sorted(named) == sorted(published)
    assert all(0 <= camera[kind]["max_cost"] <= 255 for kind in camera["class_types"])


@pytest.mark.parametrize("labels", LABEL_SETS, ids=shipped_label_maps())
def test_the_shipped_policy_names_every_class_of_the_shipped_label_maps(labels):
    assert set(labels.names) <= read_policy(POLICY).keys()


def cost_of_tile(camera, pixels):
    """What semantic_segmentation_layer marks a tile with.

    Args:
        camera: The generated block.
        pixels: Class name and confidence, 0..255, of the pixels of one frame that fall on the tile, in their order.
    """
    types = {name: camera[kind] for kind in camera["class_types"] for name in camera[kind]["classes"]}
    name, confidence = max(pixels, key=lambda pixel: types[pixel[0]]["max_cost"])  # the first of equals, as there
    kind = types[name]
    marks = kind["samples_to_max_cost"] <= 1 and confidence > kind["mark_confidence"]
    return kind["max_cost"] if marks else kind["base_cost"]


@pytest.mark.parametrize("labels", LABEL_SETS, ids=shipped_label_maps())
def test_no_unsure_or_sky_pixel_erases_an_obstacle_from_a_tile_of_nav2s_costmap(labels):
    policy = read_policy(POLICY)
    camera = nav2_layer(labels, policy)["semantic_segmentation_layer"]["camera"]
    assert camera["use_cost_selection"]
    names = [*labels.names, "unknown"]
    random = np.random.default_rng(0)
    for _ in range(500):
        tile = [names[index] for index in random.integers(0, len(names), 4)]
        pixels = [(name, 0 if name == "unknown" else int(random.integers(0, 256))) for name in tile]
        costs = [policy.get(name, 255) for name in tile]
        known = [cost for cost in costs if cost != 255]
        if max(known, default=0) > 0:
            assert cost_of_tile(camera, pixels) == max(known), pixels
        elif not known:
            assert cost_of_tile(camera, pixels) == 255, pixels


def test_every_tile_with_an_obstacle_is_lethal_though_some_pixels_are_unsure(sample_drive):
    label_map = load_label_map("falcon7_stones")
    frame = next(open_drive(sample_drive).frames())
    mask = label_map.apply(frame.ground_truth(), "truth")[::4, ::4]
    mask[np.random.default_rng(0).random(mask.shape) < 0.2] = 255  # unsure
    camera = nav2_layer(label_map.labels, read_policy(POLICY))["semantic_segmentation_layer"]["camera"]
    lethal = {index for index, name in enumerate(label_map.labels.names) if read_policy(POLICY)[name] == 254}
    found = []
    for top, left in itertools.product(range(0, mask.shape[0] - 3, 4), range(0, mask.shape[1] - 3, 4)):
        tile = mask[top : top + 4, left : left + 4].ravel().tolist()
        if lethal & set(tile):
            names = [("unknown", 0) if index == 255 else (label_map.labels.names[index], 200) for index in tile]
            found.append(cost_of_tile(camera, names))
    assert len(found) > 20
    assert set(found) == {254}


def test_nav2s_obstacle_layer_takes_every_point_of_the_default_range_and_clears_by_free_space_alone():
    layer = nav2_obstacles()["segmented_obstacle_layer"]
    marks, clears = (layer[source] for source in layer["observation_sources"].split())
    assert (marks["topic"], marks["marking"], marks["clearing"]) == ("/segment/obstacles", True, False)
    assert (clears["topic"], clears["marking"], clears["clearing"]) == ("/segment/free_space", False, True)
    defaults = NodeParameters()
    farthest = np.hypot(defaults.obstacles_range_m, defaults.camera_height_m)
    assert min(marks["obstacle_max_range"], clears["raytrace_max_range"]) > farthest
    assert 0 < clears["raytrace_min_range"] < defaults.obstacles_range_m


def test_the_page_on_readers_shows_the_generated_obstacle_layer():
    page = (ROOT / "docs" / "readers.md").read_text()
    (shown,) = re.findall(r"```yaml\n(segmented_obstacle_layer:.*?)```", page, re.DOTALL)
    assert yaml.safe_load(shown) == nav2_obstacles()


def test_elevation_mapping_finds_its_topics_under_the_keys_of_both_its_ports():
    subscriber = elevation_mapping(LABEL_SETS[0])["subscribers"]["segmentation"]
    assert subscriber["topic_name_camera"] == subscriber["topic_name"] == "/segment/probabilities"
    assert subscriber["topic_name_camera_info"] == subscriber["camera_info_topic_name"] == "/segment/camera_info"


def test_a_class_nobody_gave_a_cost_is_lethal():
    camera = nav2_layer(LABEL_SETS[0], {})["semantic_segmentation_layer"]["camera"]
    assert camera["sky"]["base_cost"] == 254
    assert camera["unknown"]["base_cost"] == 255


OWN = LabelSet(("free", "rock", "Sky"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def test_the_shipped_policy_serves_other_classes_and_names_those_without_a_cost(caplog):
    assert class_costs(OWN) == {"free": 254, "rock": 254, "Sky": 255}
    assert "the shipped traversability.yaml gives no cost to free, rock, which therefore count as lethal" in caplog.text


def test_a_policy_of_ones_own_may_name_the_shipped_classes_but_no_others(tmp_path, caplog):
    (tmp_path / "mine.yaml").write_text("Trees: 254\nfree: 0\nrock: 254\nSky: 255\n")
    assert class_costs(OWN, tmp_path / "mine.yaml")["free"] == 0
    assert not caplog.text
    (tmp_path / "mine.yaml").write_text("fre: 0\n")
    with pytest.raises(DataError, match=r"mine\.yaml: gives a cost to 'fre', .* did you mean 'free'\?"):
        class_costs(OWN, tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("tarmac: 0\n")
    with pytest.raises(DataError, match="'tarmac', which is no class of the model; the classes are: free, rock, Sky"):
        class_costs(OWN, tmp_path / "mine.yaml")


@pytest.mark.parametrize("write", [lambda labels: nav2_layer(labels, {}), elevation_mapping])
def test_two_classes_that_would_be_one_layer_are_refused(write):
    with pytest.raises(DataError, match=r"'dry\.grass' and 'Dry Grass' would both be the layer 'dry_grass'"):
        write(LabelSet(("dry.grass", "Dry Grass"), ((0, 0, 0), (1, 1, 1))))


@pytest.mark.parametrize("labels", LABEL_SETS, ids=shipped_label_maps())
def test_hydra_finds_every_id_of_a_mask_once_in_its_label_space_and_its_colours(labels):
    space = hydra_label_space(labels, read_policy(POLICY))
    ids = [*range(len(labels)), 255]
    assert [entry["label"] for entry in space["label_names"]] == ids
    kinds = ("invalid_labels", "object_labels", "surface_places_labels", "dynamic_labels")
    assert sorted(index for kind in kinds for index in space[kind]) == ids
    assert space["total_semantic_labels"] > max(ids)
    rows = list(csv.DictReader(io.StringIO(hydra_colors(labels))))
    assert [int(row["id"]) for row in rows] == ids
    assert [(int(row["red"]), int(row["green"]), int(row["blue"])) for row in rows[:-1]] == list(labels.colors)


def test_the_command_writes_files_that_parse(tmp_path):
    command = ["consumers", ROOT / "models" / "light", "--out", tmp_path, "--policy", POLICY]
    done = subprocess.run(
        [sys.executable, "-m", "desert_seg_train.cli", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"wrote {tmp_path / 'nav2.yaml'}"
    layer = yaml.safe_load((tmp_path / "nav2.yaml").read_text())["semantic_segmentation_layer"]
    assert layer["camera"]["rocks"]["max_cost"] == 254
    assert yaml.safe_load((tmp_path / "hydra_label_space.yaml").read_text())["label_names"][4]["name"] == "Rocks"


@pytest.mark.parametrize("text", ["[1, 2]", "Rocks: many", "Rocks: 300", "Rocks: true", "{"])
def test_a_policy_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(DataError, match=r"policy\.yaml: (found|not readable as YAML)"):
        read_policy(tmp_path / "policy.yaml")
