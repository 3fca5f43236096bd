"""Headless OpenGL: the context, the shader programs and the noise texture. Knows nothing of scenes.

The context comes through EGL, from Mesa's software renderer or a GPU's driver, whichever is available.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from desert_seg.errors import DesertSegError
from desert_seg_train.synth.noise import spectral_noise

THING_FORMAT = ("4f 4f 4f/i", "at_yaw", "scale_shade", "slope_hue")
"""Layout of the rows of `Things.places` for vertex shaders; THING_BYTES each."""

THING_BYTES = 48

_EGL: dict[str, Any] = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}
"""Library names of Debian's runtime packages; by default moderngl looks for those of the -dev packages."""

_SHADERS = Path(__file__).parent / "shaders"
_NOISE_SIDE = 512

_PROGRAMS = {
    "ground": (("common.glsl", "place.glsl", "thing.vert"), ("common.glsl", "ground.frag")),
    "rock": (("common.glsl", "place.glsl", "thing.vert"), ("common.glsl", "rock.frag")),
    "foliage": (("common.glsl", "place.glsl", "thing.vert"), ("common.glsl", "foliage.frag")),
    "sky": (("screen.vert",), ("common.glsl", "sky.frag")),
    "shadow": (("place.glsl", "shadow.vert"), ("shadow.frag",)),
    "contact": (("contact.vert",), ("contact.frag",)),
    "resolve": (("screen.vert",), ("resolve.frag",)),
}
"""Source files of each program's vertex and fragment shader."""


def open_context() -> moderngl.Context:
    """Open a context of this process.

    Raises:
        DesertSegError: The libraries are missing, or offer no context.
    """
    try:
        return moderngl.create_context(standalone=True, require=330, **_EGL)
    except Exception as error:  # moderngl raises plain Exception
        raise DesertSegError(
            f"found no OpenGL 3.3 through EGL ({error}), which rendering needs; "
            "install the Debian packages libegl1 libgl1 libgl1-mesa-dri"
        ) from error


def load_programs(context: moderngl.Context) -> dict[str, moderngl.Program]:
    """Compile every program, by name."""
    return {
        name: context.program(vertex_shader=_source(vertex), fragment_shader=_source(fragment))
        for name, (vertex, fragment) in _PROGRAMS.items()
    }


def set_uniforms(program: moderngl.Program, values: Mapping[str, Any]) -> None:
    """Set the uniforms that the program uses and ignore the others; matrices are row-major, as in numpy."""
    for name, value in values.items():
        if name in program:
            uniform = program[name]
            assert isinstance(uniform, moderngl.Uniform)
            uniform.value = tuple(np.asarray(value, float).T.ravel()) if np.ndim(value) else value


def noise_texture(context: moderngl.Context) -> moderngl.Texture:
    """The tiling noise that surfaces and clouds are made of: slope x, slope y, 1/f noise, fine noise."""
    smooth = spectral_noise(_NOISE_SIDE, 1.15, np.random.default_rng(1))
    rough = spectral_noise(_NOISE_SIDE, 0.35, np.random.default_rng(2))
    grains = (rough + np.roll(rough, 1, 0) + np.roll(rough, 1, 1)) / 3
    slopes = [np.gradient(smooth, axis=axis) * 9 + 0.5 for axis in (1, 0)]
    values: npt.NDArray[Any] = np.clip(np.stack([*slopes, smooth, grains], -1), 0, 1) * 255
    texture = context.texture((_NOISE_SIDE, _NOISE_SIDE), 4, values.astype(np.uint8).tobytes())
    texture.build_mipmaps()
    texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
    return texture


def _source(files: tuple[str, ...]) -> str:
    text = "".join((_SHADERS / name).read_text(encoding="utf-8") for name in files)
    lines = [line for line in text.splitlines() if not line.startswith("#version")]
    return "\n".join(["#version 330", *lines])
