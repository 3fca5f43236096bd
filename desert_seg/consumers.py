"""Configuration for the programs that read our masks, generated from the model's class list so that the two agree.

Nav2's semantic segmentation layer refuses a label that its YAML does not name; Hydra wants every id in a label space
and a colour for each; elevation_mapping_cupy wants the channels of the probabilities by name; nvblox's mask input is
binary. The formats are those of the consumers' own documentation.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from desert_seg.artifact import load_artifact
from desert_seg.errors import DataError
from desert_seg.files import to_utf8, write_text
from desert_seg.images import read_file
from desert_seg.labels import IGNORE, UNKNOWN_COLOR, UNKNOWN_NAME, LabelSet
from desert_seg.share import find_artifact
from desert_seg.traversability import LETHAL, NO_INFORMATION, class_costs

GROUND_COST = 100
"""A class that costs less is a surface in Hydra's sense, one that costs more an object."""


def write_consumers(artifact: str, out: Path, policy: Path | None = None) -> list[Path]:
    """Write the files for Nav2 (two), Hydra (two), elevation_mapping_cupy and nvblox.

    Args:
        artifact: A folder, or the name of a shipped model.
        out: Folder to write to.
        policy: YAML with a cost for each class, see `class_costs`; None = the shipped one.

    Returns:
        The files.

    Raises:
        ArtifactError: The model is missing or damaged.
        DataError: The policy is unusable, two classes would have the same name in a map, or one of these files already
            exists with other content.
    """
    labels = load_artifact(find_artifact(artifact)).card.label_map.labels
    costs = class_costs(labels, policy)
    texts = {
        "nav2.yaml": _yaml(nav2_layer(labels, costs), "A layer for the plugins of a Nav2 costmap."),
        "nav2_obstacles.yaml": _yaml(nav2_obstacles(), "A layer of Nav2's own for a costmap, with one camera alone."),
        "hydra_label_space.yaml": _yaml(hydra_label_space(labels, costs), "Label space of Hydra for ~/mask."),
        "hydra_colors.csv": hydra_colors(labels),
        "elevation_mapping.yaml": _yaml(elevation_mapping(labels), "Semantic layers of elevation_mapping_cupy."),
        "nvblox.yaml": _yaml(nvblox(), "Remappings of nvblox: unknown terrain stays out of the static map."),
    }
    for name, text in texts.items():
        if os.path.lexists(out / name) and read_file(out / name) != to_utf8(text):
            raise DataError(f"{out / name}: found a file with other content; move it away, or choose another --out")
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def nav2_layer(labels: LabelSet, costs: Mapping[str, int]) -> dict[str, Any]:
    """The block of kiwicampus/semantic_segmentation_layer: a class type of its own for every label we publish.

    Of a tile's pixels the layer takes the one with the highest `max_cost`, and marks the tile with it if the confidence
    is above `mark_confidence`, else with `base_cost`. Pixels without information must never win a tile over an
    obstacle, so they have the lowest `max_cost` and a `mark_confidence` that no confidence exceeds.
    """
    types = dict(zip(_layer_names((*labels.names, UNKNOWN_NAME)), (*labels.names, UNKNOWN_NAME), strict=True))
    camera: dict[str, Any] = {
        "segmentation_topic": "/segment/mask",
        "confidence_topic": "/segment/confidence",
        "labels_topic": "/segment/label_info",
        "pointcloud_topic": "/camera/depth/points",
        "max_obstacle_distance": 10.0,
        "min_obstacle_distance": 0.3,
        "tile_map_decay_time": 5.0,
        "use_cost_selection": True,
        "class_types": list(types),
    }
    for key, name in types.items():
        cost = NO_INFORMATION if name == UNKNOWN_NAME else costs.get(name, LETHAL)
        says_nothing = cost == NO_INFORMATION
        camera[key] = {
            "classes": [name],
            "base_cost": cost,
            "max_cost": 0 if says_nothing else cost,
            "mark_confidence": 255 if says_nothing else 0,
            "samples_to_max_cost": 0,
            "dominant_priority": False,
        }
    layer = {"plugin": "semantic_segmentation_layer::SemanticSegmentationLayer", "enabled": True}
    return {"semantic_segmentation_layer": {**layer, "observation_sources": "camera", "camera": camera}}


