"""What only a GPU can show: the engine for CUDA and what is done with its scores there. `make gpu` runs these.

They have not been run on a GPU yet.
"""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from desert_seg import decode, views
from desert_seg.recordings.drive import open_drive
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.views import VIEW_SETS, view_set

torch = pytest.importorskip("torch")

from desert_seg import device  # noqa: E402

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]

LIGHT = ROOT / "models" / "light"
GPU = "cuda"
MB = 2**20


@pytest.fixture(scope="module")
def frames():
    """Eight frames of the sample drive."""
    return [frame.rgb() for number, frame in enumerate(open_drive(ROOT / "sample_drive").frames()) if number % 5 == 0]


@pytest.fixture(scope="module")
def segmenter():
    """The shipped model as a GPU runs it by default."""
    return Segmenter.load(LIGHT, "torch", GPU)


def inputs(frames, height, width, count=1):
    """NHW3 network inputs cut out of frames."""
    return np.stack([np.ascontiguousarray(frame[:height, :width]) for frame in frames[:count]])


def masks_of(segmenter, frames):
    return [segmenter.segment(frame).mask for frame in frames]


def agreement(some, others):
    """Share of equal pixels of masks."""
    return np.mean([(one == other).mean() for one, other in zip(some, others, strict=True)])


def test_the_default_on_a_gpu_is_bf16_where_it_has_units_for_it(segmenter):
    expected = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
    assert segmenter.engine.description == f"torch {expected} on cuda"


@pytest.mark.parametrize("bias", [None, np.float32([0, 0.5, -np.inf, 0, -3, 0, 0])])
@pytest.mark.parametrize("size", [(540, 960), (1080, 1920), (37, 61)])
def test_masks_and_confidence_are_those_of_the_processor(size, bias):
    scores = np.random.default_rng(0).normal(0, 4, (7, 128, 224)).astype(np.float32)
    on_gpu = torch.from_numpy(scores).to(GPU)
    for function in (device.decode, device.confidence):
        found, twin = function(on_gpu, size, bias), function(torch.from_numpy(scores), size, bias)
        opencv = getattr(decode, function.__name__)(scores, size, bias)
        for expected in (twin, opencv):
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            if function is device.decode:  # where two classes are equal to the last bit, either may win
                assert (found == expected).mean() > 0.9999
            else:
                assert np.abs(found.astype(int) - expected).max() <= 1


def test_ties_go_to_the_lower_class():
    assert not device.decode(torch.zeros(7, 128, 224, device=GPU), (540, 960)).any()


def test_scores_that_are_not_finite_are_found_and_replaced():
    scores = torch.zeros(7, 16, 28, device=GPU)
    assert device.not_finite(scores) is None
    scores[2, 3, 4], scores[5, 6, 7] = float("nan"), float("inf")
    lost = device.not_finite(scores)
    assert np.argwhere(lost).tolist() == [[3, 4], [6, 7]]
    assert device.not_finite(device.without(scores, lost)) is None


@pytest.mark.parametrize("name", VIEW_SETS)
@pytest.mark.parametrize("count", [1, 4])
def test_views_are_fused_to_the_scores_that_the_processor_makes_of_them(segmenter, frames, name, count):
    images = list(inputs(frames, 256, 448, count))
    found = device.fuse(images, view_set(name), segmenter.engine.device_scores).cpu().numpy()
    expected = views.fuse(images, view_set(name), lambda batch: segmenter.engine.scores(batch).copy())
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_every_size_keeps_its_own_scores_whatever_is_run_in_between(segmenter, frames):
    sizes = [(256, 448, 1), (512, 896, 1), (128, 224, 4), (256, 448, 2)]
    batches = [inputs(frames, *size) for size in sizes]
    first = [segmenter.engine.scores(batch).copy() for batch in batches]
    for order in ((3, 0, 2, 1), (1, 1, 3, 2, 0)):
        for number in order:
            np.testing.assert_array_equal(segmenter.engine.scores(batches[number]), first[number])


def test_a_frame_s_scores_do_not_depend_on_the_frame_before(segmenter, frames):
    one, other = inputs(frames[:1], 512, 896), inputs(frames[5:], 512, 896)
    alone = segmenter.engine.scores(one).copy()
    assert not np.array_equal(segmenter.engine.scores(other), alone)
    np.testing.assert_array_equal(segmenter.engine.scores(one), alone)


