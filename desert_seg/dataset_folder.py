"""Dataset folders: `Color_Images/` beside `Segmentation/`, or `images/` beside `labels/`, paired by name.

A labelled image that asks to be turned when it is shown is refused, as nobody knows whether its mask was drawn before
or after. Knows nothing of what the values of masks mean.
"""

from __future__ import annotations

from pathlib import Path

from desert_seg.errors import DataError
from desert_seg.image_folder import check_folder, folders_with_images, list_images, no_image
from desert_seg.images import read_orientation
from desert_seg.other_layouts import divide, holds_images, no_mask_folder, other_layout
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
    check_folder(root, "a folder with images and masks")
    images, masks = image_and_mask_folders(root)
    layout = images.name, masks.name
    if not images.is_dir():
        raise DataError(f"{root}: {other_layout(root, LAYOUTS)}")
    if not masks.is_dir():
        raise DataError(f"{root}: {no_mask_folder(root, layout)}")
    if not holds_images(masks) and not folders_with_images(masks):
        raise DataError(f"{masks}: {'; '.join(no_image(masks))}")
    if not holds_images(images) and (parts := folders_with_images(images)):
        places = ", ".join(f"{images.name}/{part}" for part in parts)
        raise DataError(f"{root}: found images in {places}, {divide(layout, LAYOUTS[-1], parts[0])}")
    return images, masks


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