def nav2_obstacles() -> dict[str, Any]:
    """The block of an ObstacleLayer for ~/obstacles and ~/free_space, at the default range and camera height.

    Points need no filter by height, and heights in the costmap's frame say nothing on a hill, so everything passes.
    Ranges are measured from the camera, so they exceed those along the ground. Nothing is cleared before the ground
    comes into view, lest obstacles be forgotten that have passed below the image.
    """
    source: dict[str, Any] = {
        "data_type": "PointCloud2",
        "min_obstacle_height": -1000.0,
        "max_obstacle_height": 1000.0,
        "expected_update_rate": 1.0,
    }
    marking = {"topic": "/segment/obstacles", "marking": True, "clearing": False, "obstacle_max_range": 10.5}
    clearing = {"topic": "/segment/free_space", "marking": False, "clearing": True}
    layer = {
        "plugin": "nav2_costmap_2d::ObstacleLayer",
        "enabled": True,
        "min_obstacle_height": -1000.0,
        "max_obstacle_height": 1000.0,
        "observation_sources": "obstacles free_space",
        "obstacles": marking | source,
        "free_space": clearing | {"raytrace_min_range": 4.0, "raytrace_max_range": 10.5} | source,
    }
    return {"segmented_obstacle_layer": layer}


def hydra_label_space(labels: LabelSet, costs: Mapping[str, int]) -> dict[str, Any]:
    """Every id of a mask, including 255, and what kind of thing it is."""
    ids = {name: costs.get(name, LETHAL) for name in labels.names}
    return {
        "total_semantic_labels": IGNORE + 1,
        "dynamic_labels": [],
        "invalid_labels": [*(labels.index(name) for name, cost in ids.items() if cost == NO_INFORMATION), IGNORE],
        "object_labels": [labels.index(name) for name, cost in ids.items() if GROUND_COST <= cost < NO_INFORMATION],
        "surface_places_labels": [labels.index(name) for name, cost in ids.items() if cost < GROUND_COST],
        "label_names": [
            *({"label": index, "name": name} for index, name in enumerate(labels.names)),
            {"label": IGNORE, "name": UNKNOWN_NAME},
        ],
    }


def hydra_colors(labels: LabelSet) -> str:
    """CSV of name, colour and id."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "red", "green", "blue", "alpha", "id"])
    for index, (name, color) in enumerate(zip(labels.names, labels.colors, strict=True)):
        writer.writerow([name, *color, 255, index])
    writer.writerow([UNKNOWN_NAME, *UNKNOWN_COLOR, 255, IGNORE])
    return text.getvalue()


def elevation_mapping(labels: LabelSet) -> dict[str, Any]:
    """An image subscriber for ~/probabilities, a channel for each class, and how channels are fused into the map.

    Its ChannelInfo topic has to carry the same list of channels; the node does not publish that message type.
    """
    channels = _layer_names(labels.names)
    return {
        "image_channel_fusions": {**dict.fromkeys(channels, "class_average"), "default": "exponential"},
        "subscribers": {
            "segmentation": {
                "topic_name": "/segment/probabilities",
                "camera_info_topic_name": "/segment/camera_info",
                # The same two by the names of the ROS 2 port.
                "topic_name_camera": "/segment/probabilities",
                "topic_name_camera_info": "/segment/camera_info",
                "data_type": "image",
                "channels": channels,
            }
        },
    }


def _layer_names(names: Sequence[str]) -> list[str]:
    """Names of classes as map layers and YAML keys, in which ROS allows letters, digits and `_`."""
    found = [re.sub(r"\W+", "_", name.lower()) for name in names]
    for first, second in itertools.combinations(range(len(names)), 2):
        if found[first] == found[second]:
            raise DataError(
                f"the classes {names[first]!r} and {names[second]!r} would both be the layer {found[first]!r}; train "
                "with names that differ in more than case and punctuation"
            )
    return found


def nvblox() -> dict[str, str]:
    """Topic -> remapping. Pixels of nvblox's mask that are not 0 are left to its dynamic map."""
    return {"camera_0/mask/image": "/segment/unknown", "camera_0/mask/camera_info": "/segment/camera_info"}


def _yaml(content: dict[str, Any], heading: str) -> str:
    return f"# {heading} Generated by `desert-seg consumers`.\n{yaml.safe_dump(content, sort_keys=False)}"
