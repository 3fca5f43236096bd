"""Lines about a network: alone, from message to message, in batches, against eager torch, in bf16 against float32."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from desert_seg.artifact import load_artifact
from desert_seg.engines.choice import choose_engine
from desert_seg.engines.engine import DeviceEngine
from desert_seg.errors import EngineError
from desert_seg.network import DeployedNetwork, NetworkConfig, SegmentationNetwork
from desert_seg.parity import MIN_AGREEMENT
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.profile.stages import rgb_message, time_frame
from speed.figures import Bar, Figure, ratio
from speed.gpu import materials
from speed.gpu.outcome import NotRunError
from speed.gpu.plan import Setting
from speed.gpu.timing import milliseconds

_log = logging.getLogger(__name__)

VIEWS = ("none", "flip", "full")
BATCH = 4
SECONDS = 2.0
"""How long a figure is measured."""

GOALS = {"none": Bar(6.0), "full": Bar(20.0)}
"""Milliseconds from message to message, reference network, on a GPU like an H100."""

OVERHEAD_GOAL = Bar(1.15)


def lines(setting: Setting, subject: str) -> Mapping[str, Callable[[], Iterator[Figure]]]:
    """The functions behind the lines, by name; loads the model."""
    network = NetworkLines(setting, subject)
    return {
        "bare network": network.bare,
        "message to message": network.whole,
        "batches of four": network.batches,
        "against eager torch": network.against_eager,
        "bf16 against float32": network.agreement,
    }


class NetworkLines:
    """A network's lines, with the model that they share."""

    def __init__(self, setting: Setting, subject: str) -> None:
        """Load the model.

        Args:
            setting: What to run with.
            subject: See `speed.gpu.materials.artifact`.
        """
        self._setting, self._path = setting, materials.artifact(setting, subject)
        self._goals = setting.has_goals and subject == "reference"
        self._seconds = 0.0 if setting.quick else SECONDS
        self._frames = materials.frames(8)
        began = time.perf_counter()
        self._segmenter = Segmenter.load(self._path, "torch", setting.device)
        self._load_s = time.perf_counter() - began
        height, width = self._segmenter.network_size(materials.options(setting))
        self._inputs = np.stack([frame[:height, :width] for frame in self._frames])
        self._turn = 0

    def bare(self) -> Iterator[Figure]:
        """The network's pass, from frames of its size in memory to scores, which stay on the device."""
        name = "bare network"
        _log.info("%s, inputs %s", self._segmenter.engine.description, self._inputs.shape)
        yield Figure(name, "one frame", self._bare_ms(1), "ms")
        batch = tuple(each / BATCH for each in self._bare_ms(BATCH))
        yield Figure(name, "four frames, each", batch, "ms")
        yield Figure(name, "loading", (self._load_s,), "s", once=True)
        yield Figure(name, "memory", (materials.peak_memory_gb(self._setting.device),), "GB", once=True)

    def whole(self) -> Iterator[Figure]:
        """Image message to mask message, with each set of views; and what that is over the network alone."""
        name = "message to message"
        messages = [rgb_message(frame) for frame in self._frames]
        bare = self._bare_ms(1)
        for views in VIEWS:
            options = materials.options(self._setting, views)
            self._segmenter.warm_up(options)

            def segment(options: SegmentOptions = options) -> None:
                time_frame(self._segmenter, messages[self._next()], options)

            taken = milliseconds(segment, self._seconds)
            yield Figure(name, f"views {views}", taken, "ms", bar=GOALS.get(views) if self._goals else None)
            if views == "none":
                over = ratio(name, "over the bare network", taken, bare)
                yield Figure(name, over.name, over.values, bar=OVERHEAD_GOAL if self._goals else None)

    def batches(self) -> Iterator[Figure]:
        """Four frames of four cameras to their masks, with each set of views."""
        for views in VIEWS:
            segment = partial(
                self._segmenter.segment_batch, self._frames[:BATCH], materials.options(self._setting, views)
            )
            taken = tuple(each / BATCH for each in milliseconds(segment, self._seconds))
            yield Figure("batches of four", f"views {views}, a frame", taken, "ms")

    def against_eager(self) -> Iterator[Figure]:
        """The same network in eager torch on the same device, from a frame in memory to scores on the device."""
        name, bare, has_bf16 = "against eager torch", self._bare_ms(1), self._has_bf16()
        for precision in ("f32", "bf16") if has_bf16 else ("f32",):
            eager = milliseconds(self._eager(precision), self._seconds)
            yield Figure(name, f"eager {precision}", eager, "ms")
            yield ratio(name, f"ours / eager {precision}", bare, eager)
        if self._setting.device == "cuda" and has_bf16:  # whether measuring convolutions would pay in ours, too
            with torch.backends.cudnn.flags(enabled=True, benchmark=True):
                chosen = milliseconds(self._eager("bf16"), self._seconds)
            yield Figure(name, "eager bf16, fastest convolutions by measurement", chosen, "ms")

    def agreement(self) -> Iterator[Figure]:
        """Pixels of real frames that get the same class in bf16 as in float32, both on the device."""
        if not self._has_bf16():
            raise NotRunError(f"this machine's {self._setting.device} does not compute in bf16")
        options = materials.options(self._setting)
        exact, rounded = (
            Segmenter.load(self._path, "torch", self._setting.device, precision) for precision in ("f32", "bf16")
        )
        shares = [
            float((exact.segment(frame, options).mask == rounded.segment(frame, options).mask).mean())
            for frame in self._frames
        ]
        # A quick run's network sees an eighth of the size it was trained for.
        bar = None if self._setting.quick else Bar(100 * MIN_AGREEMENT["bf16"], at_most=False)
        name = "bf16 against float32"
        yield Figure(name, "pixels with the same class", (100 * float(np.mean(shares)),), "%", once=True, bar=bar)
        yield Figure(name, "in the worst frame", (100 * min(shares),), "%", once=True)

    def _bare_ms(self, batch: int) -> tuple[float, ...]:
        engine, images = self._segmenter.engine, self._inputs[:batch]
        run = engine.device_scores if isinstance(engine, DeviceEngine) else engine.scores
        return milliseconds(partial(run, images), self._seconds)

    def _eager(self, precision: str) -> Callable[[], None]:
        """A pass of the network as torch runs it without us, batch norms and all."""
        artifact, device = load_artifact(self._path), self._setting.device
        network = SegmentationNetwork(NetworkConfig(**artifact.card.network))
        network.model.load_state_dict(load_file(artifact.weights))
        deployed = DeployedNetwork(network).to(device).to(memory_format=torch.channels_last)
        images: npt.NDArray[np.uint8] = self._inputs[:1]

        def run() -> None:
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                deployed(torch.from_numpy(images).to(device))
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    def _has_bf16(self) -> bool:
        try:
            choose_engine(load_artifact(self._path), "torch", self._setting.device, "bf16", 0)
        except EngineError as error:
            _log.info("%s", error)
            return False
        return True

    def _next(self) -> int:
        """The number of the next frame, round and round."""
        self._turn = (self._turn + 1) % len(self._frames)
        return self._turn
