"""Draws a scene: shadow maps, contact map and an image with four samples per pixel give one labelled frame.

Colour, class and depth come from the same triangles in the same pass, so they agree to the pixel. The same scene,
pose and size give the same bytes on one machine. Knows nothing of files.

Shape letters: N places of a mesh, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt

from desert_seg_train.synth.camera import Camera
from desert_seg_train.synth.gl import load_programs, noise_texture, open_context, set_uniforms
from desert_seg_train.synth.meshes import UP, unit
from desert_seg_train.synth.noise import Floats
from desert_seg_train.synth.scene import Scene
from desert_seg_train.synth.upload import Item, UploadedScene
from desert_seg_train.synth.worlds import LABELS

_NEAR_M, _FAR_M = 0.25, 4000.0
_SKY_CLIP = 0.99999
"""Depth-buffer value between the furthest ground, at 2.2 km, and the sky."""

_SAMPLES = 4
_LEAST_ANGLE = 0.002
"""Things smaller than this angle (size over distance, radians) are left out: 1.4 pixels at a width of 960."""


@dataclass(frozen=True)
class _ShadowMap:
    """One of the two shadow maps: distance of its centre ahead, half its size, its depth, and what casts shadows."""

    pixels: int
    ahead_m: float
    half_m: float
    depth_m: float
    from_m: float
    to_m: float
    least_angle: float
    least_size_m: float


_SHADOW_MAPS = (
    _ShadowMap(2048, 19.0, 21.0, 50.0, 0.0, 42.0, 0.006, 0.0),
    _ShadowMap(1024, 75.0, 85.0, 160.0, 22.0, 120.0, 0.0, 0.8),
)
_CONTACT_PIXELS, _CONTACT_HALF_M, _CONTACT_AHEAD_M = 1024, 21.0, 19.0
_CONTACT_REACH = 1.5
"""Radius of the darkened ground relative to the thing's footprint."""


