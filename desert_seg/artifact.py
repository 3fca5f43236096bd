"""Model artifacts: a folder with everything needed to run a model, and proof that it is what was saved.

`artifact.json` holds the network's configuration, input size, label map, metrics and provenance, the SHA-256 of every
other file, and a digest over all of that, which names the model. Beside it lie `weights.safetensors` (for torch),
`model.onnx` (for the other engines) and, where they were made, `model.int8.onnx`, `parity.json`, a report of how well
engines agree, and `self_test.png` with its mask, on which an engine is tested before use. Nothing here is ever
unpickled. Knows nothing of engines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desert_seg.artifact_content import check_content
from desert_seg.calibration import Calibration, calibration_from_dict
from desert_seg.errors import ArtifactError, DataError
from desert_seg.files import to_utf8, writing
from desert_seg.folder import open_file, sha256_of, write_folder
from desert_seg.json_file import parse_json
from desert_seg.labels import LabelMap, label_map_from_dict
from desert_seg.parity import ParityReport, parity_from_json
from desert_seg.self_test import SelfTest, self_test_from_png
from desert_seg.speeds import SPEEDS

FORMAT = 1
WEIGHTS = "weights.safetensors"
ONNX = "model.onnx"
INT8_ONNX = "model.int8.onnx"
PARITY = "parity.json"
SELF_TEST = ("self_test.png", "self_test_mask.png")
FILES = (WEIGHTS, ONNX, INT8_ONNX, PARITY, *SELF_TEST)
"""All other files that an artifact may hold."""

_JSON = "artifact.json"

MAX_DESCRIPTION_BYTES = 4 * 2**20
"""Size limit of JSON files and of the self-test, which are read into memory."""

MAX_FILE_BYTES = 4 * 2**30
"""Size limit of any other file."""


@dataclass(frozen=True)
class ModelCard:
    """What an artifact says about its model.

    Attributes:
        name: Short name, for people.
        network: Arguments of `desert_seg.network.NetworkConfig`.
        input_size: (H, W) the network was made for; multiples of 32.
        label_map: The classes, their colours, and the raw values they were trained from.
        metrics: Measured figures by name.
        provenance: How it was made: data, git hash, software versions.
        calibration: What the model knows about its own uncertainty; None if that was never measured.
        speeds: Recommended input sizes relative to `input_size`, by the names of `desert_seg.speeds`.
    """

    name: str
    network: Mapping[str, Any]
    input_size: tuple[int, int]
    label_map: LabelMap
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None
    speeds: Mapping[str, float] = field(default_factory=lambda: SPEEDS)


@dataclass(frozen=True)
class Artifact:
    """A verified artifact on disk.

    Attributes:
        path: Its folder.
        card: What it says about its model.
        digest: 64 hex digits that identify the model and all its files.
        parity: How well engines agree with the network; None if that was never measured.
        self_test: What engines are compared with before they are used; None if the artifact has none.
    """

    path: Path
    card: ModelCard
    digest: str
    parity: ParityReport | None = None
    self_test: SelfTest | None = field(default=None, compare=False)

    @property
    def weights(self) -> Path:
        """safetensors file with the network's state dict."""
        return self.path / WEIGHTS

    @property
    def onnx(self) -> Path:
        """ONNX graph of `desert_seg.network.DeployedNetwork`."""
        return self.path / ONNX

    @property
    def int8_onnx(self) -> Path:
        """The same graph quantised to 8 bits; there only if it was asked for and passed."""
        return self.path / INT8_ONNX


def check_replaceable(path: Path) -> None:
    """Raise ArtifactError if `path` exists and is not an artifact, which is never overwritten."""
    if path.exists() and not (path / _JSON).is_file():
        raise ArtifactError(f"{path}: exists and is not a model artifact; choose another folder")


