"""The bars, by section and name of the figure. Those of two networks were set at 512x896, on a CPU."""

from __future__ import annotations

from collections.abc import Mapping

from desert_seg.artifact import ModelCard
from desert_seg.parity import MIN_AGREEMENT
from speed import names
from speed.figures import Bar

SIZE = (512, 896)
REFERENCE_ENCODER = "resnet101"
LIGHT_ENCODER = "timm-tf_efficientnet_lite0"

Bars = Mapping[tuple[str, str], Bar]

ALWAYS: Bars = {
    (names.VIEWS, "flip"): Bar(2.05),
    (names.VIEWS, "full"): Bar(6.3),
    (names.OVERLOAD, names.THROUGHPUT): Bar(0.95, at_most=False),
    (names.LIVE, names.UNACCOUNTED): Bar(0),
    (names.LIVE, names.GROWTH): Bar(1.25),
    (names.LIVE, names.FIRST_MASK.format(engine="openvino")): Bar(3.0),
    (names.LIVE, names.DRIFT.format(rate="60fps", minutes=10)): Bar(2.0),
    (names.INSTALL, names.RUNTIME): Bar(700),
}

TRAINED: Bars = {
    (names.AGREEMENT, f"{engine} {precision}"): Bar(100 * share, at_most=False)
    for engine in ("openvino", "onnxruntime", "torch")
    for precision, share in MIN_AGREEMENT.items()
}

LIGHT: Bars = {
    (names.WHOLE, names.NODE): Bar(1.15),
    (names.SCRIPT, "auto"): Bar(0.25),
    (names.SCRIPT, names.BESIDES): Bar(0.05),
}

REFERENCE: Bars = {
    (names.WHOLE, names.NODE): Bar(1.03),
    (names.SCRIPT, "openvino bf16"): Bar(0.33),
    (names.SCRIPT, "openvino int8"): Bar(0.20),
    (names.SCRIPT, names.BESIDES): Bar(0.05),
}


def bars_for(card: ModelCard, engine: str, random_weights: bool) -> Bars:
    """The bars for a model.

    Args:
        card: The model's.
        engine: The engine that `auto` chose, by its own description.
        random_weights: Its masks are meaningless, so they need not agree.
    """
    bars = dict(ALWAYS) if random_weights else {**ALWAYS, **TRAINED}
    if card.input_size == SIZE and card.network["architecture"] == "DeepLabV3Plus" and "cuda" not in engine.lower():
        bars |= {LIGHT_ENCODER: LIGHT, REFERENCE_ENCODER: REFERENCE}.get(card.network["encoder"], {})
    return bars
