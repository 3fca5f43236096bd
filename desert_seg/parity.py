"""Parity: how far an engine's masks are from those of the network it was exported from, and the bars it has to reach.

A report is made by `desert-seg export` on real images and travels in the artifact as `parity.json`. Knows nothing of
engines; measuring is the exporter's job.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

MIN_AGREEMENT = {"f32": 0.999, "bf16": 0.995, "int8": 0.99}
"""Precision -> share of the pixels that must get the class which the float32 network gives them."""

MAX_MIOU_CHANGE = 0.003
"""Largest change of the mIoU, up or down, where the images come with masks."""


@dataclass(frozen=True)
class ParityResult:
    """One engine at one precision against the float32 network in eager torch.

    Attributes:
        engine: One of `desert_seg.engines.engine.ENGINES`.
        precision: One of `desert_seg.engines.engine.PRECISIONS`.
        agreement: Share of all pixels with the same class, at the images' own size, 0..1.
        worst_agreement: The same for the worst image.
        worst_image: File name of that image.
        max_score_difference: Largest difference of a score (logit) on the network's grid.
        miou_change: mIoU (over classes present in the truth) minus that of the network; None without masks.
        valid: Whether agreement and mIoU reach the bars.
    """

    engine: str
    precision: str
    agreement: float
    worst_agreement: float
    worst_image: str
    max_score_difference: float
    miou_change: float | None
    valid: bool

    def shortfall(self) -> str:
        """What was found and what was expected, in words; empty if it passes."""
        found = []
        if self.agreement < MIN_AGREEMENT[self.precision]:
            found.append(
                f"{self.agreement:.3%} of the pixels agree, expected at least {MIN_AGREEMENT[self.precision]:.1%}"
            )
        if self.miou_change is not None and abs(self.miou_change) > MAX_MIOU_CHANGE:
            found.append(f"the mIoU changes by {self.miou_change:+.4f}, expected at most {MAX_MIOU_CHANGE}")
        return " and ".join(found)


@dataclass(frozen=True)
class ParityReport:
    """Every engine and precision that was compared, and on what; there are no results if there were no images.

    Attributes:
        opset: Version of the ONNX operator set that the graphs use.
        machine: Processor that the engines ran on.
        num_images: Images that were compared.
        num_labelled: Those of them with a mask.
        results: One for each engine and precision.
    """

    opset: int
    machine: str
    num_images: int = 0
    num_labelled: int = 0
    results: tuple[ParityResult, ...] = ()

    def is_refused(self, engine: str, precision: str) -> bool:
        """True if this engine was judged at this precision and missed a bar; what was not judged is not refused."""
        return any((each.engine, each.precision, each.valid) == (engine, precision, False) for each in self.results)

    def to_json(self) -> bytes:
        """The content of `parity.json`; `parity_from_json` is its inverse."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def parity_from_json(data: bytes) -> ParityReport:
    """Read `parity.json`; raises ValueError or TypeError if it is no report."""
    content: dict[str, Any] = json.loads(data)
    return ParityReport(**{**content, "results": tuple(ParityResult(**each) for each in content["results"])})
