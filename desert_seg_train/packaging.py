"""Turn a checkpoint into a model artifact.

    desert-seg package --checkpoint runs/light/last.ckpt --out models/light
    desert-seg package --checkpoint best_model.pth --out models/reference \
        --architecture DeepLabV3Plus --encoder resnet101 --label-map falcon7

The checkpoint is this project's `last.ckpt`, whose averaged weights are taken, or a plain smp state dict.
"""

from __future__ import annotations

from desert_seg.artifact import load_artifact
from desert_seg.checkpoint import network_from_state_dict, read_checkpoint, state_dict_of
from desert_seg.errors import DesertSegError
from desert_seg.labels import load_label_map
from desert_seg.network import NetworkConfig
from desert_seg.views import SIZE_MULTIPLE
from desert_seg_train.config import PackageConfig
from desert_seg_train.export import save_network


def package(config: PackageConfig) -> None:
    """Read, convert, verify by loading, and say where it is."""
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
