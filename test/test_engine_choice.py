"""The engine that `auto` takes: measured once for a model on a machine, and remembered."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.artifact import load_artifact
from desert_seg.engines.choice import candidates, choice_file, create_engine, read_choice
from desert_seg.errors import EngineError
from desert_seg.machine import has_cuda_driver
from desert_seg_train.info.command import info
from desert_seg_train.info.config import InfoConfig

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def path(tiny_artifact):
    return choice_file(tiny_artifact, "cpu", "f32", 0)


def choose(artifact):
    return create_engine(artifact, "auto", "cpu", "f32")


def test_the_first_time_every_engine_is_measured_and_a_clearly_faster_one_wins(tiny_artifact, path):
    engine = choose(tiny_artifact)
    choice = read_choice(path)
    assert sorted(name.split()[0] for name in choice.milliseconds) == ["onnxruntime", "openvino"]
    assert engine.description in choice.milliseconds
    others = [taken for name, taken in choice.milliseconds.items() if name != engine.description]
    assert choice.milliseconds[engine.description] * 0.9 <= min(others)


@pytest.mark.parametrize("winner", ["openvino", "onnxruntime"])
def test_the_second_time_the_remembered_one_is_taken_without_measuring(tiny_artifact, path, winner):
    choose(tiny_artifact)
    written = path.read_text().replace(f'"engine": "{read_choice(path).engine}"', f'"engine": "{winner}"')
    path.write_text(written)
    assert choose(tiny_artifact).description.startswith(winner)
    assert path.read_text() == written


@pytest.mark.parametrize(
    "content", ["", "[]", '{"engine": "openvino"}', '{"engine": "tpu", "milliseconds": {}, "machine": ""}']
)
def test_a_damaged_memory_is_measured_again(tiny_artifact, path, content):
    path.write_text(content)
    choose(tiny_artifact)
    assert json.loads(path.read_text())["engine"] in ("openvino", "onnxruntime")


def test_what_was_asked_for_and_the_model_have_a_memory_each(tiny_artifact):
    light = load_artifact(ROOT / "models" / "light")
    files = {
        choice_file(tiny_artifact, "cpu", "f32", 0),
        choice_file(tiny_artifact, "cpu", "auto", 0),
        choice_file(tiny_artifact, "cpu", "f32", 1),
        choice_file(light, "cpu", "f32", 0),
    }
    assert len(files) == 4
    assert choice_file(tiny_artifact, "cpu", "f32", 0) in files


def test_where_nothing_can_be_remembered_the_engine_comes_with_a_warning(tiny_artifact, cache, caplog):
    cache.write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        scores = choose(tiny_artifact).scores(np.zeros((1, 64, 64, 3), np.uint8))
    assert scores.shape == (1, 7, 16, 16)
    assert caplog.text.count("cannot be kept") == 1


def test_eager_torch_is_no_candidate_on_a_cpu_where_a_compiled_graph_can_run(tiny_artifact):
    assert candidates(tiny_artifact, "cpu", "f32") == ["openvino", "onnxruntime"]


@pytest.mark.skipif(has_cuda_driver(), reason="this machine may have a CUDA device, which torch is asked about")
def test_a_robot_without_a_gpu_does_not_wait_for_torch_to_load_though_it_is_installed(tiny_artifact):
    code = (
        "import sys; from desert_seg.segmenter import Segmenter\n"
        "Segmenter.load(sys.argv[1]).warm_up(); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tiny_artifact.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_info_shows_what_was_measured_and_where_it_is_kept(tiny_artifact, cache, capsys):
    info(InfoConfig(tiny_artifact.path))
    shown = capsys.readouterr().out
    assert "measured: openvino" in shown or "measured: onnxruntime" in shown
    assert f"kept in {cache}" in shown.replace("\n", "")


def test_a_negative_number_of_threads_is_refused(tiny_artifact):
    with pytest.raises(EngineError, match="found -7 threads, expected 0"):
        create_engine(tiny_artifact, threads=-7)
