"""What is wrong with a graph, with weights or with scores is said in one sentence, before a robot moves by them."""

import numpy as np
import pytest
from labelled_folder import Seer, seer
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data
from tiny_graph import SIZE, save_graph, tiny_graph

from desert_seg.artifact import WEIGHTS, save_artifact
from desert_seg.calibration import Calibration, FrameStatistics
from desert_seg.engines.choice import create_engine
from desert_seg.engines.engine import backend_errors
from desert_seg.errors import ArtifactError, EngineError
from desert_seg.labels import IGNORE
from desert_seg.segmenter import Segmenter, SegmentOptions

GRAPH_ENGINES = ("openvino", "onnxruntime")
KEEP_GOING = SegmentOptions(not_finite_is_unknown=True)


def one_sentence(error):
    return "\n" not in str(error.value) and "; " in str(error.value) and len(str(error.value)) < 600


# ---------------------------------------------------------------------------------------------------- the graph's shape
@pytest.mark.parametrize("engine", GRAPH_ENGINES)
@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (tiny_graph(gains=range(20)), "float32 of shape 1x20x16x24, expected float32 of 1x7 planes"),
        (tiny_graph(gains=range(3)), "float32 of shape 1x3x16x24, expected float32 of 1x7 planes"),
        (tiny_graph(end=("Squeeze",)), "float32 of shape 7x16x24, expected"),
        (tiny_graph(end=("GlobalMaxPool",)), "float32 of shape 1x7x1x1, expected"),
    ],
    ids=["20 planes", "3 planes", "rank 3", "one cell"],
)
def test_a_graph_that_does_not_fit_the_class_list_is_refused_when_the_engine_is_built(tmp_path, engine, graph, found):
    artifact = save_graph(tmp_path / "model", graph)
    with pytest.raises(EngineError, match=found) as error:
        create_engine(artifact, engine, "cpu", "f32")
    assert one_sentence(error)
    assert "export the model again with its own label map" in str(error.value)


@pytest.mark.parametrize("engine", GRAPH_ENGINES)
def test_a_graph_that_fits_is_run(tmp_path, engine):
    built = create_engine(save_graph(tmp_path / "model", tiny_graph()), engine, "cpu", "f32")
    image = np.full((1, *SIZE, 3), 10, np.uint8)
    assert built.scores(image)[0, :, 3, 3].tolist() == [10, -10, 20, 0, -20, 30, -30]


# ---------------------------------------------------------------------------------------------------- damaged files
def external(location):
    graph = tiny_graph()
    weights = graph.graph.initializer[0]
    set_external_data(weights, location, 0, len(weights.raw_data))
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    return graph


def of_another_domain():
    graph = tiny_graph()
    graph.graph.node[-1].domain = "some.vendor"
    graph.opset_import.append(helper.make_opsetid("some.vendor", 1))
    return graph


def without_our_input():
    graph = tiny_graph()
    graph.graph.input[0].type.tensor_type.shape.ClearField("dim")
    for _ in range(2):
        graph.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 5
    return graph


BAD_GRAPHS = {
    "cut short": tiny_graph().SerializeToString()[:-30],
    "empty": b"",
    "foreign": b"\x89PNG\r\n\x1a\n" + bytes(2000),
    "unknown operator": tiny_graph(end=("Frobnicate",)),
    "custom operator": of_another_domain(),
    "another input": without_our_input(),
    "data outside the folder": external("../secret.bin"),
    "data that is missing": external("missing.bin"),
}


@pytest.mark.parametrize("engine", GRAPH_ENGINES)
@pytest.mark.parametrize("damage", BAD_GRAPHS)
def test_a_graph_that_cannot_be_run_is_named_in_one_sentence(tmp_path, engine, damage):
    (tmp_path / "secret.bin").write_bytes(bytes(84))
    artifact = save_graph(tmp_path / "model", BAD_GRAPHS[damage])
    with pytest.raises(EngineError, match="export the model again, or use another engine") as error:
        create_engine(artifact, engine, "cpu", "f32")
    assert one_sentence(error)
    assert str(artifact.onnx) in str(error.value)


