"""A scene in graphics memory: its ground, and every mesh with its instances.

Shape letters: N places of a mesh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import moderngl
import numpy as np
import numpy.typing as npt

from desert_seg_train.synth.gl import THING_BYTES, THING_FORMAT
from desert_seg_train.synth.noise import Floats
from desert_seg_train.synth.scene import Scene
from desert_seg_train.synth.worlds import LABELS, Layer

HeldT = TypeVar("HeldT", moderngl.Buffer, moderngl.VertexArray)

_VERTEX_FORMAT = ("3f 3f 3f", "position", "normal", "color")
_STANDING_AT_ORIGIN = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0], np.float32)


@dataclass(frozen=True)
class Item:
    """One mesh of one level of detail.

    Attributes:
        layer: Its layer.
        surface: Uniforms of the program that depend on its material.
        label: Class index.
        angles: Size over distance, radians: least (inclusive) and most at which this level is drawn.
        places: Nx12 float32, see `Things`.
        sizes: N, radii of bounding spheres around the places, metres.
        closed: Whether the backs of its triangles are never visible.
        footprint: Radius of the mesh seen from above, at scale 1.
        num_faces: Triangles.
        places_buffer: Buffer for all places.
        program: Its shader program.
        picture: Vertex array that draws it into the image.
        shadow: Vertex array that draws it into a shadow map.
        contact: Vertex array that darkens the ground around it.
    """

    layer: Layer
    surface: Mapping[str, Any]
    label: int
    angles: tuple[float, float]
    places: npt.NDArray[np.float32]
    sizes: Floats
    closed: bool
    footprint: float
    num_faces: int
    places_buffer: moderngl.Buffer
    program: moderngl.Program
    picture: moderngl.VertexArray
    shadow: moderngl.VertexArray
    contact: moderngl.VertexArray


class UploadedScene:
    """OpenGL objects of one scene; `release` them before the next.

    Attributes:
        scene: What was uploaded.
        items: Every mesh.
        ground: Vertex array of the ground.
        block_vertices: Indices in one block of the ground.
        centres: Bx3, centres of the blocks, metres.
        radii: B, metres.
    """

    def __init__(
        self,
        context: moderngl.Context,
        programs: Mapping[str, moderngl.Program],
        scene: Scene,
        corners: moderngl.Buffer,
    ) -> None:
        self.scene, self._context, self._programs, self._corners = scene, context, programs, corners
        self._held: list[Any] = []
        mesh = scene.terrain_mesh()
        self.centres, self.radii, self.block_vertices = mesh.centres, mesh.radii, mesh.faces.shape[1]
        origin = self._buffer(_STANDING_AT_ORIGIN)
        vertices, faces = self._buffer(mesh.vertices), self._buffer(mesh.faces)
        content = [(vertices, *_VERTEX_FORMAT), (origin, *THING_FORMAT)]
        self.ground = self._vertex_array("ground", content, faces)
        self.items = self._upload_items()

    def release(self) -> None:
        """Free everything."""
        for held in self._held:
            held.release()
        self._held.clear()

    def _upload_items(self) -> list[Item]:
        items = []
        for variant in self.scene.variants():
            layer, places = variant.layer, variant.places
            program = "rock" if variant.geology else "foliage"
            bounds = (np.inf, *layer.shape.lod_angles, 0.0)
            largest = places[:, 4:7].max(1).astype(np.float64)
            for lod, level in enumerate(variant.levels):
                vertices, faces = level.arrays()
                reach = np.linalg.norm(vertices[:, :2], axis=1)
                radius = np.linalg.norm(vertices[:, :3], axis=1).max()
                vertex_buffer, face_buffer = self._buffer(vertices), self._buffer(faces)
                rows = self._keep(self._context.buffer(reserve=len(places) * THING_BYTES))
                only_position = (vertex_buffer, "3f 24x", "position")
                items.append(
                    Item(
                        layer=layer,
                        surface=variant.geology.surface() if variant.geology else {},
                        label=LABELS.labels.index(layer.label),
                        angles=(bounds[lod + 1], bounds[lod]),
                        places=places,
                        sizes=radius * largest,
                        closed=variant.geology is not None,
                        footprint=float(np.percentile(reach, 90)),
                        num_faces=len(faces),
                        places_buffer=rows,
                        program=self._programs[program],
                        picture=self._vertex_array(
                            program, [(vertex_buffer, *_VERTEX_FORMAT), (rows, *THING_FORMAT)], face_buffer
                        ),
                        shadow=self._vertex_array("shadow", [only_position, (rows, *THING_FORMAT)], face_buffer),
                        contact=self._vertex_array(
                            "contact", [(self._corners, "2f", "corner"), (rows, "4f 4f 16x/i", *THING_FORMAT[1:3])]
                        ),
                    )
                )
        return items

    def _buffer(self, values: npt.NDArray[Any]) -> moderngl.Buffer:
        return self._keep(self._context.buffer(np.ascontiguousarray(values).tobytes()))

    def _vertex_array(
        self, program: str, content: list[Any], faces: moderngl.Buffer | None = None
    ) -> moderngl.VertexArray:
        return self._keep(self._context.vertex_array(self._programs[program], content, faces))

    def _keep(self, held: HeldT) -> HeldT:
        self._held.append(held)
        return held
