"""Everything that reads what comes from outside, by name, and whole examples of what each reads.

A reader is given bytes and a folder of its own to write them to; it returns, or raises a DesertSegError.
"""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import bag_kinds
import cv2
import numpy as np
import torch
from conftest import ROOT
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from safetensors.torch import save
from tiny_graph import SIZE, save_graph, tiny_graph

from desert_seg.artifact import load_artifact
from desert_seg.checkpoint import read_checkpoint
from desert_seg.engines.choice import create_engine
from desert_seg.images import read_image, read_mask
from desert_seg.labels import load_label_map
from desert_seg.recordings.drive import open_drive
from desert_seg.recordings.image_codec import decode_compressed, decode_image
from desert_seg.traversability import read_policy
from desert_seg_train.adapt.judgement import FILE as JUDGEMENT
from desert_seg_train.adapt.judgement import Judgement, read_judgement, write_judgement
from desert_seg_train.benchmark.training_log import read_training_log
from desert_seg_train.evaluate.earlier import FORMAT as RESULTS_FORMAT
from desert_seg_train.evaluate.earlier import read_earlier
from desert_seg_train.label.labelme import LabelledImage, label_values, read_labelme, write_labelme
from desert_seg_train.label.polygons import Polygon
from desert_seg_train.synth.worlds import load_world
from desert_seg_train.train.config import TrainConfig
from desert_seg_train.yaml_config import read_yaml_config

LABEL_MAP = load_label_map("falcon7_stones")
WEIGHTS = {"encoder.weight": torch.arange(12.0).reshape(3, 4), "encoder.bias": torch.zeros(3)}
PICTURE = bag_kinds.picture(0)
DEEP = np.full((5, 7), 40_000, np.uint16)


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A reader of a file of that name."""

    def write_and_read(data: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return write_and_read


def _recording(name: str) -> Callable[[bytes, Path], object]:
    return _file(name, lambda path: [frame.rgb() for frame in open_drive(path).frames()])


def _raw_message(data: bytes, folder: Path) -> object:
    """The bytes as DDS hands them over."""
    from sensor_msgs.msg import Image

    from desert_seg_ros.input_reader import InputReader

    reader = InputReader("image", Image)
    reader.stamp_ns(data)
    return decode_image(reader.message(data))


def _artifact(data: bytes, folder: Path) -> object:
    path = save_graph(folder / "model", tiny_graph()).path
    (path / "artifact.json").write_bytes(data)
    return load_artifact(path)


def _graph(engine: str) -> Callable[[bytes, Path], object]:
    def build_and_run(data: bytes, folder: Path) -> object:
        built = create_engine(save_graph(folder / "model", data), engine, "cpu", "f32")
        return built.scores(np.full((1, *SIZE, 3), 10, np.uint8))

    return build_and_run


def _metadata(data: bytes, folder: Path) -> object:
    path = bag_kinds.write(folder / "bag", bag_kinds.camera())
    (path / "metadata.yaml").write_bytes(data)
    return [frame.rgb() for frame in open_drive(path).frames()]


READERS: dict[str, Callable[[bytes, Path], object]] = {
    "raw message": _raw_message,
    "compressed message": lambda data, _: decode_compressed(SimpleNamespace(format="jpeg", data=data)),
    "image file": _file("image.png", read_image),
    "mask file": _file("mask.png", read_mask),
    "label map": _file("map.yaml", load_label_map),
    "policy": _file("policy.yaml", read_policy),
    "recipe": _file("recipe.yaml", lambda path: read_yaml_config(TrainConfig, path)),
    "world": _file("world.yaml", load_world),
    "artifact.json": _artifact,
    "graph in openvino": _graph("openvino"),
    "graph in onnxruntime": _graph("onnxruntime"),
    "mcap": _recording("bag.mcap"),
    "mcap of compressed chunks": _recording("bag.mcap"),
    "ros1 bag": _recording("bag.bag"),
    "metadata of a bag": _metadata,
    "checkpoint": _file("last.ckpt", read_checkpoint),
    "safetensors": _file("model.safetensors", read_checkpoint),
    "labelme": _file("frame.json", lambda path: read_labelme(path, label_values(LABEL_MAP.labels))),
    "results of another model": _file("results.json", read_earlier),
    "log of a training": _file("log.csv", read_training_log),
    "judgement": _file(JUDGEMENT, lambda path: read_judgement(path.parent)),
    "db3": _recording("bag.db3"),
}


COMPUTES_S = 20
"""How long a reader may compute; on a busy machine it may take much longer."""


def attack(reader: str, data: bytes) -> None:
    """Have a reader read, in a process that dies if that takes too long."""
    signal.setitimer(signal.ITIMER_PROF, COMPUTES_S)
    with tempfile.TemporaryDirectory() as folder:
        READERS[reader](data, Path(folder))
    signal.setitimer(signal.ITIMER_PROF, 0)


# ---------------------------------------------------------------------------------------------------- whole examples
def _encoded(kind: str, image: np.ndarray) -> bytes:
    return cv2.imencode(kind, image)[1].tobytes()


def _raw_examples() -> list[bytes]:
    images = ((PICTURE, "bgr8"), (PICTURE[..., 0], "mono8"), (DEEP, "mono16"))
    messages = [bag_kinds.raw(image, encoding, bag_kinds.START_NS) for image, encoding in images]
    return [bytes(bag_kinds.ROS2.serialize_cdr(message, message.__msgtype__)) for message in messages]


def _written(write: Callable[[Path], Path | None], name: str = "file") -> bytes:
    """What is in the file that something writes at a path, or elsewhere, which it then returns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        return (write(path) or path).read_bytes()


