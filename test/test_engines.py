"""Engines: one graph, one contract, and masks within the bars on trained weights."""

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import ROOT

from desert_seg.artifact import INT8_ONNX, ONNX, PARITY, WEIGHTS, load_artifact, save_artifact
from desert_seg.decode import decode
from desert_seg.engines.choice import create_engine
from desert_seg.errors import EngineError
from desert_seg.labels import load_label_map
from desert_seg.network import DeployedNetwork, NetworkConfig, SegmentationNetwork
from desert_seg.parity import MIN_AGREEMENT, ParityReport, ParityResult
from desert_seg.recordings.drive import open_drive
from desert_seg_train.saving import save_network

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

ENGINES = ("openvino", "onnxruntime", "torch")


def has_bf16():
    from desert_seg.engines.openvino import shared_core

    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def torch_has_bf16():
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


@pytest.fixture(scope="module")
def light():
    return load_artifact(ROOT / "models" / "light")


@pytest.fixture(scope="module")
def images(sample_drive, light):
    """Frames of the sample drive at network size."""
    height, width = light.card.input_size
    frames = list(open_drive(sample_drive).frames())[4::12]
    return [cv2.resize(frame.rgb(), (width, height)) for frame in frames]


def masks(engine, images):
    return np.stack([decode(engine.scores(image[None])[0], (540, 960)) for image in images])


@pytest.fixture(scope="module")
def expected(light, images):
    return masks(create_engine(light, "torch", "cpu", "f32"), images)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, tiny_artifact):
    return create_engine(tiny_artifact, request.param, "cpu", "f32")


def noise(count, height=96, width=160):
    return np.random.default_rng(5).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("engine", "precision"),
    [
        ("openvino", "f32"),
        pytest.param("openvino", "bf16", marks=pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")),
        ("onnxruntime", "f32"),
        pytest.param(
            "torch", "bf16", marks=pytest.mark.skipif(not torch_has_bf16(), reason="torch has no bf16 on this CPU")
        ),
        ("openvino", "int8"),
        ("onnxruntime", "int8"),
    ],
)
def test_masks_of_trained_weights_agree_with_eager_float32_within_the_bar(light, images, expected, engine, precision):
    found = masks(create_engine(light, engine, "cpu", precision), images)
    assert (found == expected).mean() >= MIN_AGREEMENT[precision]


def test_a_batch_gives_what_its_images_give_alone(engine):
    batch = noise(3)
    alone = np.concatenate([engine.scores(batch[number : number + 1]).copy() for number in range(3)])
    assert not np.allclose(alone[0], alone[1])
    np.testing.assert_allclose(engine.scores(batch), alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (128, 96)])
def test_any_size_in_multiples_of_32_is_scored_at_a_quarter_of_it(engine, size):
    scores = engine.scores(noise(1, *size))
    assert scores.shape == (1, 7, size[0] // 4, size[1] // 4)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_one_thread_is_one_core(tiny_artifact, engine):
    code = (
        "import sys, time; import numpy as np\n"
        "from desert_seg.artifact import load_artifact\n"
        "from desert_seg.engines.choice import create_engine\n"
        "engine = create_engine(load_artifact(sys.argv[1]), sys.argv[2], 'cpu', 'f32', threads=1)\n"
        "image = np.zeros((1, 256, 256, 3), np.uint8); engine.scores(image)\n"
        "wall, busy = time.perf_counter(), time.process_time()\n"
        "for _ in range(10): engine.scores(image)\n"
        "print((time.process_time() - busy) / (time.perf_counter() - wall))\n"
    )
    command = [sys.executable, "-c", code, str(tiny_artifact.path), engine]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "tensorflow"}, "no engine 'tensorflow'; choose one of: auto, openvino, onnxruntime, torch"),
        ({"precision": "int4"}, "no precision 'int4'; choose one of: auto, f32, bf16, int8"),
        ({"engine": "onnxruntime", "precision": "bf16"}, "onnxruntime has no bf16; choose precision f32 or int8"),
        ({"engine": "torch", "precision": "int8"}, "torch has no int8; choose engine openvino or onnxruntime"),
        ({"engine": "openvino", "device": "cuda"}, "OpenVINO has no CUDA device"),
    ],
)
def test_what_an_engine_does_not_have_is_refused_with_a_way_out(tiny_artifact, arguments, message):
    with pytest.raises(EngineError, match=message):
        create_engine(tiny_artifact, **arguments)


@pytest.mark.parametrize(("engine", "has_it"), [("openvino", has_bf16()), ("torch", torch_has_bf16())])
def test_bf16_is_refused_exactly_where_the_cpu_does_not_compute_in_it(tiny_artifact, engine, has_it):
    if has_it:
        assert create_engine(tiny_artifact, engine, "cpu", "bf16").description.startswith(f"{engine} bf16 on cpu")
    else:
        with pytest.raises(EngineError, match="this CPU does not compute in bf16; choose precision auto"):
            create_engine(tiny_artifact, engine, "cpu", "bf16")


def test_cuda_without_its_provider_is_refused(tiny_artifact):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(EngineError, match=r"device cuda needs ONNX Runtime's CUDA provider, found only .*CPU"):
        create_engine(tiny_artifact, "onnxruntime", "cuda")


