"""From labelled folders to training crops: folders, splits, sampling and augmentation."""

import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.image_folder import list_images
from desert_seg.images import read_mask, write_image
from desert_seg.labels import load_label_map

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from desert_seg_train.data.augmentation import color_cast, compress, mix_style, random_crop  # noqa: E402
from desert_seg_train.data.config import AugmentationConfig, SamplingConfig  # noqa: E402
from desert_seg_train.data.crops import Crops, batches  # noqa: E402
from desert_seg_train.data.overlap import trained_on  # noqa: E402
from desert_seg_train.data.sampling import Sampler  # noqa: E402
from desert_seg_train.data.sources import absent_classes, digest_of, open_source, split  # noqa: E402
from desert_seg_train.folder import Sample, SegmentationFolder, scene_of  # noqa: E402
from desert_seg_train.train.config import TrainConfig  # noqa: E402

QUIET = Console(quiet=True)
ROCKS = load_label_map("falcon7").labels.index("Rocks")


def write_dataset(root, names, size=(48, 64), rocks=()):
    """Frames of landscape below sky; those in `rocks` have a block of rock."""
    rng = np.random.default_rng(0)
    for name in names:
        mask = np.full(size, 7100, np.uint16)
        mask[: size[0] // 3] = 10000
        if name in rocks:
            mask[-20:, -20:] = 800
        write_image(root / "Color_Images" / f"{name}.png", rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        write_image(root / "Segmentation" / f"{name}.png", mask)
    return root


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", ["a0", "a1", "a2", "b0"], rocks=["a1"])


# ---------------------------------------------------------------------------------------------------- folders
def test_a_folder_pairs_images_and_masks_and_maps_the_values(dataset):
    folder = SegmentationFolder(dataset, load_label_map("falcon7"))
    assert len(folder) == 4
    assert folder[0].image.shape == (48, 64, 3)
    assert set(np.unique(folder[0].target)) == {5, 6}
    assert folder.class_counts(1)[ROCKS] == 400


def test_an_image_without_a_mask_is_named(dataset):
    (dataset / "Segmentation" / "a2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 images have no mask.*a2\.png"):
        SegmentationFolder(dataset, load_label_map("falcon7"))


def test_a_mask_of_another_size_or_with_eight_bit_damage_is_named(dataset):
    write_image(dataset / "Segmentation" / "a0.png", np.full((24, 32), 7100, np.uint16))
    write_image(dataset / "Segmentation" / "a1.png", np.full((48, 64), 7100 >> 8, np.uint8))
    folder = SegmentationFolder(dataset, load_label_map("falcon7"))
    with pytest.raises(DataError, match=r"a0\.png: found a mask of 32x24, expected the image's 64x48"):
        folder[0]
    with pytest.raises(DataError, match=r"a1\.png: only the high byte of each value was kept: 7100 became 27"):
        folder[1]


def test_a_corrupt_image_is_named(dataset):
    path = dataset / "Color_Images" / "b0.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"b0\.png: is not a whole image"):
        SegmentationFolder(dataset, load_label_map("falcon7"))[3]


def test_palette_masks_in_images_and_labels_are_read_by_their_indices(tmp_path):
    indices = np.arange(9, dtype=np.uint8).reshape(3, 3).repeat(8, 0).repeat(8, 1)
    mask = Image.fromarray(indices, "P")
    mask.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    (tmp_path / "labels").mkdir()
    mask.save(tmp_path / "labels" / "0004.png")
    write_image(tmp_path / "images" / "0004.jpg", np.zeros((24, 24, 3), np.uint8))
    assert np.array_equal(read_mask(tmp_path / "labels" / "0004.png"), indices)
    sample = SegmentationFolder(tmp_path, load_label_map("ycor"))[0]
    assert np.array_equal(sample.target, np.where(indices == 0, 255, indices - 1))
    content = (tmp_path / "labels" / "0004.png").read_bytes()
    (tmp_path / "labels" / "0004.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"0004\.png: is not an image that can be decoded"):
        SegmentationFolder(tmp_path, load_label_map("ycor"))[0]


def rename(folder, image, mask):
    """Give every frame other names for image and mask."""
    for name, pattern in (("Color_Images", image), ("Segmentation", mask)):
        for path in list((folder / name).iterdir()):
            path.rename(path.with_name(pattern.format(path.stem)))
    return folder


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.png", "{}_mask.png"),
        ("{}.png", "{}_gt.png"),
        ("{}_leftImg8bit.png", "{}_gtFine_labelIds.png"),
        ("{}_rgb.png", "{}_rgb.png"),
        ("{}_windshield_vis.png", "{}_labelids.png"),
        ("{}.png", "{}_fillcolor.png"),
        ("{}.png", "{}_L.png"),
        ("{}.png", "{}.jpg.png"),
        ("{}.png", "{}-MASK.png"),
        ("{}.png", "mask_{}.png"),
    ],
)
def test_masks_with_the_endings_of_known_datasets_are_paired(dataset, image, mask):
    folder = SegmentationFolder(rename(dataset, image, mask), load_label_map("falcon7"))
    assert [(i.name, m.name) for i, m in folder.pairs][1] == (image.format("a1"), mask.format("a1"))
    assert folder.class_counts(1)[ROCKS] == 400


def test_an_accent_is_the_same_however_it_is_encoded(dataset):
    folder = SegmentationFolder(rename(dataset, "{}\u00fc.png", "{}u\u0308.png"), load_label_map("falcon7"))
    assert len(folder) == 4


def test_masks_without_an_image_are_told_and_not_used(dataset, caplog):
    (dataset / "Color_Images" / "a1.png").unlink()
    assert len(SegmentationFolder(dataset, load_label_map("falcon7"))) == 3
    assert "1 of 4 masks have no image in Color_Images/ (first: a1.png); these are not used" in caplog.text


def test_a_mask_whose_name_differs_in_case_is_named(dataset):
    with pytest.raises(DataError, match=r"first: X_a0\.png, though x_a0\.png begins alike"):
        SegmentationFolder(rename(dataset, "X_{}.png", "x_{}.png"), load_label_map("falcon7"))


def test_a_mask_with_another_ending_is_named(dataset):
    with pytest.raises(DataError, match=r"4 of 4 .*first: a0\.png, though a0_truth\.png begins alike"):
        SegmentationFolder(rename(dataset, "{}.png", "{}_truth.png"), load_label_map("falcon7"))


def test_two_masks_for_an_image_or_two_images_for_a_mask_are_named(dataset):
    label_map = load_label_map("falcon7")
    image, masks = dataset / "Color_Images" / "a0.png", dataset / "Segmentation"
    shutil.copy(image, image.with_suffix(".bmp"))
    with pytest.raises(DataError, match=r"Images/a0\.bmp, Color_Images/a0\.png, Segmentation/a0\.png are named alike"):
        SegmentationFolder(dataset, label_map)
    image.with_suffix(".bmp").unlink()
    shutil.copy(masks / "a0.png", masks / "a0_gt.png")
    (masks / "a0.png").rename(masks / "a0_mask.png")
    with pytest.raises(DataError, match=r"a0_gt\.png, Segmentation/a0_mask\.png are named alike"):
        SegmentationFolder(dataset, label_map)


@pytest.mark.parametrize("folder", ["Color_Images", "Segmentation"])
def test_a_labelled_image_or_mask_that_asks_to_be_turned_is_refused(dataset, folder):
    path = dataset / folder / "a1.png"
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        pixels = image.copy()
    pixels.save(path, exif=exif.tobytes())
    with pytest.raises(DataError, match=r"a1\.png: found EXIF orientation 3.*mogrify -auto-orient"):
        open_source(dataset, "falcon7", 1.0, QUIET)


def test_masks_of_colours_are_read_through_a_map_of_colours(tmp_path):
    mask = np.zeros((24, 32, 3), np.uint8)
    mask[:8], mask[8:16] = (0, 0, 255), (153, 204, 255)
    write_image(tmp_path / "images" / "a.png", np.zeros((24, 32, 3), np.uint8))
    write_image(tmp_path / "labels" / "a.png", mask)
    target = SegmentationFolder(tmp_path, load_label_map("rugd_falcon7"))[0].target
    assert target[:, 0].tolist() == [6] * 8 + [ROCKS] * 8 + [255] * 8
    with pytest.raises(
        DataError, match=r"a\.png: found 3 channels: a picture of the labels.* a label map whose keys are colours"
    ):
        SegmentationFolder(tmp_path, load_label_map("falcon7"))[0]


@pytest.mark.parametrize(
    ("stem", "scene"), [("cc0000016", "cc"), ("0004", ""), ("mojave_003", "mojave"), ("w1b2", "w")]
)
def test_the_leading_letters_of_a_file_name_are_its_scene(stem, scene):
    assert scene_of(stem) == scene


# ---------------------------------------------------------------------------------------------------- sources
def test_a_held_out_scene_is_validated_on_and_not_trained_on(dataset):
    source = open_source(dataset, "falcon7", 1.0, QUIET)
    training, validation = split([source], None, ["a"])
    assert [source.folder.pairs[i][0].stem for source in training for i in source.indices] == ["b0"]
    assert [source.folder.pairs[i][0].stem for source in validation for i in source.indices] == ["a0", "a1", "a2"]
    assert training[0].counts.shape == (1, 7)


def test_a_single_frame_is_held_out_by_its_file_stem(dataset):
    training, validation = split([open_source(dataset, "falcon7", 1.0, QUIET)], None, ["a1"])
    assert training[0].names == ("a0", "a2", "b0")
    assert validation[0].names == ("a1",)


def test_a_validation_folder_is_used_whole_even_if_scenes_are_held_out(dataset):
    source = open_source(dataset, "falcon7", 1.0, QUIET)
    training, validation = split([source], source, ["a"])
    assert (sum(map(len, training)), sum(map(len, validation))) == (1, 4)


def test_frames_that_are_trained_and_validated_on_are_found_under_any_name(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "other")
    for folder in ("Color_Images", "Segmentation"):
        for path in (tmp_path / "other" / folder).glob("a*.png"):
            path.rename(path.with_name(f"copy_{path.name}"))
        (tmp_path / "other" / folder / "b0.png").unlink()
    source, other = (open_source(folder, "falcon7", 1.0, QUIET) for folder in (dataset, tmp_path / "other"))
    assert [path.name for path in trained_on([source], [other])] == ["copy_a0.png", "copy_a1.png", "copy_a2.png"]
    assert trained_on(*split([source], None, ["a"])) == []


def test_the_digest_of_frames_changes_with_a_mask_and_with_the_meaning_of_its_values(dataset):
    def digest(label_map="falcon7"):
        return digest_of([open_source(dataset, label_map, 1.0, QUIET)])

    before = digest()
    assert digest() == before != digest("falcon7_stones")
    write_image(dataset / "Segmentation" / "a0.png", np.full((48, 64), 7100, np.uint16))
    assert digest() != before


def test_sources_with_other_classes_do_not_mix(dataset):
    sources = [open_source(dataset, name, 1.0, QUIET) for name in ("falcon7", "falcon10")]
    with pytest.raises(DataError, match="label map falcon10 has other classes than falcon7"):
        split(sources, None, [])


def test_label_maps_with_the_same_classes_mix(dataset):
    sources = [open_source(dataset, name, 1.0, QUIET) for name in ("falcon7", "falcon7_stones")]
    assert len(split(sources, None, [])[0]) == 2


def test_a_class_that_never_occurs_is_found(dataset):
    assert absent_classes([open_source(dataset, "falcon7", 1.0, QUIET)]) == [
        "Trees",
        "Lush Bushes",
        "Dry Grass",
        "Dry Bushes",
    ]


def test_a_source_without_weight_is_refused(dataset):
    with pytest.raises(DataError, match=r"found weight 0\.0, expected a positive number"):
        open_source(dataset, "falcon7", 0.0, QUIET)


# ---------------------------------------------------------------------------------------------------- sampling
def drawn(sources, num_samples=400, epoch=0, **settings):
    return Sampler(sources, SamplingConfig(**settings), seed=3).epoch(epoch, num_samples)


def test_every_frame_comes_once_before_any_comes_again(dataset):
    draws = drawn([open_source(dataset, "falcon7", 1.0, QUIET)], 12, rare_class=0.0)
    for start in (0, 4, 8):
        assert sorted(draw.frame for draw in draws[start : start + 4]) == [0, 1, 2, 3]


def test_an_epoch_is_always_drawn_alike_and_the_next_one_otherwise(dataset):
    sources = [open_source(dataset, "falcon7", 1.0, QUIET)]
    assert drawn(sources) == drawn(sources)
    assert drawn(sources) != drawn(sources, epoch=1)


def test_sources_are_drawn_by_their_weights(dataset):
    sources = [open_source(dataset, "falcon7", weight, QUIET) for weight in (3.0, 1.0)]
    counts = Counter(draw.source for draw in drawn(sources))
    assert 0.68 < counts[0] / 400 < 0.82


def test_a_rare_class_is_looked_for_in_frames_that_have_it(dataset):
    draws = drawn([open_source(dataset, "falcon7", 1.0, QUIET)], rare_class=0.6)
    wanted = [draw for draw in draws if draw.wanted is not None]
    assert 0.5 < len(wanted) / 400 < 0.7
    rocks = [draw for draw in wanted if draw.wanted == ROCKS]
    assert len(rocks) > len(wanted) / 2
    assert {draw.frame for draw in rocks} == {1}


def test_balanced_scenes_come_equally_often_however_many_frames_they_have(dataset):
    draws = drawn([open_source(dataset, "falcon7", 1.0, QUIET)], rare_class=0.0, balance_scenes=True)
    assert Counter(draw.frame == 3 for draw in draws) == {True: 200, False: 200}


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_every_batch_and_a_later_start_changes_no_sample(dataset, world_size):
    config = TrainConfig((), Path(), batch_size=8, sampling=SamplingConfig(height=32, width=32))
    sources = [open_source(dataset, "falcon7", 1.0, QUIET)]
    crops = Crops(sources, Sampler(sources, config.sampling, 0).epoch(0, 24), config.sampling, config.augmentation)
    whole = [crops[index][0] for index in range(24)]
    for first_step in (0, 2):
        loaders = [batches(crops, 8, first_step, rank, world_size, 0) for rank in range(world_size)]
        for step, shares in enumerate(zip(*loaders, strict=True), first_step):
            images = torch.cat([images for images, _ in shares])
            assert torch.equal(images, torch.stack(whole[step * 8 : step * 8 + 8]))


def test_worker_processes_change_nothing(dataset):
    config = TrainConfig(
        (), Path(), sampling=SamplingConfig(height=32, width=32), augmentation=AugmentationConfig(1.0, 0.5)
    )
    sources = [open_source(dataset, "falcon7", 1.0, QUIET)]
    crops = Crops(sources, Sampler(sources, config.sampling, 0).epoch(0, 8), config.sampling, config.augmentation)
    (alone,), (helped,) = batches(crops, 8, 0, 0, 1, 0), batches(crops, 8, 0, 0, 1, 2)
    assert torch.equal(alone[0], helped[0])
    assert torch.equal(alone[1], helped[1])


# ---------------------------------------------------------------------------------------------------- augmentation
def coded_sample(height=60, width=100):
    """A frame whose pixels say where they came from, and whose target says the same as its red channel."""
    target = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8) % 7
    return Sample("coded", np.repeat((target * 30)[..., None], 3, axis=2), target)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_image_and_target_are_cropped_and_mirrored_together(seed):
    config = SamplingConfig(height=32, width=48, min_zoom=1.0, max_zoom=1.0)
    image, target = random_crop(coded_sample(), config, None, np.random.default_rng(seed))
    assert image.shape == (32, 48, 3)
    assert np.array_equal(image[..., 0], target * 30)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 3.0))