def _recorded(storage: StoragePlugin, compression: CompressionMode | None = None) -> bytes:
    return _written(
        lambda path: bag_kinds.storage_file(bag_kinds.write(path, bag_kinds.camera(), storage, compression))
    )


def _labelme() -> bytes:
    corners = np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 4.0]])
    labelled = LabelledImage(Path("frame.png"), (6, 8), (Polygon(2, corners),), True)
    return _written(lambda path: write_labelme(path, labelled, LABEL_MAP.labels))


def _results() -> bytes:
    names, confusion = list(LABEL_MAP.labels.names), np.ones((7, 8), int).tolist()
    content = {
        "format": RESULTS_FORMAT,
        "model": {"name": "light", "digest": "5" * 64},
        "passes": [{"name": "none"}],
        "data": {"classes": names, "label_map": LABEL_MAP.name},
        "frames": [{"name": "s00", "confusion": confusion}, {"name": "s01", "confusion": confusion}],
    }
    return json.dumps(content).encode()


def _judgement() -> bytes:
    judgement = Judgement("2 labelled frames", (), ("too few for an interval",), None)
    return _written(lambda path: write_judgement(path.parent, judgement), JUDGEMENT)


def _described() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = save_graph(Path(folder) / "model", tiny_graph()).path
        return (path / "artifact.json").read_bytes()


def whole(reader: str) -> list[bytes]:
    """Examples of what the reader reads without complaint."""
    images = [_encoded(kind, PICTURE) for kind in (".png", ".jpg", ".tiff", ".bmp", ".webp")]
    examples: dict[str, Callable[[], list[bytes]]] = {
        "raw message": _raw_examples,
        "compressed message": lambda: images,
        "image file": lambda: images,
        "mask file": lambda: [_encoded(kind, DEEP) for kind in (".png", ".tiff")],
        "label map": lambda: [path.read_bytes() for path in sorted((ROOT / "desert_seg/label_maps").glob("*.yaml"))],
        "policy": lambda: [(ROOT / "config/traversability.yaml").read_bytes()],
        "recipe": lambda: [(ROOT / "config" / name).read_bytes() for name in ("light.yaml", "reference.yaml")],
        "world": lambda: [
            path.read_bytes() for path in sorted((ROOT / "desert_seg_train/synth/worlds").glob("*.yaml"))
        ],
        "artifact.json": lambda: [_described()],
        "graph in openvino": lambda: [tiny_graph().SerializeToString()],
        "graph in onnxruntime": lambda: [tiny_graph().SerializeToString()],
        "mcap": lambda: [_recorded(StoragePlugin.MCAP)],
        "mcap of compressed chunks": lambda: [_recorded(StoragePlugin.MCAP, CompressionMode.STORAGE)],
        "ros1 bag": lambda: [_written(bag_kinds.rosbag1, "bag")],
        "metadata of a bag": lambda: [
            _written(lambda path: bag_kinds.write(path, bag_kinds.camera()) / "metadata.yaml", "bag")
        ],
        "checkpoint": lambda: [_written(lambda path: torch.save(WEIGHTS, path))],
        "safetensors": lambda: [save(WEIGHTS)],
        "labelme": lambda: [_labelme()],
        "results of another model": lambda: [_results()],
        "log of a training": lambda: [b"epoch,loss,miou\n1,0.5,0.3\n2,0.25,\n"],
        "judgement": lambda: [_judgement()],
        "db3": lambda: [_recorded(StoragePlugin.SQLITE3)],
    }
    return examples[reader]()


TREES = ("label map", "policy", "recipe", "world", "artifact.json", "metadata of a bag")
TREES += ("labelme", "results of another model", "judgement")
"""Readers of YAML or JSON, whose values can be replaced one by one."""
