"""The inference path with real engines."""

import numpy as np
import pytest

from desert_seg.engines.choice import create_engine
from desert_seg.errors import DataError, DesertSegError, EngineError
from desert_seg.labels import IGNORE
from desert_seg.segmenter import Segmenter, SegmentOptions

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", params=["openvino", "onnxruntime", "torch"])
def segmenter(request, tiny_artifact):
    return Segmenter.load(tiny_artifact.path, request.param, device="cpu", precision="f32")


def a_frame(height=150, width=210):
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((height // 5, width // 7, 1), np.uint8))


def test_the_mask_has_the_frame_s_own_size_and_only_known_classes(segmenter):
    frame = a_frame()
    result = segmenter.segment(frame)
    assert result.mask.shape == frame.shape[:2]
    assert result.mask.dtype == np.uint8
    assert result.mask.max() < len(segmenter.labels)
    assert result.confidence is None


# The graph for other engines has batch normalisation folded into its weights before they are stored in half precision.
@pytest.mark.parametrize(("engine", "tolerance"), [("torch", 1e-4), ("openvino", 2e-2)])
def test_the_engines_agree_with_the_plain_network(tiny_artifact, tiny_network, engine, tolerance):
    image = np.ascontiguousarray(a_frame()[:96, :128])
    with torch.inference_mode():
        expected = tiny_network(torch.from_numpy(image).permute(2, 0, 1)[None].float())[0].numpy()
    found = create_engine(tiny_artifact, engine, "cpu", "f32").scores(image[None])[0]
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


def test_scores_come_at_a_quarter_of_the_input_size(segmenter):
    assert segmenter.engine.scores(np.zeros((1, 64, 128, 3), np.uint8)).shape == (1, 7, 16, 32)


def test_frames_of_several_sizes_segmented_together_give_the_masks_they_give_alone(segmenter):
    frames = [a_frame(), a_frame(100, 140), np.ascontiguousarray(a_frame()[:, ::-1])]
    for frame, together in zip(frames, segmenter.segment_batch(frames), strict=True):
        assert together.mask.shape == frame.shape[:2]
        assert (together.mask == segmenter.segment(frame).mask).mean() > 0.999


def test_a_read_only_frame_is_taken_as_it_is(segmenter):
    height, width = segmenter.card.input_size
    frame = np.frombuffer(bytes(height * width * 3), np.uint8).reshape(height, width, 3)
    assert segmenter.segment(frame).mask.shape == (height, width)


@pytest.mark.parametrize("views", ["flip", "scales", "full"])
def test_views_give_masks_of_the_same_size(segmenter, views):
    assert segmenter.segment(a_frame(), SegmentOptions(views)).mask.shape == a_frame().shape[:2]


def test_a_mirrored_frame_gives_the_mirrored_mask_under_flip_views(segmenter):
    frame = a_frame()
    options = SegmentOptions("flip")
    mirrored = segmenter.segment(np.ascontiguousarray(frame[:, ::-1]), options).mask
    agreement = (mirrored[:, ::-1] == segmenter.segment(frame, options).mask).mean()
    assert agreement > 0.995


def test_a_suppressed_class_is_never_predicted(segmenter):
    frame = a_frame()
    first = segmenter.labels.names[np.bincount(segmenter.segment(frame).mask.ravel()).argmax()]
    suppressed = segmenter.segment(frame, SegmentOptions(bias=segmenter.suppress([first]))).mask
    assert segmenter.labels.index(first) not in suppressed
    assert IGNORE not in suppressed
    assert segmenter.suppress([]) is None


def test_suppressing_a_class_that_does_not_exist_names_those_that_do(segmenter):
    with pytest.raises(DataError, match=r"'Cactus'.*Trees"):
        segmenter.suppress(["Cactus"])


def test_pixels_below_the_threshold_become_unknown_with_confidence_zero(segmenter):
    sure = segmenter.segment(a_frame(), SegmentOptions(want_confidence=True))
    threshold = float(np.median(sure.confidence)) / 255
    result = segmenter.segment(a_frame(), SegmentOptions(confidence_threshold=threshold))
    below = sure.confidence < round(threshold * 255)
    assert np.array_equal(result.mask == IGNORE, below)
    assert not result.confidence[below].any()
    assert np.array_equal(result.mask[~below], sure.mask[~below])


def test_an_unknown_view_set_is_refused(segmenter):
    with pytest.raises(DesertSegError, match="no view set"):
        segmenter.segment(a_frame(), SegmentOptions("many"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "tensorflow"}, "no engine 'tensorflow'; choose one of: auto, openvino, onnxruntime, torch"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"precision": "f8"}, "no precision 'f8'"),
        ({"engine": "openvino", "device": "cuda"}, "OpenVINO has no CUDA device"),
    ],
)
def test_an_engine_that_cannot_be_had_is_refused_with_a_way_out(tiny_artifact, arguments, message):
    with pytest.raises(EngineError, match=message):
        create_engine(tiny_artifact, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_on_a_machine_without_it_is_refused(tiny_artifact):
    with pytest.raises(EngineError, match="no CUDA device"):
        create_engine(tiny_artifact, "torch", "cuda")
