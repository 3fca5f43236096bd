"""Domain randomisation: worlds drawn between a given one and the shipped ones. A pure function of its generator."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np

from desert_seg_train.synth.worlds import Layer, Weather, World, load_world, shipped_geologies, shipped_worlds

_DENSITY_SPREAD, _HAZE_SPREAD, _COLOR_SPREAD, _SOIL_SPREAD = 0.4, 0.5, 0.12, 0.2
"""Standard deviations of the logarithms of the random factors."""

_NUM_GEOLOGIES = 3


def draw_world(base: World, generator: np.random.Generator) -> World:
    """A world between `base` and a shipped one.

    Ground, light, weather and camera are interpolated by one share, and soil and light change colour; each layer of
    either world is kept with the probability of that world's share, and changed in density and colour; rocks are drawn
    from the whole catalogue.
    """
    others = [name for name in shipped_worlds() if name != base.name]
    other = load_world(others[generator.integers(len(others))])
    share = float(generator.random())
    chances = [(layer, 1 - share) for layer in base.layers] + [(layer, share) for layer in other.layers]
    layers = [_vary(layer, generator) for layer, chance in chances if generator.random() < chance]
    weather = _mix(base.weather, other.weather, share)
    haze = weather.haze_per_m * np.exp(generator.normal(0, _HAZE_SPREAD))
    catalogue = list(shipped_geologies().values())
    picked = generator.permutation(len(catalogue))[:_NUM_GEOLOGIES]
    return World(
        name=f"{base.name}_{other.name}_{round(100 * share):02d}",
        about=f"{share:.0%} of the way from {base.name} to {other.name}",
        ground=_tint(_mix(base.ground, other.ground, share), _SOIL_SPREAD, generator),
        light=_tint(_mix(base.light, other.light, share), _COLOR_SPREAD, generator),
        weather=Weather(float(haze), weather.clouds),
        camera=_mix(base.camera, other.camera, share),
        geologies=tuple(catalogue[i] for i in picked),
        geologies_per_scene=int(generator.integers(1, _NUM_GEOLOGIES + 1)),
        layers=tuple(layers) or (base.layers[0],),
    )


def _mix(first: Any, second: Any, share: float) -> Any:
    """Linear interpolation of the numbers of two records; anything else is taken from the nearer one."""
    if dataclasses.is_dataclass(first):
        names = [field.name for field in dataclasses.fields(first)]
        return replace(first, **{n: _mix(getattr(first, n), getattr(second, n), share) for n in names})  # type: ignore[type-var]
    if isinstance(first, tuple):
        return tuple(_mix(a, b, share) for a, b in zip(first, second, strict=True))
    if isinstance(first, float):
        return first + (second - first) * share
    return first if share < 0.5 else second


def _vary(layer: Layer, generator: np.random.Generator) -> Layer:
    shape = _tint(layer.shape, _COLOR_SPREAD, generator)
    density = layer.per_m2 * float(np.exp(generator.normal(0, _DENSITY_SPREAD)))
    return replace(layer, per_m2=density, shape=shape)


def _tint(record: Any, spread: float, generator: np.random.Generator) -> Any:
    """The record with all its colours multiplied by one random colour, log-normal with this deviation."""
    tint = np.exp(generator.normal(0, spread, 3))
    colors = {
        field.name: tuple(float(c * t) for c, t in zip(value, tint, strict=True))
        for field in dataclasses.fields(record)
        if _is_color(value := getattr(record, field.name)) and field.name != "radii_m"
    }
    return replace(record, **colors)


def _is_color(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(isinstance(part, float) for part in value)
