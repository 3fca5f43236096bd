"""Settings of a training that are out of range: they would end it with a traceback, or in a model that learnt nothing.

Sizes of crops and batches, which depend on the processes, are judged in `devices`.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

from desert_seg.errors import DataError
from desert_seg_train.train.config import TrainConfig

_TINY = 1e-12
"""For what has to be above 0."""

_LIMITS: dict[str, tuple[float, float]] = {
    "epochs": (1, math.inf),
    **dict.fromkeys(("steps_per_epoch", "workers", "stop_after", "early_stop", "seed"), (0, math.inf)),
    "network.mean": (0, 1),
    "network.std": (_TINY, 1),
    "sampling.min_zoom": (_TINY, 100),
    "sampling.max_zoom": (_TINY, 100),
    "sampling.rare_class": (0, 1),
    "augmentation.photometric": (0, 100),
    "augmentation.style": (0, 1),
    "loss.dice": (0, 1e30),
    **dict.fromkeys(("optimizer.encoder_rate", "optimizer.decoder_rate", "optimizer.head_rate"), (0, 1e30)),
    "optimizer.weight_decay": (0, 1e30),
    "optimizer.warmup": (0, 1 - _TINY),
    "optimizer.freeze_encoder_epochs": (0, math.inf),
    "optimizer.clip_norm": (_TINY, 1e30),
    "optimizer.ema_decay": (0, 1 - _TINY),
}


def check_settings(config: TrainConfig) -> None:
    """Raise DataError for the first setting that is out of range."""
    for name, (least, most) in _LIMITS.items():
        value: Any = reduce(getattr, name.split("."), config)
        for each in value if isinstance(value, tuple) else (value,):
            _check(name, each, least, most)
    for name, weight in config.loss.class_weights.items():
        _check(f"loss.class_weights {name}", weight, 0, 1e30)
    sampling = config.sampling
    if sampling.min_zoom > sampling.max_zoom:
        raise DataError(
            f"found sampling.min_zoom {sampling.min_zoom:g} above sampling.max_zoom {sampling.max_zoom:g}, expected it "
            "to be the smaller one; exchange them"
        )


def _check(name: str, value: float, least: float, most: float) -> None:
    if least <= value <= most:  # NaN is not
        return
    low = "more than 0" if least == _TINY else f"{least:g} or more"
    high = "" if most >= 1e30 else " and less than 1" if most == 1 - _TINY else f" and at most {most:g}"
    option = "--" + name.replace("_", "-")
    raise DataError(f"found {value:g} for {name}, expected {low}{high}; change {option}")
