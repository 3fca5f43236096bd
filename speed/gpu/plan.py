"""The lines of a run, in the order of their worth: what comes last is cut first. Imports nothing heavy.

A part is a process of its own, so that a crash of the driver, an error that a CUDA context does not recover from, or a
hang costs the lines of one part.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from speed.options import ROOT

TESTS = ROOT / "test" / "test_gpu_device.py"
"""The tests marked `cuda`."""


@dataclass(frozen=True)
class Setting:
    """What all lines run with.

    Attributes:
        device: `cpu` or `cuda`.
        quick: See `GpuOptions`, as for the next.
        data: See there.
        work: Folder for what is made on the way: artifacts, checkpoints.
        deadline: When everything has to be over, seconds since the epoch.
    """

    device: str
    quick: bool
    data: Path | None
    work: Path
    deadline: float

    @property
    def has_goals(self) -> bool:
        """Whether the figures are those that goals are set for."""
        return self.device == "cuda" and not self.quick


@dataclass(frozen=True)
class Line:
    """What is reported as run or not run; `seconds` is about how long it takes on a data-centre GPU."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Part:
    """Lines that one process runs.

    Attributes:
        name: Its name in the report.
        module: Whose function `lines(setting, subject)` maps the names of the lines to the functions that run them.
        subject: What they are about: a network, a recipe.
        lines: In order.
    """

    name: str
    module: str
    subject: str
    lines: tuple[Line, ...]


_NETWORK = (
    Line("bare network", 20),
    Line("message to message", 25),
    Line("batches of four", 15),
    Line("against eager torch", 15),
)


def parts() -> tuple[Part, ...]:
    """All parts of a run."""
    tests = tuple(Line(name, 60 if number == 0 else 1) for number, name in enumerate(test_names(TESTS)))
    return (
        Part("tests", "speed.gpu.tests", "", tests),
        Part("reference network", "speed.gpu.inference", "reference", _NETWORK),
        Part("light", "speed.gpu.inference", "light", (*_NETWORK, Line("bf16 against float32", 5))),
        Part(
            "training, reference recipe",
            "speed.gpu.training",
            "reference",
            (Line("steps", 90), Line("resumed", 25)),
        ),
        Part(
            "node's path without ROS",
            "speed.gpu.node_path",
            "light",
            (
                Line("raw images, one by one", 5),
                Line("JPEG images, one by one", 5),
                Line("sent twice what it can do", 6),
            ),
        ),
        Part("DINOv2-S", "speed.gpu.inference", "dinov2_small", _NETWORK[:2]),
        Part("training, DINOv2-S", "speed.gpu.training", "dinov2_small", (Line("steps", 40),)),
        Part("make bench", "speed.gpu.bench", "", (Line("light", 60), Line("reference network", 60))),
    )


def test_names(path: Path) -> tuple[str, ...]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return tuple(name for name in functions if name.startswith("test_"))
