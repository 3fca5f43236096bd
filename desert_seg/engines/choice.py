"""Which engine runs an artifact here: the one asked for, or the fastest, measured once on a machine and remembered.

The measurement takes about a second. It is kept in the user's cache folder under the artifact's digest, the hardware,
the versions of the engines and what was asked for; when any of these changes, it is made again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from desert_seg.artifact import Artifact
from desert_seg.engines.build import build_engine
from desert_seg.engines.engine import DEVICES, ENGINES, PRECISIONS, Engine, check_scores, is_installed
from desert_seg.errors import EngineError, OutputError, is_out_of_memory
from desert_seg.files import write_text
from desert_seg.json_file import parse_json
from desert_seg.machine import accelerator, cache_folder, has_cuda_driver, processor

MEASURE_S = 1.0
"""How long all engines together are measured."""

CLEARLY_FASTER = 0.9
"""Another engine replaces the first only if it takes at most this share of its time, because measurements are noisy."""

_MIN_TURNS = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What was measured.

    Attributes:
        engine: The winner, one of `desert_seg.engines.engine.ENGINES`.
        milliseconds: Description of every engine that ran -> its fastest pass over a frame.
        machine: Processor and accelerator.
    """

    engine: str
    milliseconds: Mapping[str, float]
    machine: str


def create_engine(
    artifact: Artifact, engine: str = "auto", device: str = "auto", precision: str = "auto", threads: int = 0
) -> Engine:
    """Build an engine for an artifact, and see that it answers a black frame with scores of the artifact's classes.

    Arguments and errors are those of `choose_engine`.

    Raises:
        EngineError: Also if the engine cannot run the graph, or gets something else from it than such scores.
    """
    built = choose_engine(artifact, engine, device, precision, threads)
    _try(built, artifact)
    return built


def choose_engine(artifact: Artifact, engine: str, device: str, precision: str, threads: int) -> Engine:
    """Build an engine for an artifact, which may not have run yet.

    Args:
        artifact: A verified artifact.
        engine: One of `ENGINES`. `auto`: the fastest on this machine, which is measured once.
        device: One of `DEVICES`. `auto`: CUDA if the engine finds a CUDA device, which OpenVINO never does.
        precision: One of `PRECISIONS`. `auto`: bf16 where the device computes in it, except torch on a CPU, else f32;
            never a precision that the artifact's parity report refuses. int8 needs a quantised graph in the artifact.
        threads: CPU threads, 0 = as many as there are cores.

    Raises:
        EngineError: A name is unknown, the number of threads is negative, a package is missing, the device is not
            there, the engine or the artifact does not have the precision, or the engine cannot read the graph.
    """
    for name, value, allowed in (
        ("engine", engine, ENGINES),
        ("device", device, DEVICES),
        ("precision", precision, PRECISIONS),
    ):
        if value not in allowed:
            raise EngineError(f"there is no {name} {value!r}; choose one of: {', '.join(allowed)}")
    if threads < 0:
        raise EngineError(f"found {threads} threads, expected 0 (as many as there are cores) or more; change it")
    if engine == "auto":
        return fastest_engine(artifact, device, precision, threads)
    return build_engine(artifact, engine, device, precision, threads)


def fastest_engine(artifact: Artifact, device: str, precision: str, threads: int) -> Engine:
    """Build the engine that is fastest on this machine; measures if there are several and it is not known yet.

    Arguments are those of `choose_engine`, already checked.

    Raises:
        EngineError: No engine can be had.
    """
    names = candidates(artifact, device, precision)
    if len(names) == 1:
        return build_engine(artifact, names[0], device, precision, threads)
    path = choice_file(artifact, device, precision, threads)
    known = read_choice(path) if path else None
    if known is not None and known.engine in names:
        return build_engine(artifact, known.engine, device, precision, threads)
    engines, reasons = {}, []
    for name in names:
        try:
            built = build_engine(artifact, name, device, precision, threads)
            _try(built, artifact)
            engines[name] = built
        except EngineError as error:
            if is_out_of_memory(error):  # which says nothing of the engine, and is no reason to choose another for good
                raise
            reasons.append(str(error))
    if not engines:
        raise EngineError(reasons[0])
    fastest = _measure(engines, artifact.card.input_size)
    first, winner = next(iter(fastest)), min(fastest, key=fastest.__getitem__)
    if fastest[winner] > CLEARLY_FASTER * fastest[first]:
        winner = first
    choice = Choice(winner, {engines[name].description: taken for name, taken in fastest.items()}, _machine())
    if path is not None:
        try:
            write_text(path, json.dumps(asdict(choice), indent=2) + "\n")
        except OutputError as error:
            _log.warning("the engine will be chosen again at the next start: %s", error)
    _log.info("measured once for this model and machine: %s", describe_choice(choice))
    return engines[winner]


