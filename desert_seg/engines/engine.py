"""What an engine is, and what the engines share.

An engine maps frames at network size to class scores on the decoder's grid. It knows nothing of views, masks,
labels or ROS; normalisation and channel layout are inside the graph it runs.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from desert_seg.artifact import Artifact
from desert_seg.errors import DesertSegError, EngineError, is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

ENGINES = ("auto", "openvino", "onnxruntime", "torch")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "f32", "bf16", "int8")

_PLACES_IN_SOURCE = re.compile(r"(Exception from|Check '.*' failed at) \S+:\d+:")
"""Source locations at the beginning of OpenVINO's errors, which are removed."""


class Engine(Protocol):
    """Runs one network on one device."""

    description: str
    """For people: backend, precision, device."""

    precision: str
    """What it computes in: one of `PRECISIONS` but `auto`."""

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Score a batch.

        Args:
            images: NHW3 uint8 RGB, contiguous, writable; H and W multiples of 32. The first call with a new size is
                slow.

        Returns:
            NKhw float32 scores; valid until the next call.
        """
        ...


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine that leaves its scores on its device, where `desert_seg.device` processes them."""

    def device_scores(self, images: npt.NDArray[np.uint8]) -> Tensor:
        """As `scores`, but NKhw float32 on the device, computed when this returns; valid until the next call."""
        ...


def is_installed(engine: str) -> bool:
    """Whether the package of an engine is there; the package has the engine's name."""
    return importlib.util.find_spec(engine) is not None


def choose_precision(artifact: Artifact, engine: str, precision: str, candidates: tuple[str, ...]) -> str:
    """Resolve `auto`.

    Args:
        artifact: Its parity report may refuse a precision.
        engine: Whose precision it is.
        precision: One of `PRECISIONS`; anything but `auto` is returned unchanged.
        candidates: What `auto` stands for: the best first.

    Raises:
        EngineError: The report refuses all candidates.
    """
    if precision != "auto":
        return precision
    for candidate in candidates:
        if artifact.parity is None or not artifact.parity.is_refused(engine, candidate):
            return candidate
    raise EngineError(
        f"{artifact.path}: its parity report refuses {engine} at {' and '.join(candidates)}; use another engine, or "
        f"name a precision to run it all the same"
    )


def graph_file(artifact: Artifact, precision: str) -> Path:
    """The ONNX graph for a precision.

    Raises:
        EngineError: The artifact holds none.
    """
    path = artifact.int8_onnx if precision == "int8" else artifact.onnx
    if path.is_file():
        return path
    command = f"desert-seg export --model {artifact.path} --out {artifact.path}"
    if precision == "int8":
        raise EngineError(
            f"{artifact.path}: found no {path.name}, which precision int8 needs; make it with "
            f"`{command} --int8 --images FOLDER`, or choose another precision"
        )
    raise EngineError(f"{artifact.path}: found no {path.name}; make it with `{command}`, or use torch")


@contextmanager
def backend_errors(what: str, cure: str) -> Iterator[None]:
    """Turn whatever a backend raises into an EngineError.

    Args:
        what: What was tried, for example `/models/light/model.onnx: OpenVINO cannot read it`.
        cure: What to do about it, unless memory ran out.
    """
    try:
        yield
    except DesertSegError:
        raise
    except Exception as error:  # each backend has types of its own, and raises Python's, too
        reason = " ".join(_PLACES_IN_SOURCE.sub("", str(error)).split())
        if is_out_of_memory(error):
            reason, cure = "out of memory", "free memory on the device it runs on, or use a smaller model or input size"
        raise EngineError(f"{what} ({reason[:200] or type(error).__name__}); {cure}") from error


def check_scores(
    scores: npt.NDArray[np.float32] | Tensor, images: Sequence[npt.NDArray[np.uint8]], num_classes: int, where: str
) -> None:
    """See that what an engine answered is scores of a model's classes.

    Args:
        scores: What should be NKhw float32.
        images: The N network inputs, HxWx3.
        num_classes: K.
        where: The model and the engine, for the error: `light: on openvino f32 on cpu`.

    Raises:
        EngineError: It is something else.
    """
    height, width = images[0].shape[:2]
    kind, shape = str(scores.dtype).removeprefix("torch."), tuple(scores.shape)
    found = f"{kind} of shape {'x'.join(map(str, shape))}"
    fits = kind == "float32" and len(shape) == 4 and shape[:2] == (len(images), num_classes)
    if not fits or not _is_grid(shape[2:], (height, width)):
        raise EngineError(
            f"{where} the network answers a frame of {height}x{width} with {found}, "
            f"expected float32 of {len(images)}x{num_classes} planes, one for each class, on a grid of the frame; "
            "export the model again with its own label map"
        )


def _is_grid(grid: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether an (h, w) is a frame's (H, W) divided by one number."""
    height, width = grid
    return 0 < height <= size[0] and height * size[1] == width * size[0]


def score_one_by_one(
    images: npt.NDArray[np.uint8], score: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """Score a batch with a graph for one image, which on a CPU takes no longer than a graph for several.

    Args:
        images: NHW3 uint8.
        score: 1HW3 uint8 to 1Khw float32, which may be overwritten by its next call.

    Returns:
        NKhw float32; the buffer of `score` itself if there is one image.
    """
    if len(images) == 1:
        return score(images)
    return np.concatenate([score(images[number : number + 1]).copy() for number in range(len(images))])
