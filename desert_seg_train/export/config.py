"""Settings of `desert-seg export`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportConfig:
    """Make a model artifact that every engine runs, and compare the engines on real images.

    Attributes:
        out: Artifact folder to write; an existing artifact is replaced.
        checkpoint: last.ckpt or best.ckpt of a training, a .pth, .ckpt or .safetensors file with the weights of an smp
            model, however wrapped, or a folder that smp's save_pretrained wrote.
        model: An artifact to export again, or the name of a shipped one, in place of a checkpoint; may be OUT itself.
        images: Folder of images, or dataset folder, to compare engines on and to calibrate int8 with; masks in it are
            used.
        labelled: Dataset folder to compare engines on, with the change of the mIoU; images are then only for
            calibration.
        int8: Also make model.int8.onnx; it stays out of the artifact if its masks are too far from float32's.
        max_images: Largest number of images to compare on, spread evenly over the folder.
        name: Name in the artifact; default: the folder's name, or the name in the model.
        data: A sentence on the training data.
        input_height: Network input height, a multiple of 32; default: that of the training or model, else 512.
        input_width: Network input width, likewise; else 896.
        architecture: smp architecture of a checkpoint that does not name it.
        encoder: smp encoder, likewise.
        label_map: Label map, likewise, by name or path.
        mean: RGB mean that its images were normalised with, 0..1; default: that of the encoder's pretrained weights.
        std: RGB standard deviation, likewise.
    """

    out: Path
    checkpoint: Path | None = None
    model: Path | None = None
    images: Path | None = None
    labelled: Path | None = None
    int8: bool = False
    max_images: int = 64
    name: str = ""
    data: str = ""
    input_height: int | None = None
    input_width: int | None = None
    architecture: str = "DeepLabV3Plus"
    encoder: str = "resnet101"
    label_map: str = "falcon7"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