def save_artifact(path: str | Path, card: ModelCard, files: Mapping[str, bytes]) -> Artifact:
    """Write an artifact folder, all of it or nothing; an older artifact at `path` is replaced.

    Args:
        path: Folder to create.
        card: What the artifact says about its model.
        files: Contents of the other files by name; usually `WEIGHTS` and `ONNX`.

    Raises:
        ArtifactError: `path` exists and is not an artifact, or `load_artifact` would refuse the result.
        OutputError: The machine refuses; an older artifact is still there.
    """
    path = Path(path)
    check_replaceable(path)
    content = {
        "format": FORMAT,
        "name": card.name,
        "network": dict(card.network),
        "input_size": list(card.input_size),
        "speeds": dict(card.speeds),
        "label_map": card.label_map.to_dict(),
        "metrics": dict(card.metrics),
        "provenance": dict(card.provenance),
        **({"calibration": card.calibration.to_dict()} if card.calibration else {}),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    content = json.loads(json.dumps(content))
    try:
        check_content(content)
        parity, self_test = _parts(files)
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise ArtifactError(f"{path}: is not written, because it would not load: {error}") from error
    digest = _digest(content)
    text = json.dumps({**content, "digest": digest}, indent=2, ensure_ascii=False)
    with writing(path):
        write_folder(path, {**files, _JSON: to_utf8(text + "\n")})
    return Artifact(path, card, digest, parity, self_test)


def load_artifact(path: str | Path) -> Artifact:
    """Read and verify an artifact folder.

    Raises:
        ArtifactError: It is missing or of another format, an entry has the wrong type or is out of bounds, or a file in
            it has changed.
    """
    path = Path(path)
    if not path.is_dir():
        raise ArtifactError(f"there is no model artifact at {path}; give a folder that holds {_JSON}")
    if not (path / _JSON).exists():
        raise ArtifactError(f"{path}: found no {_JSON}; this folder is not a model artifact")
    try:
        content = parse_json(_read(path / _JSON))
    except ValueError as error:
        raise ArtifactError(f"{path / _JSON}: is not valid JSON ({error}); copy the artifact again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise ArtifactError(
            f"{path}: found artifact format {found}, expected {FORMAT}; use a matching desert_seg version"
        )
    digest = content.pop("digest", None)
    if digest != _digest(content):
        raise ArtifactError(
            f"{path / _JSON}: was changed after it was saved (digest {str(digest)[:12]}, expected "
            f"{_digest(content)[:12]}); copy the artifact again"
        )
    try:
        check_content(content)
    except DataError as error:
        raise ArtifactError(f"{path / _JSON}: {error}") from error
    for name, expected in content["files"].items():
        found = sha256_of(path / name, MAX_FILE_BYTES)
        if found != expected:
            raise ArtifactError(
                f"{path / name}: has SHA-256 {found[:12]}, expected {expected[:12]}; the file was changed or cut "
                "short, copy the artifact again"
            )
    for entry in path.iterdir():  # what is not listed is not verified, but a graph may name it
        if entry.name not in (*content["files"], _JSON) and not entry.name.startswith("."):
            raise ArtifactError(f"{entry}: is not among the files {_JSON} lists; remove it, or copy the artifact again")
    try:
        height, width = content["input_size"]
        label_map = label_map_from_dict(content["label_map"], str(path / _JSON))
        calibration = None
        if "calibration" in content:
            calibration = calibration_from_dict(content["calibration"], len(label_map.labels))
        card = ModelCard(
            name=content["name"],
            network=content["network"],
            input_size=(height, width),
            label_map=label_map,
            metrics=content["metrics"],
            provenance=content["provenance"],
            calibration=calibration,
            speeds=content.get("speeds", SPEEDS),
        )
        small = {name: _read(path / name) for name in (PARITY, *SELF_TEST) if name in content["files"]}
        parity, self_test = _parts(small)
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise ArtifactError(f"{path}: is incomplete ({error}); export the model again") from error
    return Artifact(path, card, str(digest), parity, self_test)


def _read(path: Path) -> bytes:
    with open_file(path, MAX_DESCRIPTION_BYTES) as file:
        return file.read()


def _parts(files: Mapping[str, bytes]) -> tuple[ParityReport | None, SelfTest | None]:
    """Parity report and self-test from an artifact's files; None for what it does not have."""
    frame, mask = (files.get(name) for name in SELF_TEST)
    self_test = None if frame is None or mask is None else self_test_from_png(frame, mask)
    return parity_from_json(files[PARITY]) if PARITY in files else None, self_test


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
