"""What others need to read our masks, generated from the model's class list."""

import csv
import io
import json
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from desert_seg.consumers import hydra_colors, hydra_label_space, nav2_layer, read_policy
from desert_seg.errors import DataError
from desert_seg.labels import load_label_map, shipped_label_maps
from desert_seg_ros.messages import label_info_message

POLICY = ROOT / "config" / "traversability.yaml"
LABEL_SETS = [load_label_map(name).labels for name in shipped_label_maps()]


@pytest.mark.parametrize("labels", LABEL_SETS, ids=shipped_label_maps())
def test_every_label_the_node_publishes_has_a_cost_in_the_nav2_layer(labels):
    """The layer stops with an error at a label its YAML does not name."""
    published = [entry["name"] for entry in json.loads(label_info_message(labels, 0.0).data)["classes"]]
    camera = nav2_layer(labels, read_policy(POLICY))["semantic_segmentation_layer"]["camera"]
    named = [name for kind in camera["class_types"] for name in camera[kind]["classes"]]
    assert sorted(named) == sorted(published)
    assert all(0 <= camera[kind]["max_cost"] <= 255 for kind in camera["class_types"])


@pytest.mark.parametrize("labels", LABEL_SETS, ids=shipped_label_maps())
def test_the_shipped_policy_names_every_class_of_the_shipped_label_maps(labels):
    assert set(labels.names) <= read_policy(POLICY).keys()


def test_a_class_nobody_gave_a_cost_is_lethal():
    camera = nav2_layer(LABEL_SETS[0], {})["semantic_segmentation_layer"]["camera"]
    assert camera["sky"]["base_cost"] == 254
    assert camera["unknown"]["base_cost"] == 255


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
    with pytest.raises(DataError, match=r"policy\.yaml: (found something else|not readable as YAML)"):
        read_policy(tmp_path / "policy.yaml")