@pytest.mark.parametrize("engine", ["auto", "openvino", "onnxruntime"])
def test_int8_without_a_quantised_graph_names_the_command_that_makes_one(tiny_artifact, engine):
    with pytest.raises(EngineError, match=rf"found no {INT8_ONNX}.*desert-seg export --model \S+ --out \S+ --int8"):
        create_engine(tiny_artifact, engine, "cpu", "int8")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_artifact_without_a_graph_names_the_command_that_makes_one(tmp_path, tiny_artifact, engine):
    bare = save_artifact(tmp_path / "bare", tiny_artifact.card, {WEIGHTS: tiny_artifact.weights.read_bytes()})
    with pytest.raises(EngineError, match=rf"found no {ONNX}; make it with `desert-seg export --model"):
        create_engine(bare, engine, "cpu")


def with_report(path, artifact, **verdicts):
    """A copy of an artifact with a parity report; a verdict is named openvino_bf16, say, and is valid or not."""
    results = []
    for name, valid in verdicts.items():
        engine, precision = name.split("_")
        results.append(ParityResult(engine, precision, 0.5, 0.4, "a.png", 1.0, None, valid))
    report = ParityReport(18, "some machine", 1, 0, tuple(results))
    files = {WEIGHTS: artifact.weights.read_bytes(), ONNX: artifact.onnx.read_bytes(), PARITY: report.to_json()}
    return save_artifact(path, artifact.card, files)


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")
def test_auto_takes_bf16_unless_the_parity_report_refuses_it(tmp_path, tiny_artifact):
    assert "bf16" in create_engine(tiny_artifact, "openvino").description
    valid = with_report(tmp_path / "valid", tiny_artifact, openvino_f32=True, openvino_bf16=True)
    assert "bf16" in create_engine(valid, "openvino").description
    refused = with_report(tmp_path / "refused", tiny_artifact, openvino_f32=True, openvino_bf16=False)
    assert "f32" in create_engine(refused, "openvino").description
    assert "bf16" in create_engine(refused, "openvino", precision="bf16").description, "who names it gets it"


@pytest.mark.parametrize("engine", ENGINES)
def test_auto_runs_nothing_that_the_parity_report_refuses(tmp_path, tiny_artifact, engine):
    verdicts = {f"{engine}_{precision}": False for precision in ("f32", "bf16")}
    refused = with_report(tmp_path / "refused", tiny_artifact, **verdicts)
    with pytest.raises(EngineError, match=rf"its parity report refuses {engine} at .*f32"):
        create_engine(refused, engine, "cpu")


def test_a_report_read_back_is_the_report_that_was_saved(tmp_path, tiny_artifact):
    saved = with_report(tmp_path / "model", tiny_artifact, openvino_f32=True, torch_bf16=False)
    loaded = load_artifact(saved.path)
    assert (loaded.digest, loaded.parity) == (saved.digest, saved.parity)
    assert loaded.parity.results[0].engine == "openvino"
    assert loaded.parity.is_refused("torch", "bf16")
    assert not loaded.parity.is_refused("openvino", "f32")
    assert not loaded.parity.is_refused("openvino", "int8"), "what was not judged is not refused"


def test_the_shipped_artifact_has_the_digest_it_was_saved_with(light):
    assert light.parity is not None
    assert light.digest == "8f9201d461350572db448bac9fee38e7213f54f28119f880992a7cc61038c473"


@pytest.mark.parametrize(
    ("agreement", "miou_change", "said"),
    [
        (0.9951, 0.001, ""),
        (0.9949, 0.001, "99.490% of the pixels agree, expected at least 99.5%"),
        (0.9951, -0.004, "the mIoU changes by -0.0040, expected at most 0.003"),
        (0.9951, None, ""),
    ],
)
def test_what_misses_a_bar_says_what_was_found_and_what_was_expected(agreement, miou_change, said):
    result = ParityResult("openvino", "bf16", 0, 0, "a.png", 0.1, None, False)
    assert replace(result, agreement=agreement, miou_change=miou_change).shortfall() == said


@pytest.mark.parametrize(
    ("architecture", "followed"), [("DeepLabV3Plus", True), ("Segformer", False)], ids=["DeepLabV3Plus", "Segformer"]
)
def test_torch_folds_batch_norms_away_where_it_can_follow_the_network(tmp_path, architecture, followed):
    encoder = "timm-tf_efficientnet_lite0" if followed else "mit_b0"
    network = SegmentationNetwork(NetworkConfig(architecture, encoder, 7, (0.5,) * 3, (0.5,) * 3)).eval()
    artifact = save_network(tmp_path / "model", network, "model", (64, 64), load_label_map("falcon7"), with_graph=False)
    image = noise(1, 64, 64)
    with torch.inference_mode():
        expected = DeployedNetwork(network)(torch.from_numpy(image)).numpy()
    engine = create_engine(artifact, "torch", "cpu", "f32")
    np.testing.assert_allclose(engine.scores(image), expected, atol=1e-2 * np.abs(expected).max())
    left = [module for module in engine._network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert (not left) == followed


def test_a_process_survives_a_signal_after_its_engines_have_ended():
    """OpenVINO sets the stack that signals are handled on; a node that had reloaded its model died of Ctrl-C."""
    code = (
        "import gc, os, signal, sys\n"
        "from desert_seg.artifact import load_artifact\n"
        "from desert_seg.engines.choice import create_engine\n"
        "first, second = (create_engine(load_artifact(sys.argv[1]), 'openvino') for _ in range(2))\n"
        "del first; gc.collect(); del second; gc.collect()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled', flush=True))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, ROOT / "models" / "light"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
