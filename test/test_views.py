"""Test-time augmentation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desert_seg.errors import DesertSegError
from desert_seg.views import SIZE_MULTIPLE, VIEW_SETS, View, fuse, view_set


def a_network_that_sees_brightness(image):
    """Scores at stride 4 that commute with mirroring: the mean of each 4x4 block, and its negative."""
    height, width = image.shape[0] // 4, image.shape[1] // 4
    plane = image[..., 0].astype(np.float32).reshape(height, 4, width, 4).mean((1, 3))
    return np.stack([plane, -plane])


def score_batch(images):
    return np.stack([a_network_that_sees_brightness(image) for image in images])


def an_image(seed, height=64, width=96):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(0, 100))
def test_undo_brings_back_what_apply_mirrored(seed):
    image = an_image(seed)
    plain = a_network_that_sees_brightness(image)
    mirrored = a_network_that_sees_brightness(View(flip=True).apply(image))
    assert np.array_equal(View(flip=True).undo(mirrored, plain.shape[1:]), plain)


@pytest.mark.parametrize("name", VIEW_SETS)
def test_every_view_has_sizes_the_network_takes_and_scores_on_the_plain_grid(name):
    image = an_image(1, 512, 896)
    plain = a_network_that_sees_brightness(image)
    for view in view_set(name):
        seen = view.apply(image)
        assert seen.flags.c_contiguous
        assert seen.shape[0] % SIZE_MULTIPLE == seen.shape[1] % SIZE_MULTIPLE == 0
        assert view.undo(a_network_that_sees_brightness(seen), plain.shape[1:]).shape == plain.shape


@pytest.mark.parametrize("name", VIEW_SETS)
def test_an_even_picture_scores_the_same_through_every_view_set(name):
    image = np.full((64, 96, 3), 80, np.uint8)
    fused = fuse([image], view_set(name), score_batch)
    np.testing.assert_allclose(fused[0], a_network_that_sees_brightness(image), rtol=1e-5)


@pytest.mark.parametrize("name", VIEW_SETS)
def test_a_batch_scores_as_its_images_do_alone(name):
    images = [an_image(1), an_image(2)]
    together = fuse(images, view_set(name), score_batch)
    assert np.array_equal(together, np.concatenate([fuse([image], view_set(name), score_batch) for image in images]))


def test_fusing_leaves_the_engine_s_own_buffer_alone():
    buffer = score_batch([an_image(2)])
    before = buffer.copy()
    fuse([an_image(3)], view_set("flip"), lambda images: buffer)
    assert np.array_equal(buffer, before)


def test_full_is_three_scales_each_mirrored():
    assert len(view_set("full")) == len(set(view_set("full"))) == 6
    assert all(views[0] == View() for views in VIEW_SETS.values())


def test_an_unknown_view_set_is_answered_with_those_that_exist():
    with pytest.raises(DesertSegError, match="none, flip, scales, full"):
        view_set("everything")
