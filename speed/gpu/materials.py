"""What the lines are measured on: frames of the sample drive, artifacts and recipes, a labelled folder.

Shape letters: H, W frame size.
"""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from desert_seg.images import write_image
from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.recordings.drive import open_drive
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.saving import save_network
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.yaml_config import read_yaml_config
from speed.bars import SIZE
from speed.gpu.plan import Setting
from speed.options import ROOT

LIGHT = ROOT / "models" / "light"
QUICK_SCALE = 0.125
"""Network input relative to the artifact's, in a quick run."""

_SMALL_TRANSFORMER: dict[str, Any] = {
    "embed_dim": 32,
    "num_heads": 2,
    "decoder_intermediate_channels": [8, 8, 8, 8],
    "decoder_fusion_channels": 8,
}


def frames(count: int) -> list[npt.NDArray[np.uint8]]:
    """That many frames of the sample drive, HxWx3 uint8 RGB, evenly spread."""
    drive = open_drive(ROOT / "sample_drive")
    wanted = set(np.linspace(0, drive.num_frames - 1, count).astype(int))
    return [frame.rgb() for number, frame in enumerate(drive.frames()) if number in wanted]


def options(setting: Setting, views: str = "none") -> SegmentOptions:
    """How frames are segmented: at the network's own size, unless the run is quick."""
    return SegmentOptions(views=views, scale=QUICK_SCALE if setting.quick else 1.0)


def recipe(setting: Setting, name: str) -> TrainConfig:
    """A recipe of `config/`; in a quick run with a small network and small crops."""
    shipped = read_yaml_config(TrainConfig, ROOT / "config" / f"{name}.yaml")
    if not setting.quick:
        return shipped
    network = replace(shipped.network, encoder="resnet18")
    if shipped.network.options:
        network = replace(shipped.network, options={**shipped.network.options, **_SMALL_TRANSFORMER})
    sampling = replace(shipped.sampling, height=64, width=96)
    return replace(shipped, network=network, sampling=sampling, input_size=(64, 96), batch_size=2)


def artifact(setting: Setting, name: str) -> Path:
    """The shipped model `light`, or one with random weights and the network of a recipe."""
    if name == "light":
        return LIGHT
    path = setting.work / f"{name}_artifact"
    if not path.exists():
        torch.manual_seed(0)
        label_map = load_label_map("falcon7")
        choice = recipe(setting, name).network
        num_classes = len(label_map.labels)
        config = NetworkConfig(
            choice.architecture, choice.encoder, num_classes, choice.mean, choice.std, choice.options
        )
        network = SegmentationNetwork(config).eval()
        save_network(path, network, f"{name}, random weights", SIZE, label_map, with_graph=False)
    return path


def labelled_folder(setting: Setting) -> tuple[Path, str]:
    """A folder to train on and the name of its label map.

    Without data of the user's, the frames of the sample drive with the masks of the shipped model.
    """
    if setting.data is not None:
        return setting.data, "falcon7"
    folder = setting.work / "labelled"
    if not folder.exists():
        segmenter = Segmenter.load(LIGHT, "torch", setting.device)
        label_map = segmenter.card.label_map
        raw = np.zeros(256, np.uint16)
        for value, index in label_map.values.items():
            raw[index] = value
        for number, rgb in enumerate(frames(4 if setting.quick else 40)):
            write_image(folder / "Color_Images" / f"s{number:02}.png", rgb)
            mask = segmenter.segment(rgb, options(setting)).mask
            write_image(folder / "Segmentation" / f"s{number:02}.png", raw[mask])
    return folder, "falcon7_stones"


def peak_memory_gb(device: str) -> float:
    """The largest memory so far, 10^9 bytes: what torch held on the GPU, or this process's on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved() * 1e-9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-9
