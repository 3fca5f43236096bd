"""Python, our packages, the shipped model, and the engines."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator

from desert_seg.artifact import load_artifact
from desert_seg.engines.engine import ENGINES, is_installed
from desert_seg.errors import DesertSegError
from desert_seg.program import installed_version
from desert_seg.share import find_artifact, share_directory
from desert_seg_train.doctor.finding import Finding, fault, fault_of, ok, warning
from desert_seg_train.doctor.probe import Probe

NEEDED = {
    "runtime": ("cv2", "jinja2", "lz4", "mcap", "rosbags", "zstandard"),
    "train": ("torch", "torchvision", "segmentation_models_pytorch", "timm", "safetensors", "onnx", "scipy"),
}
"""Extra -> modules that it installs and its commands import."""


def python() -> Finding:
    """The interpreter and the system."""
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    return ok("Python", f"{platform.python_version()}, {sys.executable}; {system}")


def installation() -> Finding:
    """Our packages, and the files that are installed with them."""
    try:
        return ok("desert_seg", f"{installed_version()}, files in {share_directory()}")
    except DesertSegError as error:
        return fault_of("desert_seg", error)


def packages() -> Iterator[Finding]:
    """What each extra brings."""
    for extra, names in NEEDED.items():
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        cure = f"pip install '.[{extra}]' in the checkout"
        if not missing:
            yield ok(f"packages: {extra}", "all there")
        elif extra == "runtime":
            yield fault(f"packages: {extra}", f"not installed: {', '.join(missing)}", cure)
        elif len(missing) == len(names):
            yield ok(f"packages: {extra}", f"not installed; only training and what judges models needs it ({cure})")
        else:
            yield warning(f"packages: {extra}", f"not installed: {', '.join(missing)}", cure)


def model() -> Finding:
    """Whether the shipped model is whole."""
    try:
        artifact = load_artifact(find_artifact("light"))
    except DesertSegError as error:
        return fault_of("model light", error)
    return ok("model light", f"whole, {artifact.digest[:12]}")


def start_engines() -> dict[str, Probe]:
    """Begin to try the engines, and what `auto` takes; torch takes seconds, and is asked with the GPU."""
    names = [name for name in ENGINES[1:] if name != "torch" and is_installed(name)]
    return {name: Probe(name) for name in [*names, "auto"]}


def engines(probes: dict[str, Probe]) -> Iterator[Finding]:
    """Every engine, and what `auto` takes."""
    usable = is_installed("torch")
    for name in ENGINES[1:]:
        if not is_installed(name):
            yield ok(f"engine {name}", "not installed")
            continue
        version = _version(name)
        if name == "torch":
            yield ok(f"engine {name}", version)
            continue
        answer = probes[name].answer()
        if answer.loaded:
            yield ok(f"engine {name}", f"{version}, {answer.text}")
        else:
            cure = f"pip install --force-reinstall {name}, or pip uninstall {name} if another engine is there"
            yield fault(f"engine {name}", f"{version} does not load: {answer.text}", cure)
        usable = usable or answer.loaded
    auto = probes["auto"].answer()
    if not usable:
        yield fault("engine auto", "there is no engine that loads", "pip install openvino")
    elif auto.loaded:
        yield ok("engine auto", f"takes {auto.text}")
    else:
        yield fault(
            "engine auto", f"cannot choose: {auto.text}", "mend what is said above of the model and the engines"
        )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # onnxruntime-gpu, for one, has another name
        return "of unknown version"
