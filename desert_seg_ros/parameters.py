"""The node's parameters: one field, one ROS parameter. Validation lives here; declaring them is the node's job.

Imports no ROS, so that documentation and tests can read the list anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from desert_seg.engines.engine import DEVICES, ENGINES, PRECISIONS
from desert_seg.errors import DesertSegError
from desert_seg.ground import MAX_TILT_DEG
from desert_seg.image_header import MAX_PIXELS
from desert_seg.segmenter import WHOLE
from desert_seg.speeds import BALANCED, SPEEDS
from desert_seg.views import VIEW_SETS

TRANSPORTS = ("raw", "compressed", "ffmpeg", "foxglove")


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


_KINDS = {bool: "true or false", int: "a whole number", float: "a number with a point", str: "a text"}


def expectation(name: str) -> str:
    """What a parameter has to be, in words: `a number with a point from 0.0 to 1.0`."""
    item = next(item for item in fields(NodeParameters) if item.name == name)
    if isinstance(item.default, tuple):
        texts = "a list of texts, like ['one', 'another'] or ['']"
        return texts if item.default[0] == "" else "a list of numbers with a point"
    bounds = item.metadata["range"]
    return _KINDS[type(item.default)] + (f" from {bounds[0]} to {bounds[1]}" if bounds else "")


@dataclass(frozen=True)
class NodeParameters:
    """All parameters of the segmentation node. Metadata: description, live (settable while running), choices, range."""

    artifact: str = _parameter(
        "light", "Model artifact: a folder, or the name of a shipped model; ~/reload_model loads another.", live=True
    )
    engine: str = _parameter("auto", "Inference engine.", choices=ENGINES)
    device: str = _parameter("auto", "Device the engine runs on.", choices=DEVICES)
    precision: str = _parameter(
        "auto",
        "Arithmetic; auto is bf16 where it is fast, else f32; int8 is faster than f32, with slightly other masks.",
        choices=PRECISIONS,
    )
    self_test: bool = _parameter(True, "Refuse a model that does not see in the artifact's test frame what it should.")
    threads: int = _parameter(0, "CPU threads of the engine; 0 = all cores.", minimum=0, maximum=256)
    image_transport: str = _parameter("raw", "Kind of input topic.", choices=TRANSPORTS)
    max_pixels: int = _parameter(
        MAX_PIXELS, "Images of more pixels are refused before they are decoded.", minimum=1, maximum=2**30
    )
    cameras: tuple[str, ...] = _parameter(
        ("",), "Names of several cameras: each reads NAME/image and has its outputs under ~/NAME. [''] = one, unnamed."
    )
    region: tuple[float, ...] = _parameter(
        WHOLE, "Top, left, bottom, right of the part that is segmented, 0 to 1; the rest of the mask is 255."
    )
    traversability_policy: str = _parameter("", "YAML with the cost of each class for ~/traversability. '' = shipped.")
    autostart: bool = _parameter(True, "Configure and activate at start; false: wait for a lifecycle manager.")
    enabled: bool = _parameter(True, "Segment frames; false: drop them, keep the model loaded.", live=True)
    speed: str = _parameter(
        BALANCED,
        "Input size of the network: fast has half the height and width, fine a quarter more, if the model names no "
        "others.",
        live=True,
        choices=tuple(SPEEDS),
    )
    tta: str = _parameter("none", "Test-time augmentation views.", live=True, choices=tuple(VIEW_SETS))
    suppressed_classes: tuple[str, ...] = _parameter(
        ("",), "Names of classes never to predict; the next best class wins. [''] = none.", live=True
    )
    confidence_threshold: float = _parameter(
        0.0, "Pixels less confident than this become 255 (unknown); 0 = off.", live=True, minimum=0.0, maximum=1.0
    )
    unknown_threshold: float = _parameter(
        0.0,
        "Score above which ~/unknown flags terrain; 0 = the artifact's own threshold.",
        live=True,
        minimum=-1000.0,
        maximum=1000.0,
    )
    probabilities: bool = _parameter(False, "Publish ~/probabilities to whoever subscribes.", live=True)
    latency_budget_ms: float = _parameter(
        0.0,
        "While the 95th percentile of latency is above it, views are dropped, then input resolution; 0 = off.",
        live=True,
        minimum=0.0,
        maximum=60000.0,
    )
    smoothing: float = _parameter(
        0.0,
        "Weight of the past when scores are averaged over time, moved with the camera if its pose is known; 0 = off.",
        live=True,
        minimum=0.0,
        maximum=0.95,
    )
    world_frame: str = _parameter(
        "", "Frame with z up, like odom, in which /tf tells where the camera is; '' = /tf is not read."
    )
    camera_height_m: float = _parameter(
        1.5,
        "Height of the camera over the ground, for `smoothing`, ~/obstacles and ~/free_space.",
        live=True,
        minimum=0.1,
        maximum=100.0,
    )
    camera_pitch_deg: float = _parameter(
        0.0,
        "How far the camera looks down, degrees, for ~/obstacles and ~/free_space while its pose is not known.",
        live=True,
        minimum=-MAX_TILT_DEG,
        maximum=MAX_TILT_DEG,
    )
    obstacles_range_m: float = _parameter(
        10.0, "How far ~/obstacles and ~/free_space reach along the ground.", live=True, minimum=1.0, maximum=100.0
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
    min_rate_hz: float = _parameter(
        0.0,
        "Images coming slower than this are a warning in /diagnostics, Hz; 0 = off.",
        live=True,
        minimum=0.0,
        maximum=1000.0,
    )
    watchdog_s: float = _parameter(
        60.0,
        "A frame that takes longer ends the process with code 1, seconds; 0 = never.",
        live=True,
        minimum=0.0,
        maximum=3600.0,
    )
    overlay_alpha: float = _parameter(0.5, "Opacity of the colours in ~/overlay.", live=True, minimum=0.0, maximum=1.0)

    def __post_init__(self) -> None:
        for item in fields(self):
            value, choices, bounds = getattr(self, item.name), item.metadata["choices"], item.metadata["range"]
            if value is None:  # what ROS makes of an empty list, whose type it cannot tell
                raise ParameterError(f"{item.name} is empty; it must be {expectation(item.name)}")
            if choices and value not in choices:
                raise ParameterError(f"{item.name} is {value!r}; choose one of: {', '.join(choices)}")
            if bounds and not bounds[0] <= value <= bounds[1]:
                raise ParameterError(f"{item.name} is {value}; it must be from {bounds[0]} to {bounds[1]}")
        region = self.region
        ordered = len(region) == 4 and 0 <= region[0] < region[2] <= 1 and 0 <= region[1] < region[3] <= 1
        if not ordered:
            raise ParameterError(
                f"region is {list(region)}; it must be [top, left, bottom, right] from 0 to 1, like "
                "[0.3, 0.0, 1.0, 1.0]"
            )
        unusable = [name for name in self.cameras if name and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)]
        mixed = "" in self.cameras and len(self.cameras) > 1
        if unusable or mixed or len(set(self.cameras)) != len(self.cameras):
            raise ParameterError(
                f"cameras is {list(self.cameras)}; it must be different names of letters, digits and _, like "
                "['front', 'left']"
            )

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