def candidates(artifact: Artifact, device: str, precision: str) -> list[str]:
    """Installed engines among which `auto` chooses, at least one, the one most likely to win first.

    With a CUDA device those that can use it; without one, torch only where there is nothing else: eager torch takes
    two to three times as long on a CPU as a compiled graph, and a second of a robot's memory and start-up to find out.
    """
    if not artifact.onnx.is_file() and precision != "int8":
        return ["torch"]  # fresh from a training, not exported yet
    installed = [name for name in ENGINES[1:] if is_installed(name)]
    if device == "cuda" or (device == "auto" and "torch" in installed and _has_cuda()):
        wanted = ["onnxruntime"] if precision == "int8" else ["torch", *_onnxruntime_on_cuda(installed)]
    else:
        wanted = [name for name in installed if name != "torch"]
    return wanted or installed[:1] or ["openvino"]


def choice_file(artifact: Artifact, device: str, precision: str, threads: int) -> Path | None:
    """Where the choice is kept, None where nothing can be; the file need not exist."""
    folder = cache_folder("engines")
    if folder is None:
        return None
    asked_for = [artifact.digest, _machine(), device, precision, threads, *map(_version, ENGINES[1:])]
    key = hashlib.sha256(json.dumps(asked_for).encode()).hexdigest()[:24]
    return folder / f"{key}.json"


def read_choice(path: Path) -> Choice | None:
    """What was measured; None if it was not, or the file is not what we wrote."""
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        milliseconds = {str(name): float(taken) for name, taken in found["milliseconds"].items()}
        return Choice(str(found["engine"]), milliseconds, str(found["machine"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def describe_choice(choice: Choice) -> str:
    """The engines, fastest first."""
    order = sorted(choice.milliseconds.items(), key=lambda item: item[1])
    return "; ".join(f"{name} {taken:.1f} ms" for name, taken in order)


def _try(engine: Engine, artifact: Artifact) -> None:
    """Run a black frame; raises EngineError if that gives no scores of the artifact's classes."""
    image = np.zeros((*artifact.card.input_size, 3), np.uint8)
    where = f"{artifact.path}: on {engine.description}"
    check_scores(engine.scores(image[None]), [image], len(artifact.card.label_map.labels), where)


def _measure(engines: Mapping[str, Engine], size: tuple[int, int]) -> dict[str, float]:
    """Milliseconds of the fastest pass of engines that have run before; in turns, because other load varies."""
    image = np.zeros((1, *size, 3), np.uint8)
    fastest = dict.fromkeys(engines, float("inf"))
    end, turns = time.perf_counter() + MEASURE_S, 0
    while turns < _MIN_TURNS or time.perf_counter() < end:
        for name, engine in engines.items():
            began = time.perf_counter()
            engine.scores(image)
            fastest[name] = min(fastest[name], (time.perf_counter() - began) * 1e3)
        turns += 1
    return fastest


def _machine() -> str:
    return f"{processor()}, {accelerator()}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _has_cuda() -> bool:
    if not has_cuda_driver():
        return False  # and torch, which takes two seconds to load, need not be asked
    import torch

    return torch.cuda.is_available()


def _onnxruntime_on_cuda(installed: list[str]) -> list[str]:
    if "onnxruntime" not in installed:
        return []
    import onnxruntime

    return ["onnxruntime"] if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else []
