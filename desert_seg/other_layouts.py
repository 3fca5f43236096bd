"""Dataset folders that are laid out in another way than ours: what they hold, and how ours is made of them.

Knows nothing of what is in the files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from desert_seg.image_folder import FROM_JSON, folders_with_images, is_image_name, no_image

Layout = tuple[str, str]
"""Names of the folder of images and the folder of masks."""

_MASK_NAME = re.compile("mask|label|ann|segm|gt|truth", re.IGNORECASE)
"""In the names that other datasets give to a folder of masks."""


_MANY = 100

_INSTANCES = re.compile("object|instance", re.IGNORECASE)
"""In the names of folders whose masks number objects, not classes."""


def other_layout(root: Path, layouts: Sequence[Layout]) -> str:
    """What a folder holds that has no folder of images by the name of any layout, and the cure."""
    expected = " or ".join(f"{images}/ beside {masks}/" for images, masks in layouts)
    inner = folders_with_images(root)
    if places := [*(["the folder itself"] if holds_images(root) else []), *inner]:
        found = f"found images in {', '.join(places)}"
        cure = "move the images into {}/ and their masks, named like them, into {}/".format(*layouts[0])
    else:
        found, cure = no_image(root)
    if (root / "predictions.json").is_file():
        cure = "these are predictions of `desert-seg predict`; give a folder of images and true masks"
    elif datasets := _inner_datasets(root, layouts):
        cure = f"give one of its folders: {', '.join(datasets)}"
    elif any(root.glob("*.json")) or (len(places) == 1 and any(root.glob("*/*.json"))):
        cure = FROM_JSON
    elif places == inner and (roles := _roles(root)):
        given, part = roles
        if part:
            return f"{found}, {divide(given, layouts[-1], part)}"
        cure = "if these are images and masks, rename {}/ to {}/ and {}/ to {}/".format(
            *(name for pair in zip(given, layouts[-1], strict=True) for name in pair)
        )
    return f"{found}, expected {expected}; {cure}"


def no_mask_folder(root: Path, layout: Layout) -> str:
    """What a dataset folder holds that has a folder of images but none of masks, and the cure."""
    images, masks = root / layout[0], root / layout[1]
    inner = folders_with_images(root)
    others = [name for name in inner if Path(name).parts[0] != images.name]
    found = f"found {images.name}/ but no {masks.name}/"
    if others:
        found += f", and images in {', '.join(others)}"
    roles = None if holds_images(images) else _roles(root)
    if roles and roles[1]:
        return f"{found}, {divide(roles[0], layout, roles[1])}"
    cure = f"put the masks into {masks.name}/"
    if len(others) == 1:
        cure = f"if these are the masks, rename {others[0]}/ to {masks.name}/"
    elif any(images.glob("*.json")):
        cure = FROM_JSON
    return f"{found}; {cure}"


def divide(given: Layout, ours: Layout, part: str) -> str:
    """The rest of a sentence on a dataset whose parts, such as train and val, are folders within the two of it."""
    moves = " && ".join(f"mv {old}/{part} {part}/{new}" for old, new in zip(given, ours, strict=True))
    return f"expected a dataset folder for each part; make them, such as {part}/: mkdir {part} && {moves}"


def holds_images(folder: Path) -> bool:
    """Whether there are images in the folder itself; if it cannot be read, listing them will say so."""
    try:
        return any(map(is_image_name, folder.iterdir()))
    except OSError:
        return True


def _roles(root: Path) -> tuple[Layout, str] | None:
    """Which of the two folders that hold all images has the masks by its name, and the first part that both have.

    The part is empty if they hold the images themselves; None if it is not as simple as that.
    """
    folders = folders_with_images(root, _MANY)
    tops = sorted({Path(name).parts[0] for name in folders if not _INSTANCES.search(name)})
    masks = [name for name in tops if _MASK_NAME.search(name)]
    images = [name for name in tops if name not in masks]
    if len(masks) != 1 or len(images) != 1:
        return None
    parts = {top: {str(Path(name).relative_to(top)) for name in folders if Path(name).parts[0] == top} for top in tops}
    shared = sorted(parts[images[0]] & parts[masks[0]])
    if not shared or "/" in shared[0]:
        return None
    return (images[0], masks[0]), shared[0].removeprefix(".")


def _inner_datasets(root: Path, layouts: Sequence[Layout]) -> list[str]:
    """The folders of a folder that are dataset folders themselves, such as train/ and val/."""
    return sorted(
        child.name
        for child in root.iterdir()
        if any((child / images).is_dir() and (child / masks).is_dir() for images, masks in layouts)
    )
