"""Why a mask holds values that its label map does not name: the usual damage and mix-ups, each with its cure.

Knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from statistics import median
from typing import NamedTuple

_MANY_VALUES = 16
"""More unknown values than this, of few pixels each, are mixtures at edges."""

_FEW_PIXELS = 0.002
"""Of the mask."""

_FEW_LEVELS = 8
"""Of 256; colours of 5 bits are as far from those of 8."""

_UNLABELLED = frozenset({255, 65535})
"""What stands for no class in most datasets, and stays as it is when the numbers of classes are moved."""

_TO_EIGHT_BITS: dict[str, Callable[[int], int]] = {
    "only the high byte of each value was kept": lambda value: value >> 8,
    "only the low byte of each value was kept": lambda value: value & 255,
    "values were clipped at 255": lambda value: min(value, 255),
    "values were scaled from 16 to 8 bits": lambda value: round(value / 257),
}


class Explanation(NamedTuple):
    """A `kind` in a few words, what was `found`, and the `cure`."""

    kind: str
    found: str
    cure: str


def explain(
    pixels: Mapping[int, int], known: Collection[int], num_classes: int, name: str, in_color: bool
) -> Explanation:
    """Explain the values of a mask of which some are unknown.

    Args:
        pixels: Number of pixels of every value in the mask, ascending.
        known: The values that the label map names.
        num_classes: How many classes it has.
        name: What the label map is called.
        in_color: The values are colours, 65536 red + 256 green + blue.
    """
    unknown = [value for value in pixels if value not in known]
    counts = [pixels[value] for value in unknown]
    if unknown == list(pixels) == [0]:
        return Explanation("empty mask", "every pixel is 0", "label the frame or move the pair away")
    if not in_color and all(value < num_classes for value in pixels):
        found = f"values {_listed(map(str, unknown))} look like class indices, not like raw values of {name}"
        return Explanation("unknown values", found, "give a label map of these numbers, or export raw values")
    if not in_color and (damage := _eight_bit_damage(pixels, known, unknown)):
        cure = "export again at 16 bits; read masks with cv2.IMREAD_UNCHANGED and write them as uint16"
        return Explanation("8-bit damage", damage, cure)
    if not in_color and (relation := _moved_numbers(pixels, known)):
        found = f"label map {name} does not know {_listed(map(str, unknown))}, and {relation}"
        return Explanation("moved numbers", found, "give a label map of the numbers that the masks hold")
    counted = [f"{_spelt(value, in_color)} ({_pixels(pixels[value])})" for value in unknown]
    found = f"label map {name} does not know {_listed(counted)}"
    if in_color and all(_swapped(value) in known for value in unknown):
        return Explanation(
            "swapped colours",
            f"{found}, but knows them with red and blue swapped",
            "write red, green and blue in order",
        )
    if in_color and all(value in {grey * 0x010101 for grey in range(256)} for value in pixels):
        cure = "give a label map whose keys are numbers, or export the mask in its colours"
        return Explanation("unknown values", f"{found}, and every pixel is grey, as if the mask held numbers", cure)
    if len(unknown) >= _MANY_VALUES and median(counts) <= _FEW_PIXELS * sum(pixels.values()):
        cure = "export the mask again as PNG, unsmoothed; to resize it, take the nearest pixel (cv2.INTER_NEAREST)"
        return Explanation(
            "mixed values", f"{found}, as smoothing, resizing or JPEG mix the values of classes at their edges", cure
        )
    if in_color and all(_nearby(value, known) for value in unknown):
        cure = "export the mask again as PNG without a colour profile, or write these colours into the label map"
        return Explanation(
            "altered colours", f"{found}, each a little off one that it knows, as colour profiles alter colours", cure
        )
    return Explanation(
        "unknown values", found, "add them to the map, as a class or as ignore, or give a map that names them"
    )


def _eight_bit_damage(pixels: Mapping[int, int], known: Collection[int], unknown: list[int]) -> str:
    """How all values became what they are, if in one of the usual ways; empty otherwise."""
    for way, cut in _TO_EIGHT_BITS.items() if any(value > 255 for value in known) else ():
        origins: dict[int, list[int]] = {}
        for value in known:
            origins.setdefault(cut(value), []).append(value)
        if pixels.keys() <= origins.keys():
            # Largest first: 7100 and 10000 are ground and sky, which everybody recognises.
            pairs = [(origins[value], value) for value in sorted(unknown, reverse=True)]
            shown = ", ".join(f"{_either(before)} became {after}" for before, after in pairs[:3])
            return f"{way}: {shown}"
    return ""


def _moved_numbers(pixels: Collection[int], known: Collection[int]) -> str:
    """How all values of a mask follow from those that the map names, by a factor or by one; empty if they do not."""
    factor, numbers = math.gcd(*pixels), [value for value in pixels if value]
    # A single number is a multiple of anything, and 255 alone may be what nobody labelled.
    is_telling = len(numbers) > 1 or (numbers == [255] and set(known) == {0, 1})
    if factor > 1 and is_telling and {value // factor for value in pixels} <= set(known):
        return f"every value is {factor} times one that it knows, as in masks that are made to be looked at"
    classes, given = set(known) - _UNLABELLED, set(pixels) - _UNLABELLED
    if not given or not classes:
        return ""
    if max(given) == max(classes) + 1 and min(classes) < min(given) and {value - 1 for value in given} <= classes:
        return "every value is one more than one that it knows, as in masks whose 0 means unlabelled"
    if min(given) == min(classes) - 1 and max(given) < max(classes) and {value + 1 for value in given} <= classes:
        return "every value is one less than one that it knows, as in masks whose first class was taken out"
    return ""


def _nearby(color: int, known: Collection[int]) -> bool:
    """Whether a colour is one of the label map's but for a few levels."""
    levels = _levels(color)
    return any(max(abs(a - b) for a, b in zip(levels, _levels(each), strict=True)) <= _FEW_LEVELS for each in known)


def _levels(color: int) -> tuple[int, int, int]:
    return color >> 16, color >> 8 & 255, color & 255


def _swapped(color: int) -> int:
    return (color & 255) << 16 | color & 0xFF00 | color >> 16


def _spelt(value: int, in_color: bool) -> str:
    return str(list(_levels(value))) if in_color else str(value)


def _pixels(count: int) -> str:
    return "1 pixel" if count == 1 else f"{count} pixels"


def _either(values: list[int]) -> str:
    return " or ".join(map(str, values)) if len(values) <= 3 else f"any of {len(values)} values"


def _listed(items: Collection[str] | map[str]) -> str:
    items = list(items)
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    return ", ".join(items[:4]) + more
