"""Six frames of a world on one sheet, each beside its mask, for docs/worlds/.

python -m desert_seg_train.synth.contact_sheet --world dusk --out docs/worlds
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from desert_seg.console import Console
from desert_seg.files import write_bytes
from desert_seg_train.synth.config import SynthConfig
from desert_seg_train.synth.program import run_program
from desert_seg_train.synth.renderer import Renderer
from desert_seg_train.synth.shots import FRAMES_PER_SCENE, plan_stills, still_shots
from desert_seg_train.synth.worlds import LABELS, load_world, shipped_worlds

_FRAMES, _COLUMNS = 6, 2
_RENDERED, _SHOWN = (960, 540), (448, 252)
_MAX_BYTES = 250_000
_QUALITIES = range(92, 30, -4)


@dataclass(frozen=True)
class ContactSheetConfig:
    """Draw contact sheets.

    Attributes:
        out: Folder for the sheets, NAME.jpg each.
        world: A shipped world by name, or the path of a world's YAML file; default: all shipped ones.
        seed: Seed of the scenes.
    """

    out: Path
    world: str = ""
    seed: int = 1


def contact_sheet(config: ContactSheetConfig) -> None:
    """Render the first frame of six scenes of each world and write the sheets."""
    renderer = Renderer(*_RENDERED)
    for name in [config.world] if config.world else shipped_worlds():
        world = load_world(name)
        takes = plan_stills(SynthConfig(config.out, frames=_FRAMES * FRAMES_PER_SCENE, seed=config.seed), [world])
        pairs = []
        for take in Console().track(takes, world.name):
            scene = take.scene()
            frame = renderer.render(scene, still_shots(take, scene)[0].pose)
            picture = cv2.resize(frame.image, _SHOWN, interpolation=cv2.INTER_AREA)
            mask = cv2.resize(LABELS.labels.palette()[frame.labels], _SHOWN, interpolation=cv2.INTER_NEAREST)
            pairs.append(np.hstack([picture, mask]))
        rows = [np.hstack(pairs[first : first + _COLUMNS]) for first in range(0, _FRAMES, _COLUMNS)]
        write_bytes(config.out / f"{world.name}.jpg", _jpeg(np.vstack(rows)))


def _jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    """JPEG at the best quality within the size limit."""
    for quality in _QUALITIES:
        encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        if encoded.size <= _MAX_BYTES:
            break
    return bytes(encoded.tobytes())


if __name__ == "__main__":
    run_program(contact_sheet, ContactSheetConfig)