def test_scaling_never_invents_a_class(seed, zoom):
    sample = coded_sample()
    sample.target[sample.target == 3] = 5
    config = SamplingConfig(height=32, width=48, min_zoom=zoom, max_zoom=zoom)
    _, target = random_crop(sample, config, None, np.random.default_rng(seed))
    assert set(np.unique(target)) <= set(np.unique(sample.target))


def test_a_crop_shows_the_class_it_should():
    target = np.zeros((100, 400), np.uint8)
    target[:, 380:] = 1
    sample = Sample("rare", np.zeros((100, 400, 3), np.uint8), target)
    config = SamplingConfig(height=96, width=64, min_zoom=1.0, max_zoom=1.0)

    def share_with_rare(wanted):
        rng = np.random.default_rng(0)
        return np.mean([(random_crop(sample, config, wanted, rng)[1] == 1).any() for _ in range(200)])

    assert share_with_rare(1) > 2 * share_with_rare(None)


def picture(seed, height=64, width=96):
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_no_strength_changes_nothing_and_full_strength_does():
    rng = np.random.default_rng(0)
    assert np.array_equal(color_cast(picture(1), 0.0, rng), picture(1))
    assert np.array_equal(compress(picture(1), 0.0, rng), picture(1))
    assert not np.array_equal(color_cast(picture(1), 1.0, rng), picture(1))
    assert not np.array_equal(compress(picture(1), 2.0, rng), picture(1))