def test_a_captured_graph_gives_the_scores_of_the_network_run_eagerly(frames):
    engine, batch = Segmenter.load(LIGHT, "torch", GPU, "f32").engine, inputs(frames, 512, 896, 2)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        eager = engine._score(torch.from_numpy(batch).to(GPU)).cpu().numpy()
    np.testing.assert_allclose(engine.scores(batch), eager, atol=1e-2)


@pytest.mark.parametrize(("precision", "share"), [("f32", 0.999), ("bf16", 0.995)])
def test_masks_of_real_frames_are_those_of_float32_on_the_processor(frames, precision, share):
    truth = masks_of(Segmenter.load(LIGHT, "torch", "cpu", "f32"), frames)
    assert agreement(masks_of(Segmenter.load(LIGHT, "torch", GPU, precision), frames), truth) >= share


@pytest.mark.parametrize("name", ["none", "full"])
def test_all_outputs_are_those_of_the_processor(frames, name):
    everything = SegmentOptions(views=name, want_confidence=True, want_unknown=True, want_probabilities=True)
    on_gpu, on_cpu = (Segmenter.load(LIGHT, "torch", where, "f32") for where in (GPU, "cpu"))
    found, expected = on_gpu.segment(frames[0], everything), on_cpu.segment(frames[0], everything)
    assert agreement([found.mask, found.unknown], [expected.mask, expected.unknown]) > 0.998
    alike = found.mask == expected.mask
    assert np.abs(found.confidence.astype(int) - expected.confidence)[alike].mean() < 1
    assert np.abs(found.probabilities - expected.probabilities).mean() < 1e-2


def test_a_batch_gives_the_masks_of_its_frames_alone(segmenter, frames):
    together = [each.mask for each in segmenter.segment_batch(frames[:4])]
    assert agreement(together, masks_of(segmenter, frames[:4])) > 0.998


def test_scores_can_be_had_in_and_out_of_inference_mode(segmenter, frames):
    batch = inputs(frames, 96, 160)
    with torch.inference_mode():
        first = segmenter.engine.device_scores(batch).cpu()
    assert torch.equal(segmenter.engine.device_scores(batch).cpu(), first)


def test_memory_stays_flat_over_a_thousand_frames(segmenter, frames):
    def run(count):
        for number in range(count):
            segmenter.segment(frames[number % len(frames)], SegmentOptions("flip", want_confidence=True))
        return torch.cuda.memory_allocated(), torch.cuda.memory_reserved(), resident_bytes()

    gc.collect()  # what other tests left behind
    before, after = run(20), run(1000)
    assert after[0] <= before[0]
    assert after[1] <= before[1]
    assert after[2] - before[2] < 50 * MB


def test_a_dozen_sizes_need_no_more_memory_than_the_largest_does_twice(frames):
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    segmenter = Segmenter.load(LIGHT, "torch", GPU)
    segmenter.engine.scores(inputs(frames, 512, 896))
    largest = torch.cuda.memory_reserved()
    for columns in range(4, 28, 2):
        segmenter.engine.scores(inputs(frames, 512, 32 * columns))
    assert torch.cuda.memory_reserved() - largest <= largest - before


def test_a_model_is_loaded_while_another_segments_and_neither_notices(segmenter, frames):
    alone, stop = masks_of(segmenter, frames[:2]), threading.Event()

    def segment():
        found = [agreement(masks_of(segmenter, frames[:2]), alone)]
        while not stop.is_set():
            found.append(agreement(masks_of(segmenter, frames[:2]), alone))
        return found

    with ThreadPoolExecutor(1) as other:
        meanwhile = other.submit(segment)
        try:
            for _ in range(3):
                assert agreement(masks_of(Segmenter.load(LIGHT, "torch", GPU), frames[:2]), alone) > 0.999
        finally:
            stop.set()
        assert min(meanwhile.result()) == 1


def test_loading_a_model_again_and_again_needs_no_more_memory(frames):
    def load(times):
        for _ in range(times):
            masks_of(Segmenter.load(LIGHT, "torch", GPU), frames[:1])
            gc.collect()
        return torch.cuda.memory_reserved()

    few = load(2)
    assert load(4) <= few + 64 * MB


def test_two_models_beside_each_other_each_give_their_own_masks(frames):
    pair = [Segmenter.load(LIGHT, "torch", GPU, precision) for precision in ("f32", "bf16")]
    alone = [masks_of(each, frames) for each in pair]
    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            together = list(threads.map(masks_of, pair, (frames, frames)))
            assert [agreement(*both) for both in zip(together, alone, strict=True)] == [1, 1]


def resident_bytes():
    """This process's resident memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
