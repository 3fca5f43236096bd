"""Dataset folders: `Color_Images/` beside `Segmentation/`, or `images/` beside `labels/`, paired by name.

A labelled image that asks to be turned when it is shown is refused, as nobody knows whether its mask was drawn before
or after. Knows nothing of what the values of masks mean.
"""

from __future__ import annotations

from pathlib import Path

from desert_seg.errors import DataError
from desert_seg.images import folders_with_images, is_image_name, list_images, read_orientation
from desert_seg.pairing import Pairing, pair

LAYOUTS = (("Color_Images", "Segmentation"), ("images", "labels"))
"""Names of the folder of images and the folder of masks; the first one that is there is taken."""

TURNED = "found EXIF orientation {}, expected 1: whether its mask fits the picture as shown or as stored is not known"
TURNED_CURE = "turn the pixels of the image (mogrify -auto-orient) or delete the tag (exiftool -Orientation=)"


def image_and_mask_folders(root: Path) -> tuple[Path, Path]:
    """Where a dataset folder keeps images and masks, by `LAYOUTS`; the first layout's names if it has neither."""
    for images, masks in LAYOUTS:
        if (root / images).is_dir():
            return root / images, root / masks
    return root / LAYOUTS[0][0], root / LAYOUTS[0][1]


def labelled_folders(root: Path) -> tuple[Path, Path]:
    """Where a labelled folder keeps images and masks, by `LAYOUTS`.

    Raises:
        DataError: It is laid out in another way; what it holds is named.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give one with images and masks")
    if not any((root / images).is_dir() for images, _ in LAYOUTS):
        expected = " or ".join(f"{images}/ beside {masks}/" for images, masks in LAYOUTS)
        here = ["the folder itself"] if any(is_image_name(path) for path in root.iterdir()) else []
        places = ", ".join([*here, *folders_with_images(root)])
        if inner := _inner_datasets(root):
            cure = f"give one of its folders: {', '.join(inner)}"
        elif any(root.glob("*.json")):
            cure = "if its .json files are labelme's, make masks of them with `desert-seg read-labels`"
        else:
            cure = f"move the images into {LAYOUTS[0][0]}/ and their masks, named like them, into {LAYOUTS[0][1]}/"
        raise DataError(f"{root}: found {f'images in {places}' if places else 'no image'}, expected {expected}; {cure}")
    images, masks = image_and_mask_folders(root)
    if not masks.is_dir():
        others = [name for name in folders_with_images(root) if name != images.name]
        also = f", and images in {', '.join(others)}" if others else ""
        cure = f"put the masks into {masks.name}/"
        if len(others) == 1:
            cure = f"if these are the masks, rename {others[0]}/ to {masks.name}/"
        elif any(images.glob("*.json")):
            cure = "if the .json files among the images are labelme's, make masks of them with `desert-seg read-labels`"
        raise DataError(f"{root}: found {images.name}/ but no {masks.name}/{also}; {cure}")
    return images, masks


def _inner_datasets(root: Path) -> list[str]:
    """The folders of a folder that are dataset folders themselves, such as train/ and val/."""
    return sorted(
        child.name
        for child in root.iterdir()
        if any((child / images).is_dir() and (child / masks).is_dir() for images, masks in LAYOUTS)
    )


def paired(root: Path) -> Pairing:
    """The images and masks of a dataset folder.

    Raises:
        DataError: A folder is missing or empty, or several images or masks are named alike.
    """
    image_folder, mask_folder = labelled_folders(root)
    found = pair(list_images(image_folder), list_images(mask_folder))
    if found.ambiguous:
        images, masks = found.ambiguous[0]
        names = [f"{path.parent.name}/{path.name}" for path in (*images, *masks)]
        raise DataError(
            f"{root}: {', '.join(names)} are named alike, expected one image and one mask; rename or move away what "
            "does not belong"
        )
    return found


def without_mask(root: Path, found: Pairing) -> str:
    """How many images of a dataset folder have no mask, and the first of them; empty if all have one."""
    if not found.images_alone:
        return ""
    first = found.images_alone[0]
    similar = found.similar_mask(first)
    hint = f", though {similar} begins alike" if similar else ""
    return (
        f"{root}: {len(found.images_alone)} of {len(found.pairs) + len(found.images_alone)} images have no mask in "
        f"{image_and_mask_folders(root)[1].name}/ (first: {first.name}{hint})"
    )


def without_image(root: Path, found: Pairing) -> str:
    """How many masks of a dataset folder have no image, and the first of them; empty if all have one."""
    if not found.masks_alone:
        return ""
    return (
        f"{root}: {len(found.masks_alone)} of {len(found.pairs) + len(found.masks_alone)} masks have no image in "
        f"{image_and_mask_folders(root)[0].name}/ (first: {found.masks_alone[0].name})"
    )


def check_not_turned(path: Path) -> None:
    """Raise DataError for an image or a mask that asks to be turned when it is shown."""
    if (orientation := read_orientation(path)) != 1:
        raise DataError(f"{path}: {TURNED.format(orientation)}; {TURNED_CURE}")
