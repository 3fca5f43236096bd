"""Worlds: a desert described as data, read from YAML and written back to it.

A world says what exists and how much of it, but not where: `scene.py` draws the places from a seed. Colours are linear
light (not sRGB), lengths metres, angles degrees. Shipped worlds are the files in `worlds/`, and `geologies.yaml` is the
catalogue of rocks they name; a world may also describe rocks of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from desert_seg.errors import DataError
from desert_seg.labels import load_label_map
from desert_seg.yaml_file import find_yaml, read_yaml, shipped_names, shown
from desert_seg_train.synth.records import from_data, to_data
from desert_seg_train.synth.rocks import Geology, Rock
from desert_seg_train.synth.species import BroadTree, Bush, Color, Flowers, Grass, JoshuaTree, Litter, Log

LABELS = load_label_map("falcon10")
"""The classes of a rendered mask and their raw values."""

Range: TypeAlias = tuple[float, float]
"""Smallest and largest."""

_SHIPPED = Path(__file__).parent / "worlds"
_GEOLOGIES = Path(__file__).parent / "geologies.yaml"


@dataclass(frozen=True)
class Ground:
    """The soil and the shape of the land.

    Attributes:
        color: Albedo.
        second_color: Albedo of other places.
        track_color: Albedo of the track.
        track: How visible the track is, 0..1.
        ripples: Wind ripples, 0..1.
        gravel: Grain of the soil, 0..1.
        straw: Dead stalks lying on the soil, 0..1.
        relief_m: Height of bumps with a wavelength of about 70 m.
        hills_m: Height of hills with a wavelength of about 400 m.
        mountains_m: Height of the mountains at the horizon.
        mountains: Shape of the mountains.
        strata: Colour bands on slopes, 0..1.
    """

    color: Color
    second_color: Color
    track_color: Color
    track: float = 0.75
    ripples: float = 0.3
    gravel: float = 0.4
    straw: float = 0.0
    relief_m: float = 3.0
    hills_m: float = 14.0
    mountains_m: float = 60.0
    mountains: Literal["ridges", "mesas"] = "ridges"
    strata: float = 0.0


@dataclass(frozen=True)
class Light:
    """Sun and sky.

    Attributes:
        elevation_deg: Elevation of the sun.
        sun: Light of the sun.
        zenith: Light of the sky at the zenith.
        horizon: Light of the sky at the horizon.
        ambient: Share of the sky's light that reaches a surface.
        exposure: Exposure of the camera.
    """

    elevation_deg: Range
    sun: Color
    zenith: Color
    horizon: Color
    ambient: float = 0.5
    exposure: float = 0.8


@dataclass(frozen=True)
class Weather:
    """Haze and clouds.

    Attributes:
        haze_per_m: Share of a surface's light lost per metre of air.
        clouds: Share of the sky that they cover, 0..1.
    """

    haze_per_m: float = 0.001
    clouds: float = 0.5


@dataclass(frozen=True)
class Rig:
    """The camera on the vehicle.

    Attributes:
        height_m: Height above the ground.
        pitch_deg: Pitch relative to the vehicle, up is positive; a drive has the middle of the range.
        fov_deg: Horizontal field of view.
    """

    height_m: Range = (1.3, 2.3)
    pitch_deg: Range = (-6.0, 2.0)
    fov_deg: float = 70.0


@dataclass(frozen=True)
class Layer:
    """One kind of thing scattered over the land.

    Attributes:
        label: Its class.
        shape: The shape of each instance.
        per_m2: Number per square metre where a patch is full.
        size: Scale of the shape.
        patch_m: Wavelength of the patches.
        patch: Value of the noise where patches begin, and where they are full; 0..1.
        reach_m: Furthest distance from the track.
        clear_m: Nearest distance to the middle of the track.
        thin_per_m: Share left out per metre beyond 12 m from the track; the rest become wider instead.
        sink: Depth in the ground relative to the size.
        contact: How much it darkens the ground around it, 0..1.
        shadow: Whether it casts a shadow.
        variants: Number of different meshes.
    """

    label: str
    shape: Grass | Bush | BroadTree | JoshuaTree | Flowers | Litter | Log | Rock
    per_m2: float
    size: Range = (0.7, 1.3)
    patch_m: float = 20.0
    patch: Range = (0.4, 0.6)
    reach_m: float = 100.0
    clear_m: float = 1.6
    thin_per_m: float = 0.0
    sink: float = 0.0
    contact: float = 0.4
    shadow: bool = True
    variants: int = 4

    def __post_init__(self) -> None:
        if self.label not in LABELS.labels.names or self.label in ("Landscape", "Sky"):
            others = [name for name in LABELS.labels.names if name not in ("Landscape", "Sky")]
            raise ValueError(f"nothing can be strewn as {self.label!r}; labels are {', '.join(others)}")
        if not (self.per_m2 >= 0 and self.variants >= 1 and 0 < self.size[0] <= self.size[1]):
            raise ValueError(
                "per_m2 is not negative, variants are at least 1, and size is [smallest, largest], above 0"
            )
        if not (self.patch[0] < self.patch[1] and self.patch_m > 0 and self.reach_m > 0):
            raise ValueError("patch is [begins, full], rising, and patch_m and reach_m are above 0")


@dataclass(frozen=True)
class World:
    """A desert.

    Attributes:
        name: Name, also for file names.
        about: A sentence about it.
        ground: Soil and land.
        light: Sun and sky.
        weather: Haze and clouds.
        camera: Camera on the vehicle.
        geologies: The rocks that occur.
        geologies_per_scene: Number of them in one scene.
        layers: What is scattered over the land.
    """

    name: str
    about: str
    ground: Ground
    light: Light
    weather: Weather
    camera: Rig
    geologies: tuple[Geology, ...]
    geologies_per_scene: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.geologies_per_scene <= len(self.geologies):
            raise ValueError(f"geologies_per_scene is {self.geologies_per_scene}, of {len(self.geologies)} geologies")
        if not 10 <= self.camera.fov_deg <= 150:
            raise ValueError(f"camera.fov_deg is {self.camera.fov_deg}, expected 10 to 150")
        for name, pair in (
            ("camera.height_m", self.camera.height_m),
            ("camera.pitch_deg", self.camera.pitch_deg),
            ("light.elevation_deg", self.light.elevation_deg),
        ):
            if pair[0] > pair[1]:
                raise ValueError(f"{name} is {list(pair)}, expected [smallest, largest]")
        if self.light.elevation_deg[0] <= 0 or self.light.elevation_deg[1] > 90:
            raise ValueError("light.elevation_deg is above 0 and at most 90; a desert at night is not rendered")


def shipped_worlds() -> list[str]:
    """Names of the worlds that come with the package."""
    return shipped_names(_SHIPPED)


def shipped_geologies() -> dict[str, Geology]:
    """The catalogue of rocks by name."""
    return {
        name: from_data(Geology, {"name": name} | data, f"{_GEOLOGIES.name}: {name}")
        for name, data in read_yaml(_GEOLOGIES).items()
    }


def load_world(name_or_path: str | Path) -> World:
    """Read a shipped world by name, or any world by path.

    Raises:
        DataError: There is no such world, or the file is not one.
    """
    path = find_yaml(name_or_path, _SHIPPED, "world")
    return from_data(World, _with_catalogue(read_yaml(path), path), str(path))


def dump_world(world: World) -> str:
    """A world as YAML that stands alone: geologies are written out."""
    return yaml.safe_dump(to_data(world), sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def _with_catalogue(data: Any, path: Path) -> Any:
    """Replace the names of catalogued geologies by their definitions."""
    if not isinstance(data, dict) or not isinstance(data.get("geologies"), list):
        return data
    catalogue = shipped_geologies()
    geologies = []
    for entry in data["geologies"]:
        if isinstance(entry, str) and entry not in catalogue:
            raise DataError(f"{path}: there is no geology {shown(entry)}; there are: {', '.join(sorted(catalogue))}")
        geologies.append(to_data(catalogue[entry]) if isinstance(entry, str) else entry)
    return data | {"geologies": geologies}
