"""From trained to shipped weights: averages them, and offsets the score of Rocks.

    python -m experiments.finish --weights runs/a/last.ckpt runs/b/last.ckpt --sets falcon/val RENDERED --out runs/light
    python -m experiments.finish --weights ... --offset 0.5 --out runs/light

The first prints mIoU and Rocks for every set and offset, to choose an offset; the second adds the chosen one to the
last layer's bias. The averaged trainings must have started from the same weights (Wortsman et al., "Model soups",
2022). An offset has the effect of weighting a class in the cross entropy, without another training (Menon et al.,
"Long-tail learning via logit adjustment", 2021).

Shape letters: F offsets, L readings of the truth, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import tyro
from rich.table import Table

from desert_seg.console import Console
from desert_seg.decode import decode
from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig, SegmentationNetwork
from desert_seg.scoring import class_iou, count, mean_iou
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.folder import SegmentationFolder
from desert_seg_train.saving import save_network
from desert_seg_train.train.config import NetworkChoice
from desert_seg_train.train.start import start_network
from experiments.protocol import READINGS

LABEL_MAP = load_label_map("falcon7_stones")
ROCKS = LABEL_MAP.labels.index("Rocks")


@dataclass(frozen=True)
class Options:
    """What to make.

    Attributes:
        weights: Checkpoints or artifacts of the light network, trained with falcon7_stones.
        out: Folder for the artifact; an existing one is replaced.
        offset: Added to the score of Rocks, in logits.
        sets: Labelled folders to try offsets on; the artifact is then written without an offset.
        offsets: Offsets to try.
    """

    weights: tuple[Path, ...]
    out: Path
    offset: float = 0.0
    sets: tuple[Path, ...] = ()
    offsets: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    network = averaged(options.weights)
    offset = 0.0 if options.sets else options.offset
    with_offset(network, offset)
    names = ", ".join("/".join(path.parts[-2:]) for path in options.weights)
    made = {"average of": names, "offset of Rocks": f"{offset:g}", "label_map": LABEL_MAP.name}
    save_network(options.out, network, "light", (512, 896), LABEL_MAP, provenance=made)
    console = Console()
    for folder in options.sets:
        console.print(table(folder, options.offsets, tried(options.out, folder, options.offsets)))
    console.print(f"wrote {options.out}")


def averaged(weights: tuple[Path, ...]) -> SegmentationNetwork:
    """The network whose weights and batch-norm statistics are the mean of several trainings'."""
    choice = NetworkChoice()
    config = NetworkConfig(choice.architecture, choice.encoder, len(LABEL_MAP.labels), choice.mean, choice.std)
    networks = [start_network(config, str(path), LABEL_MAP.labels) for path in weights]
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    networks[0].load_state_dict(mean)
    return networks[0]


def with_offset(network: SegmentationNetwork, offset: float) -> None:
    """Add an offset to the score of Rocks, in the last layer's bias."""
    with torch.no_grad():
        network.model.segmentation_head[0].bias[ROCKS] += offset


def tried(artifact: Path, folder: Path, offsets: tuple[float, ...]) -> npt.NDArray[np.int64]:
    """FxLxKx(K+1) confusion matrices of a labelled folder, as of `desert_seg.scoring.count`."""
    segmenter = Segmenter.load(artifact, precision="f32")
    num_classes = len(segmenter.labels)
    readings = [SegmentationFolder(folder, load_label_map(name)) for name in READINGS]
    counts = np.zeros((len(offsets), len(readings), num_classes, num_classes + 1), np.int64)
    for index in Console().track(range(len(readings[0])), str(folder), transient=True):
        samples = [reading[index] for reading in readings]
        scores = segmenter.score([samples[0].image], SegmentOptions())[0].scores
        for number, offset in enumerate(offsets):
            bias = np.zeros(num_classes, np.float32)
            bias[ROCKS] = offset
            height, width = samples[0].target.shape
            mask = decode(scores, (height, width), bias)
            counts[number] += [count(sample.target, mask, num_classes) for sample in samples]
    return counts


def table(folder: Path, offsets: tuple[float, ...], counts: npt.NDArray[np.int64]) -> Table:
    """The scores at each offset, with both readings of the ground truth."""
    result = Table(title=f"{folder.parent.name}/{folder.name}")
    for heading in ("offset", *(f"{number}, {name}" for name in READINGS for number in ("mIoU", "Rocks"))):
        result.add_column(heading, justify="right")
    for offset, matrices in zip(offsets, counts, strict=True):
        pairs = zip(mean_iou(matrices), class_iou(matrices)[:, ROCKS], strict=True)
        result.add_row(f"{offset:g}", *(f"{value:.3f}" for pair in pairs for value in pair))
    return result


if __name__ == "__main__":
    main()
