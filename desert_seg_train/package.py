"""Turn a checkpoint into a model artifact.

    python -m desert_seg_train.package --checkpoint runs/light/last.ckpt --out models/light
    python -m desert_seg_train.package --checkpoint best_model.pth --out models/reference \
        --architecture DeepLabV3Plus --encoder resnet101 --label-map falcon7

The checkpoint is this project's `last.ckpt`, whose averaged weights are taken, or a plain smp state dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from desert_seg_train.cli import run


@dataclass(frozen=True)
class PackageConfig:
    """Turn a checkpoint into a model artifact.

    Attributes:
        checkpoint: last.ckpt of a training, or a reference-style best_model.pth (plain state dict).
        out: Artifact folder to write.
        name: Name in the artifact; default: the folder's name.
        input_height: Network input height, a multiple of 32.
        input_width: Network input width, a multiple of 32.
        architecture: smp architecture of a plain state dict.
        encoder: smp encoder of a plain state dict.
        label_map: Label map of a plain state dict, by name or path.
        data: A sentence on the data the model was trained with.
    """

    checkpoint: Path
    out: Path
    name: str = ""
    input_height: int = 512
    input_width: int = 896
    architecture: str = "DeepLabV3Plus"
    encoder: str = "resnet101"
    label_map: str = "falcon7"
    data: str = ""


def package(config: PackageConfig) -> None:
    """Read, convert, verify by loading, and say where it is."""
    from desert_seg.artifact import load_artifact
    from desert_seg.checkpoint import network_from_state_dict, read_checkpoint, state_dict_of
    from desert_seg.errors import DesertSegError
    from desert_seg.labels import load_label_map
    from desert_seg.network import SIZE_MULTIPLE, NetworkConfig
    from desert_seg_train.export import save_network

    size = (config.input_height, config.input_width)
    if any(side <= 0 or side % SIZE_MULTIPLE for side in size):
        raise DesertSegError(f"input size {size[0]}x{size[1]} is not in multiples of {SIZE_MULTIPLE}; try 512x896")
    content = read_checkpoint(config.checkpoint)
    own = content.get("network_config")
    label_map = load_label_map(content.get("label_map", config.label_map))
    network_config = (
        NetworkConfig(**own) if own else NetworkConfig(config.architecture, config.encoder, len(label_map.labels))
    )
    network = network_from_state_dict(network_config, state_dict_of(content), str(config.checkpoint))
    name = config.name or config.out.name
    provenance = {"data": config.data, "label_map": label_map.name, "checkpoint": config.checkpoint.name}
    save_network(config.out, network, name, size, label_map, provenance=provenance)
    print(f"wrote {config.out} ({load_artifact(config.out).digest[:12]})")


def main() -> None:
    """Command-line entry."""
    run(package, PackageConfig)


if __name__ == "__main__":
    main()
