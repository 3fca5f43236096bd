"""The network: raw pixels in, class scores at the decoder's stride out.

Normalisation happens inside `forward`, so nobody outside needs to know mean and standard deviation; the one
upsampling to camera size happens outside, in `desert_seg.decode`, so no full-resolution score plane ever leaves
the network. It knows nothing of engines, files or training. Needs torch and segmentation-models-pytorch.

Shape letters: N batch, K classes, H, W input size, h, w decoder grid (H / 4, W / 4 for DeepLabV3+).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.dpt.decoder import DPTSegmentationHead
from torch import Tensor, nn

from desert_seg.artifact_content import check_network
from desert_seg.errors import DesertSegError


@dataclass(frozen=True)
class NetworkConfig:
    """What to build.

    Attributes:
        architecture: A segmentation-models-pytorch model by its class name, for example `DeepLabV3Plus`.
        encoder: A segmentation-models-pytorch encoder name.
        num_classes: K.
        mean: RGB mean of the encoder's normalisation, in 0..1.
        std: RGB standard deviation, in 0..1.
        options: Further arguments of the architecture's class, which passes those it does not know to the encoder's.
    """

    architecture: str
    encoder: str
    num_classes: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    options: Mapping[str, Any] = field(default_factory=dict)


class SegmentationNetwork(nn.Module):
    """An smp model with normalisation in front and no upsampling behind.

    The parameters live under `model` with smp's own names, so a plain smp state dict loads into it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig, encoder_weights: str | None = None) -> None:
        """Build the network.

        Args:
            config: What to build.
            encoder_weights: smp's name of pretrained weights to fetch from the network, or None for random ones.

        Raises:
            DataError: The configuration would load something from outside the library.
            DesertSegError: smp has no such architecture or encoder.
        """
        check_network(asdict(config))
        super().__init__()
        self.config = config
        warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
        try:
            self.model = smp.create_model(
                config.architecture,
                encoder_name=config.encoder,
                encoder_weights=encoder_weights,
                classes=config.num_classes,
                **config.options,
            )
        except (TypeError, ValueError, RuntimeError) as error:
            if encoder_weights is not None:  # the download may have failed
                raise
            raise DesertSegError(
                f"segmentation-models-pytorch cannot build {config.architecture} with encoder {config.encoder} and "
                f"options {dict(config.options)} ({' '.join(str(error).split())[:160]}); change the network's settings"
            ) from error
        except KeyError as error:
            raise DesertSegError(
                f"segmentation-models-pytorch has no {config.architecture!r} with encoder {config.encoder!r}; "
                f"{' '.join(str(error.args[0]).split())[:200]}"
            ) from error
        _without_upsampling(self.model.segmentation_head)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Score every class.

        Args:
            image: N3HW, RGB, any dtype, range 0..255; H and W multiples of `desert_seg.views.SIZE_MULTIPLE`.

        Returns:
            NKhw unnormalised scores (logits).
        """
        scores: Tensor = self.model((image.to(self.mean.dtype) - self.mean) / self.std)
        return scores


def _without_upsampling(head: nn.Module) -> None:
    """smp's heads end with an upsampling on corner-aligned grids; ours happens in `desert_seg.decode`."""
    if isinstance(head, DPTSegmentationHead):
        head.upsampling_factor = 1
    else:
        head[1] = nn.Identity()  # type: ignore[operator]


class DeployedNetwork(nn.Module):
    """The graph that engines run: the same network behind a camera's memory layout."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network.eval()
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Score every class.

        Args:
            image: NHW3 uint8, RGB.

        Returns:
            NKhw float32 scores.
        """
        scores: Tensor = self.network(image.permute(0, 3, 1, 2)).float()
        return scores
