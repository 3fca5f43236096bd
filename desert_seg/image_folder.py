"""Folders of image files: which files are images, told by their names, and what a folder holds that has none.

Knows nothing of what is in an image, and of masks only as what people give in the place of one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from desert_seg.errors import DataError
from desert_seg.file_kind import kind_of

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jfif", ".jpe")

UNREAD_SUFFIXES = (
    *(".avif", ".gif", ".heic", ".heif", ".j2k", ".jp2", ".jpf", ".jxl"),
    *(".exr", ".hdr", ".pbm", ".pgm", ".pnm", ".ppm", ".tga"),
)
"""Of images that are not read: they are listed beside others, so that reading them says so."""

FROM_JSON = (
    "if the .json files are labelme's, make masks of them with `desert-seg read-labels`; if they are COCO's, draw "
    "their polygons as masks (pycocotools: COCO.annToMask), PNG files named like the images"
)
"""What to do with files that hold labels in JSON."""

_ANNOTATIONS = {
    ".json": FROM_JSON,
    ".txt": "if the .txt files are YOLO's polygons, draw them as masks (cv2.fillPoly), PNG files named like the images",
    ".xml": "if the .xml files are CVAT's, export the task again as `Segmentation mask`, which is PNG files",
}
"""What to do with files that describe masks and are none."""

_MAX_LOOKED_AT = 10_000


def list_images(folder: Path) -> list[Path]:
    """Image files of a folder, with numbers in natural order: frame_2 before frame_10.

    Hidden files are left out, and so are the `._` files that macOS puts beside others. Links, FIFOs and folders named
    like images, and images of kinds that are not read, are listed, so that reading them reports what is wrong.

    Raises:
        DataError: There is no such folder, it cannot be read, or it holds no image.
    """
    check_folder(folder, "a folder that holds images")
    try:
        paths = [path for path in folder.iterdir() if is_image_name(path)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    if not paths:
        raise DataError(f"{folder}: {'; '.join(no_image(folder))}")
    return sorted(paths, key=natural_order)


def check_folder(path: Path, expected: str) -> None:
    """Raise DataError for what is no folder; `expected` says what belongs there, such as `a folder of images`."""
    if path.is_dir():
        return
    if kind := kind_of(path):
        raise DataError(f"{path}: found {kind.name}, expected {expected}; {kind.cure}")
    raise DataError(f"there is no folder {path}; give {expected}")


def folders_with_images(root: Path, count: int = 4) -> list[str]:
    """The first folders within a folder that hold images, as paths below it; links are not followed."""
    found: list[str] = []
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if folder != str(root) and any(is_image_name(Path(name)) for name in names):
            found.append(os.path.relpath(folder, root))
        if len(found) == count:
            break
    return found


def no_image(folder: Path) -> tuple[str, str]:
    """What a folder holds in which there is no image, and the cure."""
    if inner := folders_with_images(folder):
        return f"found no image in the folder itself, but in {', '.join(inner)}", "give the one that is meant"
    others = sorted(islice(_other_files(folder), _MAX_LOOKED_AT))
    by_count = [ending for ending, _ in Counter(path.suffix.lower() for path in others).most_common()]
    # Annotations of another form lie among files that describe the dataset.
    ending = next((each for each in by_count if each in _ANNOTATIONS), by_count[0] if by_count else "")
    alike = [path for path in others if path.suffix.lower() == ending]
    found = f"found no image among {len(alike)} files ending in {ending}" if alike else "found no image"
    if cure := _ANNOTATIONS.get(ending):
        return found, cure
    if alike and (kind := kind_of(alike[0])):
        others_too = ", and so of each other in a folder of its own" if kind.is_sequence and len(alike) > 1 else ""
        return f"{found}, the first of which is {kind.name}", kind.cure + others_too
    return found, f"give one with files ending in {', '.join(IMAGE_SUFFIXES)}"


def _other_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.*") if not path.name.startswith(".") and path.is_file())


def is_image_name(path: Path) -> bool:
    """True if a file of this name is taken for an image: it ends like one and is not hidden."""
    return path.suffix.lower() in (*IMAGE_SUFFIXES, *UNREAD_SUFFIXES) and not path.name.startswith(".")


def natural_order(path: Path) -> tuple[tuple[str | int, ...], str]:
    """Sort key that compares the numbers in a path as numbers."""
    parts = re.split(r"([0-9]+)", str(path))
    # Text and numbers alternate, so they are never compared with each other.
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), str(path)