def test_a_frame_in_its_own_style_stays_as_it_is():
    changed = mix_style(picture(1), picture(1), np.random.default_rng(0))
    assert np.abs(changed.astype(int) - picture(1)).max() <= 1


def test_another_style_changes_the_mean_colour_but_not_the_structure():
    image, style = picture(1) // 4 + 60, np.full((64, 96, 3), (200, 120, 40), np.uint8)
    changed = mix_style(image, style, np.random.default_rng(0))
    before, after = (np.abs(each.mean((0, 1)) - style.mean((0, 1))) for each in (image, changed))
    assert (after < before).all()
    rough, fine = (each.astype(float) - cv2.blur(each, (31, 31)) for each in (image, changed))
    assert np.corrcoef(rough.ravel(), fine.ravel())[0, 1] > 0.8


def test_the_same_draw_gives_the_same_crop_whatever_was_drawn_before(dataset):
    config = TrainConfig((), Path(), sampling=SamplingConfig(height=32, width=32))
    sources = [open_source(dataset, "falcon7", 1.0, QUIET)]
    crops = Crops(sources, Sampler(sources, config.sampling, 0).epoch(0, 8), config.sampling, config.augmentation)
    first, _ = crops[3]
    torch.manual_seed(99)
    assert torch.equal(crops[3][0], first)
    plain = Crops(sources, crops._draws, config.sampling, AugmentationConfig(photometric=0.0))
    assert not torch.equal(plain[3][0], first)


