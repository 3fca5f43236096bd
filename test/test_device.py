"""Fusing views and decoding scores on a torch device, here a CPU: the same answers as OpenCV's on the processor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from desert_seg import decode, views
from desert_seg.calibration import Calibration
from desert_seg.engines.choice import create_engine
from desert_seg.engines.engine import DeviceEngine
from desert_seg.labels import IGNORE
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.views import VIEW_SETS, view_set

torch = pytest.importorskip("torch")

from desert_seg import device  # noqa: E402

SCORES = st.tuples(st.integers(1, 7), st.integers(2, 9), st.integers(2, 9)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-20, 20, width=32))
)
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
BIASES = st.one_of(
    st.none(), st.lists(st.sampled_from([0.0, 0.5, -3.0, -np.inf]), min_size=7, max_size=7).map(np.float32)
)


@settings(deadline=None)
@given(SCORES, SIZES, BIASES)
def test_the_mask_is_that_of_opencv_except_where_two_classes_are_equal(scores, size, bias):
    bias = None if bias is None else bias[: len(scores)]
    expected, found = decode.decode(scores, size, bias), device.decode(torch.from_numpy(scores), size, bias)
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert np.array_equal(found == IGNORE, expected == IGNORE)
    if not (found == IGNORE).any():
        planes = np.stack([decode.enlarge(plane, size) for plane in scores])
        planes += 0 if bias is None else bias[:, None, None]
        one, other = (np.take_along_axis(planes, mask[None].astype(int), 0) for mask in (expected, found))
        np.testing.assert_allclose(one, other, atol=1e-4)


@settings(deadline=None)
@given(SCORES, SIZES, BIASES)
def test_confidence_is_that_of_opencv_to_one_step_of_255(scores, size, bias):
    bias = None if bias is None else bias[: len(scores)]
    expected, found = decode.confidence(scores, size, bias), device.confidence(torch.from_numpy(scores), size, bias)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_ties_go_to_the_lower_class():
    assert not device.decode(torch.zeros(4, 3, 3), (6, 6)).any()


def columns_and_brightness(images):
    """Scores of a network that sees brightness, and where it is in the picture."""
    seen = images[:, ::4, ::4].mean(3, dtype=np.float32)
    return np.stack([seen, np.broadcast_to(np.arange(seen.shape[2], dtype=np.float32), seen.shape)], 1)


@pytest.mark.parametrize("name", VIEW_SETS)
@pytest.mark.parametrize("count", [1, 2])
def test_views_are_fused_to_the_scores_that_opencv_makes_of_them(name, count):
    images = list(np.random.default_rng(1).integers(0, 256, (count, 96, 160, 3), dtype=np.uint8))
    expected = views.fuse(images, view_set(name), columns_and_brightness)
    found = device.fuse(images, view_set(name), lambda batch: torch.from_numpy(columns_and_brightness(batch)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_fusing_leaves_the_engine_s_own_buffer_alone():
    buffer = torch.from_numpy(columns_and_brightness(np.full((1, 64, 96, 3), 9, np.uint8)))
    before = buffer.clone()
    device.fuse([np.zeros((64, 96, 3), np.uint8)], view_set("scales"), lambda batch: buffer)
    assert torch.equal(buffer, before)


class EngineThatKeepsItsScores:
    """What the engine for CUDA looks like from outside, on a CPU."""

    def __init__(self, engine):
        self._engine, self.description, self.precision = engine, engine.description, engine.precision

    def scores(self, images):
        raise AssertionError("the scores were to stay on the device")

    def device_scores(self, images):
        return torch.from_numpy(self._engine.scores(images))


@pytest.fixture(scope="module")
def pair(tiny_artifact):
    """A segmenter on OpenCV's way, and one on the device's."""
    engine, card = create_engine(tiny_artifact, "torch", "cpu", "f32"), tiny_artifact.card
    found = Segmenter(engine, card, ""), Segmenter(EngineThatKeepsItsScores(engine), card, "")
    for segmenter in found:
        segmenter.calibration = Calibration(temperature=1.5, unknown_threshold=0.7)
    return found


@pytest.mark.parametrize("name", VIEW_SETS)
def test_a_segmenter_gives_the_same_results_with_an_engine_that_leaves_its_scores_on_the_device(pair, name):
    plain, kept = pair
    assert not isinstance(plain.engine, DeviceEngine)
    assert isinstance(kept.engine, DeviceEngine)
    rng = np.random.default_rng(3)
    frames = [np.kron(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8), np.ones((30, 30, 1), np.uint8)) for _ in "ab"]
    options = SegmentOptions(
        views=name,
        bias=plain.suppress(["Sky"]),
        confidence_threshold=0.15,
        region=(0.2, 0.0, 1.0, 0.9),
        want_confidence=True,
        want_unknown=True,
        want_probabilities=True,
    )
    for one, other in zip(plain.segment_batch(frames, options), kept.segment_batch(frames, options), strict=True):
        assert (one.mask == other.mask).mean() > 0.999
        assert (one.unknown == other.unknown).mean() > 0.999
        alike = one.mask == other.mask
        assert np.abs(one.confidence.astype(int) - other.confidence)[alike].max() <= 1
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-3)


def test_scores_on_a_device_are_an_array_when_asked_for(pair):
    frame = np.full((96, 160, 3), 90, np.uint8)
    (one,), (other,) = (segmenter.score([frame], SegmentOptions()) for segmenter in pair)
    assert isinstance(other.planes, torch.Tensor)
    assert isinstance(other.scores, np.ndarray)
    assert other.scores is other.scores
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
