"""What masks give away together: flipped against their images, smoothed, cut to eight bits, of other palettes."""

import numpy as np
import pytest
from PIL import Image

from desert_seg.console import Console
from desert_seg.images import write_image
from desert_seg.labels import label_map_from_dict

pytest.importorskip("torch")

import cv2

from desert_seg_train.data.sources import open_source
from desert_seg_train.flipped_masks import Flip, better_flip
from desert_seg_train.inspect.command import inspect
from desert_seg_train.inspect.config import InspectConfig
from desert_seg_train.mask_signs import signs_of, suspicions

SIZE = 120, 160
NUMBERS = label_map_from_dict(
    {
        "name": "site",
        "classes": "falcon7",
        "values": {0: "Trees", 2: "Rocks", 6: "Sky", 44: "Sky", 300: "ignore"},
    },
    "site",
)
TURNS = {
    Flip.MIRRORED: lambda mask: mask[:, ::-1],
    Flip.UPSIDE_DOWN: lambda mask: mask[::-1],
    Flip.TURNED: lambda mask: mask[::-1, ::-1],
}


def frame(seed):
    """An image of grainy patches, and the mask of them."""
    rng = np.random.default_rng(seed)
    cells = np.kron(rng.choice(np.array([0, 2, 6], np.uint8), (6, 8)), np.ones((20, 20), np.uint8))
    mask = np.roll(cells, (7, 9), (0, 1))  # a grid that lies in the middle fits itself when it is turned
    shown = np.array([60, 0, 110, 0, 0, 0, 200])[mask][..., None]
    return (shown + rng.integers(0, 10, (*SIZE, 3))).astype(np.uint8), mask


def sentences(masks, label_map=NUMBERS, tmp_path=None, save=write_image):
    """What is said of masks of the frames 0, 1, 2, ..."""
    signs = []
    for seed, mask in enumerate(masks):
        save(tmp_path / f"{seed}.png", mask)
        signs.append(signs_of(tmp_path / f"{seed}.png", frame(seed)[0], mask, label_map))
    return suspicions(signs, label_map)


@pytest.mark.parametrize("flip", Flip)
def test_a_mask_that_was_turned_fits_better_turned_back(flip):
    for seed in range(6):
        image, mask = frame(seed)
        assert better_flip(image, TURNS[flip](mask)) is flip
        assert better_flip(image, mask) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 2), (3, 4000)])
def test_of_a_mask_that_shows_little_nothing_is_said(size):
    rng = np.random.default_rng(0)
    assert better_flip(rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 2, size, np.uint8)) is None
    assert better_flip(np.zeros((*size, 3), np.uint8), rng.integers(0, 2, size, np.uint8)) is None


def test_some_turned_masks_among_many_are_told_and_masks_in_order_are_not(tmp_path):
    masks = [frame(seed)[1] for seed in range(16)]
    assert sentences(masks, tmp_path=tmp_path) == []
    masks[3:7] = [mask[:, ::-1] for mask in masks[3:7]]
    (sentence,) = sentences(masks, tmp_path=tmp_path)
    assert sentence.startswith("4 of 16 masks fit their images better mirrored left to right (first: 3.png)")


def test_numbers_that_eight_bits_do_not_hold_are_missed_where_what_is_left_of_them_occurs(tmp_path):
    mask = frame(0)[1].astype(np.uint16)
    assert sentences([mask], tmp_path=tmp_path) == []
    mask[:9] = 44
    (sentence,) = sentences([mask], tmp_path=tmp_path)
    assert "44, which 300 becomes so, occurs" in sentence
    mask[:3] = 300
    assert sentences([mask], tmp_path=tmp_path) == []
    mask[:9] = 255
    both = label_map_from_dict(
        {
            "name": "two",
            "classes": "falcon7",
            "values": {0: "Trees", 2: "Rocks", 6: "Sky", 255: "ignore", 65535: "ignore"},
        },
        "two",
    )
    assert sentences([mask], both, tmp_path) == []


@pytest.mark.parametrize("same", [True, False])
def test_palettes_that_give_a_number_several_colours_are_told(tmp_path, same):
    def save(path, mask):
        image = Image.fromarray(mask)
        image.putpalette([0, 0, 0, 9, 9, 9, 200 if same or path.stem == "0" else 100, 0, 0] + [0] * 9 + [50, 60, 70])
        image.save(path)

    said = sentences([frame(seed)[1] for seed in range(2)], tmp_path=tmp_path, save=save)
    assert said == [] if same else "2 is [200, 0, 0] in 0.png and [100, 0, 0] in 1.png" in said[0]


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """Frames whose masks are smoothed and mirrored, and a label map that names every value of them."""
    root = tmp_path_factory.mktemp("spoilt")
    (root / "map.yaml").write_text(
        "name: site\nclasses: falcon7\nvalues: {0: Trees, 1: Sky, 2: Rocks, 3: Sky, 4: Sky, 5: Sky, 6: Landscape}\n"
    )
    for seed in range(4):
        image, mask = frame(seed)
        write_image(root / "images" / f"{seed}.png", image)
        write_image(root / "labels" / f"{seed}.png", cv2.GaussianBlur(mask, (3, 3), 0)[:, ::-1])
    return root


def test_a_training_says_what_is_wrong_with_its_masks(spoilt, capsys):
    open_source(spoilt, str(spoilt / "map.yaml"), 1.0, Console())
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 of 4 masks fit their images better mirrored" in printed
    assert "seam of the numbers in between" in printed


def test_an_inspection_says_the_same(spoilt, tmp_path, capsys):
    inspect(InspectConfig(spoilt, str(spoilt / "map.yaml"), None, tmp_path))
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 of 4 masks fit their images better mirrored" in printed
    assert "seam of the numbers in between" in printed
