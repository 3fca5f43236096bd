"""`desert-seg read-labels`: turns corrected labelme files into a labelled folder for training.

    desert-seg read-labels out/label --model models/light --out out/label/dataset

The folder gets its own label map: that of the labels, plus an ignored value for unlabelled pixels.

Shape letters: H, W, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from desert_seg.artifact import load_artifact
from desert_seg.console import Console
from desert_seg.dataset_folder import LAYOUTS
from desert_seg.errors import DataError
from desert_seg.files import write_bytes
from desert_seg.images import read_file, read_image, read_orientation, write_image
from desert_seg.labels import IGNORE, LabelMap, load_label_map, shipped_label_maps
from desert_seg.share import artifact_name
from desert_seg_train.label.command import FRAMES
from desert_seg_train.label.labelme import LabelledImage, label_values, read_labelme
from desert_seg_train.label.polygons import to_mask
from desert_seg_train.read_labels.config import ReadLabelsConfig
from desert_seg_train.written import read_record, refuse_foreign, refuse_links, write_record

LABEL_MAP = "label_map.yaml"


def read_labels(config: ReadLabelsConfig) -> None:
    """Write images and masks, and print how to adapt the model to them.

    Raises:
        DataError: A labelme file or its image is unusable, or the folder holds something else.
        ArtifactError: The model is missing or damaged.
    """
    console = Console()
    collect(config, console)
    console.print_command(
        "teach them to the model",
        *("desert-seg", "adapt", artifact_name(config.model), "--frames", config.out),
        *("--label-map", config.out / LABEL_MAP, "--out", f"runs/{config.out.resolve().name}"),
    )


def collect(config: ReadLabelsConfig, console: Console) -> None:
    """Write images and masks, and say which; raises as `read_labels` does."""
    own = load_label_map(config.label_map) if config.label_map else load_artifact(config.model).card.label_map
    label_map, unlabelled = _with_unlabelled(own)
    content = yaml.safe_dump(label_map.to_dict(), sort_keys=False).encode()
    _check_out(config.out, content)
    files, remarks = _labelled_files(config, label_values(label_map.labels), console)
    table = np.full(256, unlabelled, np.uint16)
    table[: len(label_map.labels)] = raw_values(label_map)
    names = {
        path: (f"{LAYOUTS[0][0]}/{path.stem}{labelled.image.suffix}", f"{LAYOUTS[0][1]}/{path.stem}.png")
        for path, labelled in files.items()
    }
    known, planned = read_record(config.out), {name for both in names.values() for name in both}
    refuse_links(config.out, LAYOUTS[0], "--out")
    refuse_foreign(config.out, planned, known, "--out")
    write_bytes(config.out / LABEL_MAP, content)
    write_record(config.out, known | planned)
    num_written = num_ignored = num_pixels = 0
    for path, labelled in console.track(files.items(), "drawing masks", transient=True):
        mask = to_mask(labelled.polygons, labelled.size)
        image_name, mask_name = names[path]
        write_image(config.out / mask_name, table[mask])
        write_bytes(config.out / image_name, read_file(labelled.image))
        num_written += 1
        num_ignored += np.count_nonzero(mask == IGNORE)
        num_pixels += mask.size
    share = f"{num_ignored / num_pixels:.1%} of the pixels without a label, which are ignored"
    written = f"{num_written} frames in {config.out}: {LAYOUTS[0][0]}/, {LAYOUTS[0][1]}/, {LABEL_MAP}; {share}"
    for line in (written, *remarks):
        console.print(line)


def raw_values(label_map: LabelMap) -> npt.NDArray[np.uint16]:
    """The mask value to write for each class, K uint16: of several, the one that most label maps agree on.

    Raises:
        DataError: A class has no value.
    """
    shipped = _shipped()

    def support(value: int, name: str) -> int:
        return sum(_meaning(other, value) == name for other in shipped)

    chosen = []
    for name in label_map.labels.names:
        values = [value for value in label_map.values if _meaning(label_map, value) == name]
        if not values:
            raise DataError(f"label map {label_map.name} has no mask value for {name}; add one to its values")
        chosen.append(max(sorted(values), key=lambda value: support(value, name)))
    return np.array(chosen, np.uint16)


def _meaning(label_map: LabelMap, value: int) -> str | None:
    """Name of the class of a mask value; None if it is ignored or not in the map."""
    target = label_map.values.get(value, IGNORE)
    return None if target == IGNORE else label_map.labels.names[target]


def _with_unlabelled(own: LabelMap) -> tuple[LabelMap, int]:
    """The label map with an ignored value that no label map uses for a class, and that value."""
    if own.in_color:
        own = LabelMap(own.name, own.labels, {index: index for index in range(len(own.labels))})
    known = [own, *_shipped()]
    value = next(value for value in range(65536) if all(_meaning(other, value) is None for other in known))
    return LabelMap(own.name, own.labels, {value: IGNORE, **own.values}), value


def _shipped() -> list[LabelMap]:
    """The shipped label maps whose masks hold numbers."""
    return [found for found in map(load_label_map, shipped_label_maps()) if not found.in_color]


def _check_out(out: Path, label_map: bytes) -> None:
    """Refuse a folder that holds anything but earlier output with the same classes."""
    path = out / LABEL_MAP
    if out.exists() and any(out.iterdir()) and not (path.is_file() and path.read_bytes() == label_map):
        raise DataError(f"{out}: holds something else, or frames with other classes; choose another --out")


def _labelled_files(
    config: ReadLabelsConfig, values: Mapping[str, int], console: Console
) -> tuple[dict[Path, LabelledImage], list[str]]:
    """The labelme files to use, after checking them all, and sentences about the others."""
    folder = config.labels / FRAMES if (config.labels / FRAMES).is_dir() else config.labels
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise DataError(f"{folder}: found no labelme file; give the folder that `desert-seg label` wrote")
    files = {path: read_labelme(path, values) for path in paths}
    for path, labelled in console.track(files.items(), "reading images", transient=True):
        if (orientation := read_orientation(labelled.image)) != 1:
            raise DataError(
                f"{labelled.image}: found EXIF orientation {orientation}, expected 1, as nothing that learns from the "
                "frames turns them; turn the pixels (mogrify -auto-orient), which leaves its shapes where they are"
            )
        if (found := read_image(labelled.image).shape[:2]) != labelled.size:
            raise DataError(
                f"{path}: found an image of {found[1]}x{found[0]}, expected {labelled.size[1]}x{labelled.size[0]}; put "
                "back the image that was labelled"
            )
    unchecked = sum(not labelled.is_checked for labelled in files.values())
    taken = {p: each for p, each in files.items() if each.polygons and (each.is_checked or not config.checked)}
    if not taken:
        wanted = "ticked `checked` and with a shape" if config.checked else "with a shape"
        raise DataError(
            f"{folder}: found none of {len(files)} frames {wanted}, "
            f"expected one at least; open them in labelme, {'tick' if config.checked else 'label'} those that you have "
            "looked at, and save them"
        )
    remarks = []
    if len(taken) < len(files):
        remarks.append(f"left out: {len(files) - len(taken)} frames without a shape or a tick")
    if unchecked and not config.checked:
        remarks.append(
            f"warning: {unchecked} of {len(files)} frames are not ticked `checked`, so their masks may be as proposed; "
            "tick those you have looked at and leave out the others with --checked"
        )
    return taken, remarks