@dataclass(frozen=True)
class Frame:
    """A rendered frame.

    Attributes:
        image: HxWx3 uint8 RGB.
        labels: HxW uint8, index of the class in `LABELS.labels`.
        depth: HxW float32, metres along the optical axis, inf in the sky.
        num_triangles: Number of triangles drawn into the image.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    num_triangles: int


@dataclass(frozen=True)
class _Visible:
    """The visible instances of an item: those in the image, nearest first, and those in each shadow map."""

    item: Item
    seen: npt.NDArray[np.float32]
    casting: list[npt.NDArray[np.float32]]


class Renderer:
    """Renders frames of one size; keeps the last scene in graphics memory."""

    def __init__(self, width: int, height: int) -> None:
        """Open the OpenGL context.

        Raises:
            DesertSegError: The machine has no OpenGL.
        """
        self._context = context = open_context()
        self._size = (width, height)
        self._programs = load_programs(context)
        self._noise = noise_texture(context)
        self._samples = context.texture(self._size, 4, samples=_SAMPLES)
        self._depths = context.depth_texture(self._size, samples=_SAMPLES)
        self._picture = context.framebuffer([self._samples], self._depths)
        self._resolved = context.framebuffer(
            [context.texture(self._size, 4), context.texture(self._size, 1, dtype="f4")]
        )
        self._shadow_maps = [context.depth_texture((plan.pixels, plan.pixels)) for plan in _SHADOW_MAPS]
        self._shadow_buffers = [context.framebuffer(depth_attachment=texture) for texture in self._shadow_maps]
        for texture in self._shadow_maps:
            texture.compare_func, texture.repeat_x, texture.repeat_y = "<=", False, False
        self._contact_map = context.texture((_CONTACT_PIXELS, _CONTACT_PIXELS), 1)
        self._contact_map.repeat_x = self._contact_map.repeat_y = False
        self._contact_buffer = context.framebuffer([self._contact_map])
        self._corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32).tobytes())
        self._sky, self._resolve = (
            context.vertex_array(self._programs[name], [(self._corners, "2f", "corner_in")])
            for name in ("sky", "resolve")
        )
        self._uploaded: UploadedScene | None = None

    @property
    def description(self) -> str:
        """Name of the graphics card or software renderer."""
        return str(self._context.info["GL_RENDERER"])

    def load(self, scene: Scene) -> UploadedScene:
        """Upload a scene to graphics memory, unless it is there."""
        if self._uploaded is None or self._uploaded.scene is not scene:
            with self._context:  # this process may have another context
                if self._uploaded:
                    self._uploaded.release()
                self._uploaded = UploadedScene(self._context, self._programs, scene, self._corners)
        return self._uploaded

    def render(self, scene: Scene, pose: Floats, grain_seed: int = 0) -> Frame:
        """Draw one frame.

        Args:
            scene: What to draw.
            pose: 4x4, camera to world.
            grain_seed: Seed of the image's noise.
        """
        uploaded = self.load(scene)
        camera = Camera(*self._size, scene.world.camera.fov_deg)
        eye, forward = pose[:3, 3], pose[:3, 2]
        ahead = unit(forward * [1, 1, 0])
        suns = [_sun_view(scene.sun, eye + ahead * plan.ahead_m - 1.5 * UP, plan) for plan in _SHADOW_MAPS]
        texel = 2 * _CONTACT_HALF_M / _CONTACT_PIXELS
        contact_middle = np.round((eye + ahead * _CONTACT_AHEAD_M)[:2] / texel) * texel
        visible = [_visible(item, camera, pose) for item in uploaded.items]
        visible.sort(key=lambda entry: -entry.item.angles[0])  # near first: the depth test then rejects the rest
        with self._context:
            self._draw_shadows(visible, suns)
            self._draw_contacts(visible, contact_middle)
            self._set_frame_uniforms(scene, camera, pose, suns, contact_middle)
            num_triangles = self._draw_picture(uploaded, visible, camera, pose)
            return self._read_frame(grain_seed, num_triangles)

    def _draw_shadows(self, visible: list[_Visible], suns: list[Floats]) -> None:
        self._context.enable_only(moderngl.DEPTH_TEST)
        for i, sun in enumerate(suns):
            self._shadow_buffers[i].use()
            self._shadow_buffers[i].clear(depth=1.0)
            set_uniforms(self._programs["shadow"], {"view_projection": sun})
            for entry in visible:
                _draw(entry.item, entry.item.shadow, entry.casting[i])

    def _draw_contacts(self, visible: list[_Visible], middle: Floats) -> None:
        self._contact_buffer.use()
        self._contact_buffer.clear(1.0, 1.0, 1.0, 1.0)
        self._context.enable_only(moderngl.BLEND)
        self._context.blend_func = moderngl.ZERO, moderngl.SRC_COLOR
        for entry in visible:
            item = entry.item
            area = [*middle, _CONTACT_HALF_M, _CONTACT_REACH * item.footprint]
            set_uniforms(self._programs["contact"], {"area": area, "strength": item.layer.contact})
            _draw(item, item.contact, entry.casting[0], moderngl.TRIANGLE_STRIP)

    def _set_frame_uniforms(
        self, scene: Scene, camera: Camera, pose: Floats, suns: list[Floats], contact_middle: Floats
    ) -> None:
        view = np.eye(4)
        view[:3, :3] = np.diag([1, -1, -1]) @ pose[:3, :3].T
        view[:3, 3] = -view[:3, :3] @ pose[:3, 3]
        half_width, half_height = np.array(self._size) / 2 / camera.focal_px
        light, ground = scene.world.light, scene.world.ground
        values: dict[str, Any] = {
            "view_projection": camera.clip_matrix(_NEAR_M, _FAR_M) @ view,
            "ray": pose[:3, :3] @ np.diag([half_width, -half_height, 1]),
            "eye": pose[:3, 3],
            "sun": scene.sun,
            "sun_near": suns[0],
            "sun_far": suns[1],
            "sun_color": light.sun,
            "sky_zenith": light.zenith,
            "sky_horizon": light.horizon,
            "ambient": light.ambient,
            "exposure": scene.exposure,
            "clouds": scene.clouds,
            "haze_per_m": scene.haze_per_m,
            "ripples": ground.ripples,
            "gravel": ground.gravel,
            "straw": ground.straw,
            "contact_area": [*contact_middle, _CONTACT_HALF_M, 0.0],
            "shadow_near": 0,
            "shadow_far": 1,
            "noise": 2,
            "contact": 3,
        }
        for name in ("ground", "rock", "foliage", "sky"):
            set_uniforms(self._programs[name], values)
        for unit_number, texture in enumerate([*self._shadow_maps, self._noise, self._contact_map]):
            texture.use(unit_number)

    def _draw_picture(self, uploaded: UploadedScene, visible: list[_Visible], camera: Camera, pose: Floats) -> int:
        self._picture.use()
        self._picture.clear(depth=1.0)
        num_triangles = 0
        for entry in visible:
            item = entry.item
            if len(entry.seen):
                self._context.enable_only(
                    moderngl.DEPTH_TEST | (moderngl.CULL_FACE if item.closed else moderngl.NOTHING)
                )
                set_uniforms(item.program, {"label": item.label / 255, **item.surface})
                _draw(item, item.picture, entry.seen)
                num_triangles += item.num_faces * len(entry.seen)
        self._context.enable_only(moderngl.DEPTH_TEST)
        set_uniforms(self._programs["ground"], {"label": LABELS.labels.index("Landscape") / 255})
        for block in np.flatnonzero(_in_view(camera, pose, uploaded.centres, uploaded.radii)):
            vertices = uploaded.block_vertices
            uploaded.ground.render(first=int(block) * vertices, vertices=vertices)
            num_triangles += vertices // 3
        set_uniforms(self._programs["sky"], {"label": LABELS.labels.index("Sky") / 255})
        self._sky.render(moderngl.TRIANGLE_STRIP)
        return num_triangles

    def _read_frame(self, grain_seed: int, num_triangles: int) -> Frame:
        width, height = self._size
        self._context.enable_only(moderngl.NOTHING)
        self._resolved.use()
        self._samples.use(0)
        self._depths.use(1)
        set_uniforms(self._programs["resolve"], {"samples": 0, "depths": 1, "seed": float(grain_seed % 997)})
        self._resolve.render(moderngl.TRIANGLE_STRIP)
        pixels = np.frombuffer(self._resolved.read(components=4), np.uint8).reshape(height, width, 4)[::-1]
        raw = self._resolved.read(components=1, attachment=1, dtype="f4")
        clip = np.frombuffer(raw, np.float32).reshape(height, width)[::-1].astype(np.float64) * 2 - 1
        depth = 2 * _FAR_M * _NEAR_M / (_FAR_M + _NEAR_M - clip * (_FAR_M - _NEAR_M))
        depth[clip > _SKY_CLIP] = np.inf
        return Frame(pixels[..., :3].copy(), pixels[..., 3].copy(), depth.astype(np.float32), num_triangles)


def _visible(item: Item, camera: Camera, pose: Floats) -> _Visible:
    offsets = item.places[:, :3] - pose[:3, 3]
    distance, ahead = np.hypot(offsets[:, 0], offsets[:, 1]), offsets @ pose[:3, 2]
    angle = item.sizes / np.maximum(distance, 1e-3)
    level = (angle >= item.angles[0]) & (angle < item.angles[1])
    seen = np.flatnonzero(level & (angle > _LEAST_ANGLE) & _in_view(camera, pose, item.places[:, :3], item.sizes))
    casting = []
    for plan in _SHADOW_MAPS:
        large_enough = (angle > plan.least_angle) & (item.sizes > plan.least_size_m)
        within = (distance >= plan.from_m) & (distance < plan.to_m) & (ahead > -10 - item.sizes)
        casting.append(item.places[level & large_enough & within & item.layer.shadow])
    return _Visible(item, item.places[seen[np.argsort(distance[seen], kind="stable")]], casting)


def _in_view(camera: Camera, pose: Floats, points: npt.NDArray[Any], radii: Floats) -> npt.NDArray[np.bool_]:
    """Which spheres intersect the volume between the image's left and right edge: N booleans."""
    offsets = points - pose[:3, 3]
    ahead, sideways = offsets @ pose[:3, 2], np.abs(offsets @ pose[:3, 0])
    half_width = camera.width / 2 / camera.focal_px
    edge = np.maximum(ahead, 0) * half_width + radii * np.hypot(1, half_width)
    return np.asarray((ahead > -radii) & (sideways < edge))


def _sun_view(sun: Floats, centre: Floats, plan: _ShadowMap) -> Floats:
    """4x4 parallel projection along the sun's rays."""
    side = unit(np.cross(UP, sun))
    view = np.eye(4)
    view[:3, :3] = np.stack([side, np.cross(sun, side), sun])
    origin = view[:3, :3] @ centre
    texel = 2 * plan.half_m / plan.pixels
    origin[:2] = np.round(origin[:2] / texel) * texel  # whole texels, so that shadows do not flicker between frames
    view[:3, 3] = -origin
    return np.asarray(np.diag([1 / plan.half_m, 1 / plan.half_m, -1 / plan.depth_m, 1]) @ view, np.float64)


def _draw(
    item: Item, vertex_array: moderngl.VertexArray, places: npt.NDArray[np.float32], mode: int = moderngl.TRIANGLES
) -> None:
    if len(places):
        item.places_buffer.orphan()
        item.places_buffer.write(np.ascontiguousarray(places).tobytes())
        vertex_array.render(mode, instances=len(places))