# -------------------------------------------------------------------------------------------- other layouts
@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            ("leftImg8bit/train/aachen/a.png", "gtFine/train/aachen/a.png"),
            r"found images in gtFine/train/aachen, leftImg8bit/train/aachen, expected Color_Images/ beside "
            r"Segmentation/ or images/ beside labels/; move the images into Color_Images/ and their masks",
        ),
        (("color_images/a.png", "segmentation/a.png"), "found images in color_images, segmentation, expected"),
        (("a.png", "a.json"), "found images in the folder itself, expected .* `desert-seg read-labels`"),
        (
            tuple(f"{top}/{part}/a.png" for top in ("gt", "rgb") for part in "abcde"),
            "mv rgb/a a/images && mv gt/a a/lab",
        ),
        (("notes.md",), r"found no image among 1 files ending in \.md, .*expected Color_Images/"),
        (
            ("images/train/a.png", "masks/train/a.png"),
            "make them, such as train/: mkdir train && mv images/train train/images && mv masks/train train/labels$",
        ),
        (
            ("images/val/a.png", "labels/val/a.png"),
            "mv images/val val/images && mv labels/val val/labels$",
        ),
        (
            ("img_dir/train/a.png", "ann_dir/train/a.png"),
            "mv img_dir/train train/images && mv ann_dir/train",
        ),
        (
            ("JPEGImages/a.jpg", "SegmentationClass/a.png", "SegmentationObject/a.png"),
            "rename JPEGImages/ to images/ and SegmentationClass/",
        ),
        (("images/train/a.jpg", "labels/train/a.txt"), r"labels: found .* 1 files ending in \.txt; .* YOLO's polygons"),
        (("train/images/a.jpg", "train/labels/a.txt"), "give one of its folders: train"),
        (("images/a.png", "labels/a.xml", "labels/data.csv"), r"1 files ending in \.xml; .* CVAT's"),
        (("color/a.png", "raw/a.png", "predictions.json"), "these are predictions of `desert-seg predict`; give"),
        (("train2017/a.jpg", "annotations/a.json"), "if they are COCO's, draw their polygons as masks"),
        (("images/a.png", "masks/a.png"), "images in masks; if these are the masks, rename masks/"),
        (("images/a.png", "images/a.json"), "found images/ but no labels/; .* `desert-seg read-labels`"),
        (("images/a.png", "labels/a.json"), "labels: found no image among 1 files ending in .json; .*read-labels`"),
        (
            ("val/images/a.png", "val/labels/a.png", "train/images/a.png", "train/labels/a.png"),
            "its folders: train, val",
        ),
    ],
)
def test_a_folder_of_another_layout_is_answered_with_what_it_holds(tmp_path, files, said):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=said):
        SegmentationFolder(tmp_path, load_label_map("falcon7"))


def test_a_folder_whose_images_lie_deeper_is_answered_with_where(tmp_path):
    (tmp_path / "day" / "front").mkdir(parents=True)
    (tmp_path / "day" / "front" / "a.png").touch()
    with pytest.raises(DataError, match="found no image in the folder itself, but in day/front; give the one"):
        list_images(tmp_path)
