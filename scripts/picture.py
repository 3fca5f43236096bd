"""Make docs/live.gif from the sample drive and the shipped model: `python scripts/picture.py`.

Three panels side by side: the camera's image, the mask over it, and the terrain that the model does not know.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from desert_seg.labels import LabelSet  # noqa: E402
from desert_seg.painter import Painter  # noqa: E402
from desert_seg.recordings.drive import open_drive  # noqa: E402
from desert_seg.segmenter import Segmenter, SegmentOptions  # noqa: E402

PATH = ROOT / "docs" / "live.gif"
PANEL = (320, 180)
GAP = 6
TITLE_HEIGHT, LEGEND_HEIGHT = 24, 26
EVERY = 2
"""Take every other frame: 20 frames at 5 Hz."""
UNKNOWN = (255, 0, 200)
BACKGROUND, TEXT = (24, 26, 30), (230, 230, 230)

Rgb = npt.NDArray[np.uint8]


def panels(segmenter: Segmenter, rgb: Rgb) -> list[Rgb]:
    """HxWx3 uint8 RGB of the frame, its mask over it, and its unknown terrain over it in grey."""
    result = segmenter.segment(rgb, SegmentOptions(want_unknown=True))
    grey = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 40, 3, 2)
    assert result.unknown is not None  # it was asked for
    unknown = grey.copy()
    unknown[result.unknown == 255] = UNKNOWN
    overlay = Painter(segmenter.card.label_map.labels).overlay(rgb, result.mask, 0.8)
    return [np.asarray(cv2.resize(each, PANEL, interpolation=cv2.INTER_AREA)) for each in (rgb, overlay, unknown)]


def picture(parts: list[Rgb], labels: LabelSet) -> Image.Image:
    """The panels in a row, with titles above and the classes below."""
    width = 3 * PANEL[0] + 2 * GAP
    image = Image.new("RGB", (width, TITLE_HEIGHT + PANEL[1] + LEGEND_HEIGHT), BACKGROUND)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for index, (title, part) in enumerate(zip(("camera", "mask", "unknown terrain"), parts, strict=True)):
        left = index * (PANEL[0] + GAP)
        draw.text((left + 6, 4), title, TEXT, font)
        image.paste(Image.fromarray(part), (left, TITLE_HEIGHT))
    entries = [*zip(labels.names, labels.colors, strict=True), ("unknown", UNKNOWN)]
    top, left = TITLE_HEIGHT + PANEL[1] + 7, 6
    for name, color in entries:
        draw.rectangle((left, top, left + 13, top + 13), color)
        draw.text((left + 19, top - 2), name, TEXT, font)
        left += 19 + round(draw.textlength(name, font)) + 20
    return image


def main() -> None:
    """Write the picture."""
    segmenter = Segmenter.load(ROOT / "models" / "light", precision="f32")
    drive = open_drive(ROOT / "sample_drive")
    frames = [each.rgb() for index, each in enumerate(drive.frames()) if index % EVERY == 0]
    pictures = [picture(panels(segmenter, rgb), segmenter.card.label_map.labels) for rgb in frames]
    # One palette for all frames, without dithering, so that what stands still compresses.
    palette = Image.fromarray(np.concatenate([np.asarray(each) for each in pictures[::5]])).quantize(96)
    indexed = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
    indexed[0].save(PATH, save_all=True, append_images=indexed[1:], duration=200, loop=0, optimize=True)
    print(f"wrote {PATH}, {len(indexed)} frames, {PATH.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
