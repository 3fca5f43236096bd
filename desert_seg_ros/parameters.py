"""The node's parameters: one field, one ROS parameter. Validation lives here; declaring them is the node's job.

Imports no ROS, so that documentation and tests can read the list anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from desert_seg.engines.engine import DEVICES, ENGINES, PRECISIONS
from desert_seg.errors import DesertSegError
from desert_seg.views import VIEW_SETS

TRANSPORTS = ("raw", "compressed")


class ParameterError(DesertSegError):
    """A parameter has a value it cannot have."""


def _parameter(
    default: Any,
    description: str,
    *,
    live: bool = False,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    return field(
        default=default,
        metadata={
            "description": description,
            "live": live,
            "choices": choices,
            "range": None if minimum is None else (minimum, maximum),
        },
    )


@dataclass(frozen=True)
class NodeParameters:
    """All parameters of the segmentation node. Metadata: description, live (settable while running), choices, range."""

    artifact: str = _parameter("light", "Model artifact: a folder, or the name of a shipped model.")
    engine: str = _parameter("auto", "Inference engine.", choices=ENGINES)
    device: str = _parameter("auto", "Device the engine runs on.", choices=DEVICES)
    precision: str = _parameter("auto", "Arithmetic; auto is bf16 where it is fast.", choices=PRECISIONS)
    threads: int = _parameter(0, "CPU threads of the engine; 0 = all cores.", minimum=0, maximum=256)
    image_transport: str = _parameter("raw", "Kind of input topic.", choices=TRANSPORTS)
    autostart: bool = _parameter(True, "Configure and activate at start; false: wait for a lifecycle manager.")
    enabled: bool = _parameter(True, "Segment frames; false: drop them, keep the model loaded.", live=True)
    tta: str = _parameter("none", "Test-time augmentation views.", live=True, choices=tuple(VIEW_SETS))
    suppressed_classes: tuple[str, ...] = _parameter(
        ("",), "Names of classes never to predict; the next best class wins. [''] = none.", live=True
    )
    confidence_threshold: float = _parameter(
        0.0, "Pixels less confident than this become 255 (unknown); 0 = off.", live=True, minimum=0.0, maximum=1.0
    )
    max_age_s: float = _parameter(
        0.0,
        "Frames older than this on the node's clock are dropped, seconds; 0 = off.",
        live=True,
        minimum=0.0,
        maximum=3600.0,
    )
    max_rate_hz: float = _parameter(
        0.0,
        "Frames are dropped to keep below this rate of stamps, Hz; 0 = off.",
        live=True,
        minimum=0.0,
        maximum=1000.0,
    )
    overlay_alpha: float = _parameter(0.5, "Opacity of the colours in ~/overlay.", live=True, minimum=0.0, maximum=1.0)

    def __post_init__(self) -> None:
        for item in fields(self):
            value, choices, bounds = getattr(self, item.name), item.metadata["choices"], item.metadata["range"]
            if choices and value not in choices:
                raise ParameterError(f"{item.name} is {value!r}; choose one of: {', '.join(choices)}")
            if bounds and not bounds[0] <= value <= bounds[1]:
                raise ParameterError(f"{item.name} is {value}; it must be from {bounds[0]} to {bounds[1]}")

    def suppressed(self) -> tuple[str, ...]:
        """`suppressed_classes` without empty names."""
        return tuple(name for name in self.suppressed_classes if name)

    def changed(self, values: Mapping[str, Any]) -> NodeParameters:
        """A copy with new values, ignoring names that are not ours; raises ParameterError if one is not allowed."""
        ours = {item.name for item in fields(self)}
        accepted: dict[str, Any] = {
            name: tuple(value) if isinstance(value, (list, tuple)) else value
            for name, value in values.items()
            if name in ours
        }
        return replace(self, **accepted)
