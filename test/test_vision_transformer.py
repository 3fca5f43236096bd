"""Encoders that are vision transformers, of random weights: built, trained, exported and run like every other."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

torch = pytest.importorskip("torch")

from labelled_folder import write_folder  # noqa: E402

from desert_seg.errors import DesertSegError  # noqa: E402
from desert_seg.labels import load_label_map  # noqa: E402
from desert_seg.network import NetworkConfig, SegmentationNetwork  # noqa: E402
from desert_seg.segmenter import Segmenter  # noqa: E402
from desert_seg_train.saving import save_network  # noqa: E402
from desert_seg_train.train.command import train  # noqa: E402
from desert_seg_train.train.config import TrainConfig  # noqa: E402
from desert_seg_train.train.setup import network_config_of  # noqa: E402
from desert_seg_train.yaml_config import read_yaml_config  # noqa: E402

TINY = {"embed_dim": 32, "num_heads": 2}


@pytest.fixture(scope="module")
def config():
    """The shipped recipe with the transformer made small, for two steps on tiny crops."""
    shipped = read_yaml_config(TrainConfig, ROOT / "config" / "dinov2_small.yaml")
    options = {
        **shipped.network.options,
        **TINY,
        "decoder_intermediate_channels": [8, 8, 8, 8],
        "decoder_fusion_channels": 8,
    }
    return replace(
        shipped,
        network=replace(shipped.network, options=options),
        sampling=replace(shipped.sampling, height=64, width=96),
        input_size=(64, 96),
        batch_size=2,
        epochs=1,
        steps_per_epoch=2,
        start="random",
        validation=None,
    )


def test_the_shipped_recipe_trains_and_its_artifact_segments(config, tmp_path):
    folder = write_folder(tmp_path / "frames", 4)
    run = replace(config, sources=((folder, "falcon7", 1.0),), out=tmp_path / "run")
    artifact = train(run)
    segmenter = Segmenter.load(artifact, "torch")
    assert dict(segmenter.card.network["options"]) == config.network.options
    mask = segmenter.segment(np.zeros((54, 96, 3), np.uint8)).mask
    assert mask.shape == (54, 96)
    assert mask.max() < 7


def test_its_graph_gives_the_network_s_scores_at_sizes_it_was_not_traced_with(config, tmp_path):
    label_map = load_label_map("falcon7")
    network = SegmentationNetwork(network_config_of(config, label_map.labels)).eval()
    path = save_network(tmp_path / "artifact", network, "transformer", (64, 96), label_map).path
    image = np.random.default_rng(0).integers(0, 255, (1, 128, 96, 3), dtype=np.uint8)
    found, expected = (
        Segmenter.load(path, engine, precision="f32").engine.scores(image) for engine in ("onnxruntime", "torch")
    )
    assert np.abs(found - expected).max() < 1e-2 * np.abs(expected).max()


def test_settings_that_the_architecture_does_not_know_are_refused_in_one_sentence():
    config = NetworkConfig("DPT", "tu-vit_small_patch14_dinov2.lvd142m", 7, options={"decoder_readout": "shout"})
    with pytest.raises(DesertSegError, match="cannot build DPT with encoder tu-vit_small"):
        SegmentationNetwork(config)