@pytest.mark.parametrize("damage", ["cut short", "empty", "foreign", "of another network"])
def test_weights_that_do_not_fit_are_named_in_one_sentence(tmp_path, tiny_artifact, damage):
    from safetensors.numpy import save

    whole = tiny_artifact.weights.read_bytes()
    data = {
        "cut short": whole[:-100],
        "empty": b"",
        "foreign": b"\x89PNG\r\n\x1a\n" + bytes(2000),
        "of another network": save({"encoder.weight": np.zeros((3, 3), np.float32)}),
    }[damage]
    artifact = save_artifact(tmp_path / "model", tiny_artifact.card, {WEIGHTS: data})
    with pytest.raises(ArtifactError, match=r"does not fit the network.*export the model again") as error:
        create_engine(artifact, "torch", "cpu", "f32")
    assert one_sentence(error)
    assert str(artifact.weights) in str(error.value)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("CUDA out of memory.")])
def test_a_lack_of_memory_is_called_that_and_has_a_cure_of_its_own(error):
    with (
        pytest.raises(EngineError, match=r"cannot run it \(out of memory\); free memory"),
        backend_errors("graph: X cannot run it", "-"),
    ):
        raise error


# ---------------------------------------------------------------------------------------------------- not finite
class Broken(Seer):
    """Sees classes, and gives one of them something that is no number in a corner of the frame."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def scores(self, images):
        scores = super().scores(images)[..., ::4, ::4].astype(np.float32)
        scores[:, 6, :4, :4] = self.value
        return scores


def broken(value):
    whole = seer()
    return Segmenter(Broken(value), whole.card, whole.digest), Segmenter(Broken(0), whole.card, whole.digest)


@pytest.fixture
def frame():
    cells = np.random.default_rng(2).integers(0, 6, (6, 10), np.uint8)
    return np.dstack([np.kron(cells, np.ones((16, 16), np.uint8)) * 30] * 3)


NUMBERS = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)


@NUMBERS
def test_pixels_without_finite_scores_are_unknown_and_all_others_as_they_were(frame, value):
    segmenter, whole = broken(value)
    everything = SegmentOptions(
        want_confidence=True, want_unknown=True, want_probabilities=True, not_finite_is_unknown=True
    )
    found, expected = segmenter.segment(frame, everything), whole.segment(frame, everything)
    lost = np.zeros(frame.shape[:2], bool)
    lost[:18, :18] = True  # four cells of 4x4 pixels, and what the next ones share with them
    assert np.array_equal(found.mask == IGNORE, lost)
    assert found.num_not_finite == lost.sum()
    assert not found.confidence[lost].any()
    assert (found.unknown[lost] == 255).all()
    assert not found.probabilities[lost].any()
    assert np.isfinite(found.probabilities).all()
    for one, other in ((found.mask, expected.mask), (found.confidence, expected.confidence)):
        assert np.array_equal(one[~lost], other[~lost])
    assert expected.num_not_finite == 0


@NUMBERS
def test_offline_scores_that_are_not_finite_are_an_error(frame, value):
    segmenter, _ = broken(value)
    with pytest.raises(EngineError, match=r"not finite for 1\.7% of a frame, expected numbers; run seer on another"):
        segmenter.segment(frame)


def test_a_model_whose_warm_up_gives_no_finite_scores_is_refused_even_where_frames_may():
    with pytest.raises(EngineError, match="not finite"):
        broken(np.nan)[0].warm_up(KEEP_GOING)


def test_a_frame_with_scores_that_are_not_finite_has_no_domain_shift(frame):
    segmenter, _ = broken(np.nan)
    (scored,) = segmenter.score([frame], KEEP_GOING)
    assert segmenter.domain_shift(scored) is None


def test_what_a_frame_would_stumble_over_stops_the_warm_up():
    segmenter = seer()
    statistics = FrameStatistics(mean=(0.5,) * 5, spread=(0.1,) * 5, usual=1.0)  # of a model with other classes
    segmenter.calibration = Calibration(frames=statistics)
    with pytest.raises(ValueError, match="shape"):
        segmenter.warm_up()


@NUMBERS
def test_on_a_torch_device_the_same_cells_are_lost(value):
    torch = pytest.importorskip("torch")
    from desert_seg import decode, device

    scores = np.random.default_rng(0).normal(size=(7, 5, 6)).astype(np.float32)
    assert decode.not_finite(scores) is None
    assert device.not_finite(torch.from_numpy(scores)) is None
    scores[3, 2, 1] = scores[0, 4, 5] = value
    cells = decode.not_finite(scores)
    assert np.argwhere(cells).tolist() == [[2, 1], [4, 5]]
    assert np.array_equal(device.not_finite(torch.from_numpy(scores)), cells)
    without = device.without(torch.from_numpy(scores), cells).numpy()
    assert np.array_equal(without, np.where(cells, 0, scores))
