"""Configuration that others need to read our masks, generated from a model's own class list so that nothing can drift.

Nav2's semantic segmentation layer refuses a label that its YAML does not name; Hydra wants every id in a label space
and a colour for each. Imports no ROS; the formats are those of the consumers' own documentation.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from desert_seg.artifact import load_artifact
from desert_seg.errors import DataError
from desert_seg.images import write_bytes
from desert_seg.labels import IGNORE, UNKNOWN_COLOR, UNKNOWN_NAME, LabelSet
from desert_seg_ros.share import find_artifact, share_directory

LETHAL, NO_INFORMATION = 254, 255
"""Costs of nav2_costmap_2d."""

GROUND_COST = 100
"""A class that costs less is a surface in Hydra's sense, one that costs more an object."""


def write_consumers(artifact: str, out: Path, policy: Path | None = None) -> list[Path]:
    """Write nav2.yaml, hydra_label_space.yaml and hydra_colors.csv.

    Args:
        artifact: A folder, or the name of a shipped model.
        out: Folder to write to.
        policy: YAML with a cost for each class, see `read_policy`; None is the shipped one.

    Returns:
        The files.

    Raises:
        ArtifactError: The model is missing or damaged.
        DataError: The policy is unusable.
    """
    labels = load_artifact(find_artifact(artifact)).card.label_map.labels
    costs = read_policy(policy or share_directory() / "config" / "traversability.yaml")
    texts = {
        "nav2.yaml": _yaml(nav2_layer(labels, costs), "A layer for the plugins of a Nav2 costmap."),
        "hydra_label_space.yaml": _yaml(hydra_label_space(labels, costs), "Label space of Hydra for ~/mask."),
        "hydra_colors.csv": hydra_colors(labels),
    }
    for name, text in texts.items():
        write_bytes(out / name, text.encode())
    return [out / name for name in texts]


def read_policy(path: Path) -> dict[str, int]:
    """Cost of driving over each class: 0 free to 254 lethal, 255 no ground at all.

    Raises:
        DataError: The file is missing or is not a mapping of names to such numbers.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as YAML ({str(error).splitlines()[0]}); check the path") from error
    if not isinstance(content, dict) or not all(type(cost) is int and 0 <= cost <= 255 for cost in content.values()):
        raise DataError(
            f"{path}: found something else than class names with whole numbers from 0 to 255; see the shipped one"
        )
    return {str(name): cost for name, cost in content.items()}


def nav2_layer(labels: LabelSet, costs: Mapping[str, int]) -> dict[str, Any]:
    """The block of kiwicampus/semantic_segmentation_layer: a class type of its own for every label we publish."""
    types = {name.lower().replace(" ", "_"): name for name in (*labels.names, UNKNOWN_NAME)}
    camera: dict[str, Any] = {
        "segmentation_topic": "/segment/mask",
        "confidence_topic": "/segment/confidence",
        "labels_topic": "/segment/label_info",
        "pointcloud_topic": "/camera/depth/points",
        "max_obstacle_distance": 10.0,
        "min_obstacle_distance": 0.3,
        "tile_map_decay_time": 5.0,
        "class_types": list(types),
    }
    for key, name in types.items():
        cost = NO_INFORMATION if name == UNKNOWN_NAME else costs.get(name, LETHAL)
        camera[key] = {
            "classes": [name],
            "base_cost": cost,
            "max_cost": cost,
            "mark_confidence": 0,
            "samples_to_max_cost": 0,
            "dominant_priority": False,
        }
    layer = {"plugin": "semantic_segmentation_layer::SemanticSegmentationLayer", "enabled": True}
    return {"semantic_segmentation_layer": {**layer, "observation_sources": "camera", "camera": camera}}


def hydra_label_space(labels: LabelSet, costs: Mapping[str, int]) -> dict[str, Any]:
    """Which ids there are and what kind of thing each is; 255 is there, too, since masks hold it."""
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


def _yaml(content: dict[str, Any], heading: str) -> str:
    return f"# {heading} Generated by `desert-seg consumers`.\n{yaml.safe_dump(content, sort_keys=False)}"
