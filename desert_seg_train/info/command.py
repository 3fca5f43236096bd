"""`desert-seg info`: what a model artifact is, in words."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from desert_seg.artifact import Artifact, load_artifact
from desert_seg.calibration import Calibration
from desert_seg.console import Console
from desert_seg.engines.choice import choice_file, create_engine, describe_choice, read_choice
from desert_seg.engines.engine import ENGINES
from desert_seg.errors import DesertSegError
from desert_seg.json_file import parse_json
from desert_seg.labels import IGNORE, LabelMap
from desert_seg.machine import processor
from desert_seg_train.evaluate.wording import size_of_file
from desert_seg_train.info.config import InfoConfig


def info(config: InfoConfig) -> None:
    """Verify an artifact; print its content and the engines that can run it here.

    Raises:
        ArtifactError: It is missing or damaged.
    """
    console = Console()
    artifact = load_artifact(config.model)
    card = artifact.card
    height, width = card.input_size
    network = card.network
    console.print(Text.assemble((card.name, "bold"), f" {artifact.digest[:12]}"))
    facts = {
        "network": f"{network['architecture']} with {network['encoder']}, {width}x{height}",
        "speeds": ", ".join(f"{name} {size:g}" for name, size in card.speeds.items()) + " of that height and width",
        **{f"measured {name}": f"{value:.4f}" for name, value in card.metrics.items()},
        **{name: _short(value) for name, value in card.provenance.items() if value},
    }
    _print_pairs(console, facts)
    if card.calibration is not None:
        _print_pairs(console, _calibrated(card.calibration))
    console.print(_classes(card.label_map))
    sizes = {path.name: size_of_file(path.stat().st_size) for path in sorted(artifact.path.iterdir())}
    _print_pairs(console, sizes)
    _print_pairs(console, {f"on {processor()}": "", **_engines(artifact)})


def _calibrated(calibration: Calibration) -> dict[str, str]:
    found = {"calibrated on": f"{calibration.data}, temperature {calibration.temperature:.3f}"}
    if calibration.unknown_threshold is not None:
        found["unknown terrain"] = f"{calibration.unknown_score} above {calibration.unknown_threshold:.4f}"
    return found


def _classes(label_map: LabelMap) -> Table:
    table = Table("id", "class", f"values in masks ({label_map.name})")
    for index, (name, color) in enumerate(zip(label_map.labels.names, label_map.labels.colors, strict=True)):
        values = ", ".join(label_map.describe(value) for value, target in label_map.values.items() if target == index)
        table.add_row(str(index), Text.assemble(("■", f"rgb({color[0]},{color[1]},{color[2]})"), f" {name}"), values)
    ignored = ", ".join(label_map.describe(value) for value, target in label_map.values.items() if target == IGNORE)
    table.add_row(str(IGNORE), "ignored, unknown", ignored)
    return table


def _engines(artifact: Artifact) -> dict[str, str]:
    """Each engine's version or absence, and what `auto` chooses."""
    found = {}
    for name in ENGINES:
        if name != "auto":
            try:
                found[f"engine {name}"] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[f"engine {name}"] = "not installed"
    try:
        found["engine auto"] = create_engine(artifact).description
    except DesertSegError as error:
        found["engine auto"] = str(error)
    path = choice_file(artifact, "auto", "auto", 0)
    choice = read_choice(path) if path else None
    if choice is not None:
        found["measured"] = f"{describe_choice(choice)}; kept in {path}"
    return found


def _short(value: str) -> str:
    """Shorten a long line of JSON, such as a training's recipe."""
    try:
        settings = parse_json(value)
    except ValueError:
        return value
    return f"{len(settings)} settings, see artifact.json" if isinstance(settings, dict) else value


def _print_pairs(console: Console, pairs: Mapping[str, str]) -> None:
    for name, value in pairs.items():
        console.print(f"  {name}{': ' if value else ''}{value}")
