"""Which mask belongs to which image: their names are the same, apart from endings that datasets add.

Knows nothing of what is in the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

IMAGE_ENDINGS = ("_leftImg8bit", "_image", "_img", "_rgb", "_windshield_vis")
MASK_ENDINGS = (
    "_gtFine_labelIds",
    "_gtCoarse_labelIds",
    "_labelIds",
    "_labels",
    "_label",
    "_masks",
    "_mask",
    "_segmentation",
    "_seg",
    "_gt",
)

_MORE = re.compile(
    r"^(mask|label|gt|seg)[-_]"
    r"|\.(jpe?g|png|bmp|tiff?|webp)$"
    r"|[-_. ](labelids|labeltrainids|labels?|masks?|segmentation|seg|gt|fillcolor|L)$",
    re.IGNORECASE,
)
"""What masks are named beside an image's whole name: mask_a.png, a.jpg.png, a-mask.png, a_MASK.png, a_L.png, ..."""


@dataclass(frozen=True)
class Pairing:
    """The result of pairing; every image and mask occurs once.

    Attributes:
        pairs: An image and its mask, in the order of the images.
        images_alone: Images without a mask.
        masks_alone: Masks without an image.
        ambiguous: Groups of images and masks with the same name, several of one kind or of both.
    """

    pairs: tuple[tuple[Path, Path], ...]
    images_alone: tuple[Path, ...]
    masks_alone: tuple[Path, ...]
    ambiguous: tuple[tuple[tuple[Path, ...], tuple[Path, ...]], ...]

    def similar_mask(self, image: Path) -> str:
        """Name of a mask without an image that begins like one without a mask; empty if there is none."""
        begins = image.stem.casefold()
        return next((mask.name for mask in self.masks_alone if mask.name.casefold().startswith(begins)), "")


def pair(images: Sequence[Path], masks: Sequence[Path]) -> Pairing:
    """Pair files of the same stem and, of what is left, those whose stems are the same without what datasets add."""
    images, masks = list(images), list(masks)
    order = {path: index for index, path in enumerate(images)}
    pairs: list[tuple[Path, Path]] = []
    ambiguous = []
    for image_key, mask_key in _KEYS:
        images_by_key, masks_by_key = _by_key(images, image_key), _by_key(masks, mask_key)
        shared = images_by_key.keys() & masks_by_key.keys()
        for key in shared:
            alike = tuple(images_by_key[key]), tuple(masks_by_key[key])
            if len(alike[0]) == len(alike[1]) == 1:
                pairs.append((alike[0][0], alike[1][0]))
            else:
                ambiguous.append(alike)
        images = [path for path in images if image_key(path) not in shared]
        masks = [path for path in masks if mask_key(path) not in shared]
    return Pairing(
        tuple(sorted(pairs, key=lambda found: order[found[0]])),
        tuple(images),
        tuple(masks),
        tuple(sorted(ambiguous, key=lambda found: order[found[0][0]])),
    )


def masks_among(paths: Sequence[Path]) -> list[Path]:
    """Those of some files that are named like the mask of another one of them: a_mask.png beside a.jpg."""
    stems = {_stem(path) for path in paths}
    plain = _without(MASK_ENDINGS)
    return [path for path in paths if plain(path) != _stem(path) and plain(path) in stems]


def _stem(path: Path) -> str:
    return normalize("NFC", path.stem)  # macOS takes letters with accents apart


def _without(endings: Sequence[str]) -> Callable[[Path], str]:
    def key(path: Path) -> str:
        stem = _stem(path)
        return next((stem.removesuffix(ending) for ending in endings if stem.endswith(ending)), stem)

    return key


def _without_more(path: Path) -> str:
    return _MORE.sub("", _stem(path))


_KEYS = (
    (_stem, _stem),
    (_without(IMAGE_ENDINGS), _without(MASK_ENDINGS)),
    (_without(IMAGE_ENDINGS), _without_more),
)


def _by_key(paths: Sequence[Path], key: Callable[[Path], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(key(path), []).append(path)
    return found
