"""A model is tried on a frame of its own before it is used."""

import numpy as np
import pytest
from conftest import ROOT
from tiny_graph import SIZE, save_graph, tiny_graph

from desert_seg.artifact import SELF_TEST, load_artifact
from desert_seg.engines.choice import choose_engine, create_engine
from desert_seg.errors import ArtifactError, EngineError
from desert_seg.labels import IGNORE
from desert_seg.parity import MIN_AGREEMENT
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.self_test import SelfTest, self_test_from_png

LIGHT = ROOT / "models" / "light"


def reddish(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def with_self_test(path, graph, **other):
    """An artifact of a tiny graph, with a self-test of what that or another graph sees."""
    frame = reddish()
    expected = Segmenter.load(save_graph(path / "source", tiny_graph(**other)).path, "onnxruntime").segment(frame).mask
    files = dict(zip(SELF_TEST, SelfTest(frame, expected).to_png(), strict=True))
    return save_graph(path / "model", graph, **files).path


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_engine_that_sees_what_the_network_saw_is_used(tmp_path, engine):
    path = with_self_test(tmp_path, tiny_graph())
    assert Segmenter.load(path, engine, "cpu", "f32").card.name == "tiny"


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_engine_that_sees_something_else_is_refused_unless_nobody_wants_to_know(tmp_path, engine):
    path = with_self_test(tmp_path, tiny_graph(gains=(3, -1, 2, 0, -2, 1, -3)))
    said = r"model: on \w+ f32 on cpu.* 0\.\d% of the pixels of its self-test get their class, expected at least 99\.9%"
    with pytest.raises(EngineError, match=said) as error:
        Segmenter.load(path, engine, "cpu", "f32")
    assert "; use another engine or precision, or export the model again" in str(error.value)
    assert Segmenter.load(path, engine, "cpu", "f32", self_test=False).card.name == "tiny"


def test_an_artifact_without_a_self_test_is_used_as_before(tmp_path):
    path = save_graph(tmp_path / "model", tiny_graph()).path
    assert load_artifact(path).self_test is None
    assert Segmenter.load(path, "onnxruntime").segment(reddish()).mask.shape == SIZE


class CountingEngine:
    """Another engine, and the sizes it was asked for."""

    def __init__(self, engine):
        self.engine, self.description, self.precision, self.sizes = engine, engine.description, engine.precision, []

    def scores(self, images):
        self.sizes.append(images.shape[1:3])
        return self.engine.scores(images)


@pytest.fixture
def engines(monkeypatch):
    """The engines that segmenters choose from now on."""
    chosen = []

    def choose(*arguments):
        chosen.append(CountingEngine(choose_engine(*arguments)))
        return chosen[-1]

    monkeypatch.setattr("desert_seg.segmenter.choose_engine", choose)
    return chosen


@pytest.mark.parametrize("self_test", [True, False])
def test_one_pass_checks_a_model_tries_it_and_makes_it_fast(tmp_path, engines, self_test):
    path = with_self_test(tmp_path, tiny_graph())
    segmenter = Segmenter.load(path, "onnxruntime", "cpu", "f32", self_test=self_test)
    segmenter.warm_up()
    assert engines[-1].sizes == [SIZE]


def test_what_a_model_has_not_run_yet_is_warmed_up(tmp_path, engines):
    segmenter = Segmenter.load(with_self_test(tmp_path, tiny_graph()), "onnxruntime", "cpu", "f32")
    for options in (SegmentOptions(views="flip"), SegmentOptions(scale=0.5), SegmentOptions(scale=0.5)):
        segmenter.warm_up(options)
    half = segmenter.network_size(SegmentOptions(scale=0.5))
    assert engines[-1].sizes == [SIZE, SIZE, half]


def test_a_graph_that_does_not_fit_the_class_list_is_refused_when_the_model_is_loaded(tmp_path):
    path = save_graph(tmp_path / "model", tiny_graph(gains=range(3))).path
    with pytest.raises(EngineError, match=r"tiny: on onnxruntime .*1x3x16x24, expected float32 of 1x7 planes"):
        Segmenter.load(path, "onnxruntime", "cpu", "f32")


def test_pixels_that_the_network_was_not_sure_of_are_not_compared():
    expected = np.array([[0, 1], [IGNORE, IGNORE]], np.uint8)
    self_test = SelfTest(np.zeros((2, 2, 3), np.uint8), expected)
    assert self_test.agreement(np.array([[0, 1], [5, 6]], np.uint8)) == 1
    assert self_test.agreement(np.array([[0, 2], [5, 6]], np.uint8)) == 0.5
    assert self_test.shortfall(expected, "f32") == ""


@pytest.mark.parametrize(("precision", "bar"), MIN_AGREEMENT.items())
def test_the_bar_is_that_of_the_precision(precision, bar):
    expected = np.zeros((100, 100), np.uint8)
    self_test = SelfTest(np.zeros((100, 100, 3), np.uint8), expected)
    for wrong, passes in ((round(1e4 * (1 - bar)), True), (round(1e4 * (1 - bar)) + 1, False)):
        found = expected.copy()
        found.ravel()[:wrong] = 1
        assert (self_test.shortfall(found, precision) == "") == passes


def test_a_self_test_read_back_is_what_was_stored():
    expected = np.random.default_rng(1).integers(0, 7, SIZE, np.uint8)
    found = self_test_from_png(*SelfTest(reddish(), expected).to_png())
    assert np.array_equal(found.frame, reddish())
    assert np.array_equal(found.mask, expected)


OTHER_SIZE = SelfTest(np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8)).to_png()[1]


@pytest.mark.parametrize("data", [b"", b"no image", OTHER_SIZE], ids=["empty", "no image", "another size"])
def test_files_that_are_no_self_test_are_not_saved(tmp_path, data):
    frame, _ = SelfTest(reddish(), np.zeros(SIZE, np.uint8)).to_png()
    files = dict(zip(SELF_TEST, (frame, data), strict=True))
    with pytest.raises(ArtifactError, match=r"is not written.*self-test"):
        save_graph(tmp_path / "model", tiny_graph(), **files)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("engine", "precision"), [("openvino", "f32"), ("onnxruntime", "f32"), ("onnxruntime", "int8")]
)
def test_the_shipped_model_passes_its_own_with_several_classes_in_it(engine, precision):
    self_test = load_artifact(LIGHT).self_test
    classes, counts = np.unique(self_test.mask[self_test.mask != IGNORE], return_counts=True)
    assert (counts > 500).sum() >= 3, f"a constant answer would pass: {classes}, {counts}"
    assert counts.sum() > self_test.mask.size / 2
    assert Segmenter.load(LIGHT, engine, "cpu", precision).labels.names


def test_a_network_that_is_saved_gets_a_self_test_that_its_engines_pass(tiny_artifact):
    self_test = load_artifact(tiny_artifact.path).self_test
    assert self_test is not None
    segmenter = Segmenter(create_engine(tiny_artifact, "onnxruntime", "cpu", "f32"), tiny_artifact.card, "")
    assert self_test.shortfall(segmenter.segment(self_test.frame).mask, "f32") == ""


def test_the_frame_that_is_drawn_is_the_one_that_was_stored():
    from desert_seg_train.reference_frame import reference_frame

    stored = load_artifact(LIGHT).self_test.frame
    assert (np.abs(stored.astype(int) - reference_frame()) > 8).mean() < 0.01
