"""The page of a site: one HTML file that shows the recording before and after, and what can be said of the change.

The template is `page.html.j2`; this module gathers what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from desert_seg.artifact import Artifact
from desert_seg.console import Console
from desert_seg.files import write_bytes, write_text
from desert_seg.html_page import data_uri, fill_template
from desert_seg.image_folder import list_images
from desert_seg.images import read_image
from desert_seg.painter import Painter
from desert_seg.segmenter import Segmenter
from desert_seg_train.adapt.judgement import read_judgement
from desert_seg_train.adapt.place_frames import PLACE
from desert_seg_train.site.pictures import Comparison, Picture, compare, sheet, to_jpeg

PAGE, SHEET = "index.html", "before_after.jpg"

SHOWN_FRAMES = 8
SHEET_FRAMES = 4

Item = TypeVar("Item")


def write_page(out: Path, run: Path, before: Artifact, after: Artifact, console: Console) -> None:
    """Write the page, and a sheet of some of its pictures.

    Args:
        out: Where to.
        run: Folder of the adaptation.
        before: The model that it began with.
        after: The model that it made, with the same classes.
        console: Shows progress.

    Raises:
        DataError: A file of the adaptation is missing or damaged.
    """
    judgement, comparisons = read_judgement(run), _comparisons(run / PLACE, before, after, console)
    labels = before.card.label_map.labels
    page = fill_template(
        Path(__file__).with_name("page.html.j2"),
        {"percent": lambda share: f"{share:.1%}", "color": _css_color, "uri": _uri},
        name=out.resolve().name,
        judgement=judgement,
        gain_is_known=any(not gain.name.endswith(", replayed") for gain in judgement.gains),
        comparisons=comparisons,
        labels=list(zip(labels.names, labels.colors, strict=True)),
        before=before,
        after=after,
        path=after.path.resolve(),
        changed=float(np.mean([each.share_changed for each in comparisons])),
    )
    write_bytes(out / SHEET, to_jpeg(sheet(_spread(comparisons, SHEET_FRAMES))))
    write_text(out / PAGE, page)


def _comparisons(folder: Path, before: Artifact, after: Artifact, console: Console) -> list[Comparison]:
    """Frames of the place, evenly spread, by both models on the same engine."""
    painter = Painter(before.card.label_map.labels)
    models = [Segmenter.load(each.path, engine="torch", precision="f32") for each in (before, after)]
    shown = []
    for path in console.track(_spread(list_images(folder), SHOWN_FRAMES), "before and after", transient=True):
        rgb = read_image(path)
        first, second = (model.segment(rgb).mask for model in models)
        shown.append(compare(path.stem, rgb, first, second, painter))
    return shown


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    indices = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[index] for index in indices]


def _css_color(color: Sequence[int]) -> str:
    red, green, blue = color
    return f"rgb({red} {green} {blue})"


def _uri(picture: Picture) -> str:
    return data_uri("jpeg", to_jpeg(picture))
