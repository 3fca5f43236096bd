"""`desert-seg profile`: where the time of a frame goes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from desert_seg.errors import DesertSegError
from desert_seg.segmenter import Segmenter
from desert_seg_train.profile.command import STAGES, profile, stage_bar
from desert_seg_train.profile.command import test_picture as picture
from desert_seg_train.profile.config import ProfileConfig
from desert_seg_train.profile.stages import rgb_message, time_frame

pytest.importorskip("openvino")


def test_every_engine_and_camera_size_has_a_row_and_what_did_not_run_a_reason(tiny_artifact, tmp_path, capsys):
    profile(ProfileConfig(tiny_artifact.path, ("64x48", "96x64"), ("openvino",), frames=2, out=tmp_path))
    content = json.loads((tmp_path / "profile.json").read_text())
    rows = [(each["runner"], tuple(each["size"])) for each in content["profiles"]]
    assert [row for row in rows if row[0] == "openvino f32"] == [("openvino f32", (48, 64)), ("openvino f32", (64, 96))]
    assert "found no model.int8.onnx" in content["not_run"]["openvino int8"]
    for each in content["profiles"]:
        assert list(each["stages_ms"]) == list(STAGES)
        assert all(taken >= 0 for taken in each["stages_ms"].values())
        assert 0 < each["engine_share"] < 1 < each["overhead"]
    shown = capsys.readouterr().out
    assert "openvino f32" in shown
    assert f"wrote {tmp_path / 'profile.json'}" in shown.replace("\n", "")


def profiled(artifact, out):
    profile(ProfileConfig(artifact.path, ("96x64",), ("openvino",), frames=2, out=out))
    return json.loads((out / "profile.json").read_text())


def test_publishing_is_timed_with_a_real_listener(tiny_artifact, tmp_path):
    pytest.importorskip("rclpy")
    content = profiled(tiny_artifact, tmp_path)
    assert all(each["stages_ms"]["publish"] > 0 for each in content["profiles"])
    assert "publish" not in content["not_run"]


def test_where_ros_cannot_start_everything_but_publishing_is_timed(tiny_artifact, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROS_DOMAIN_ID", "999")
    content = profiled(tiny_artifact, tmp_path)
    assert all(each["stages_ms"]["publish"] == 0 < each["stages_ms"]["encode"] for each in content["profiles"])
    assert "not run: publish: ROS_DOMAIN_ID is '999'" in capsys.readouterr().out


def test_the_stages_of_a_frame_add_up_to_the_frame(tiny_artifact):
    segmenter = Segmenter.load(tiny_artifact.path, "openvino", precision="f32")
    stages = time_frame(segmenter, rgb_message(picture((64, 96))))
    assert stages.total == pytest.approx(sum(getattr(stages, name) for name in STAGES))
    assert stages.engine > stages.resize > 0
    assert stages.mask > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_bar_is_always_as_long_and_each_stage_has_its_share_of_it(seed):
    times = np.random.default_rng(seed).exponential(size=len(STAGES))
    bar = stage_bar(dict(zip(STAGES, times, strict=True)))
    assert len(bar.plain) == len(stage_bar(dict.fromkeys(STAGES, 1.0)).plain)
    drawn = {span.style: span.end - span.start for span in bar.spans}
    longest = max(drawn.values())
    assert longest == pytest.approx(len(bar.plain) * times.max() / times.sum(), abs=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": ("big",)}, "found size 'big', expected WIDTHxHEIGHT such as 960x540"),
        ({"engines": ("tpu",)}, "there is no engine 'tpu'; choose of: openvino, onnxruntime, torch"),
        ({"frames": 0}, "found 0 frames of 3 sizes, expected at least one of each"),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(tiny_artifact, settings, message):
    with pytest.raises(DesertSegError, match=message):
        profile(ProfileConfig(tiny_artifact.path, **settings))


def test_a_model_that_is_not_there_ends_with_one_line_and_code_1(tmp_path):
    command = [sys.executable, "-m", "desert_seg_train.cli", "profile", str(tmp_path / "nowhere")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: there is no model artifact '{tmp_path / 'nowhere'}'")
    assert len(done.stderr.splitlines()) == 1
