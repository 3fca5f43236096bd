"""The script that people write first, as a contender.

The same network and weights with smp's own head, which upsamples to network size, in eager torch and float32; numpy
before and after it. Written as the users of a reference checkpoint write it: clear, and with no thought of speed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from desert_seg.artifact import load_artifact
from desert_seg.errors import EngineError
from speed.contender import Program
from speed.ours import COLOR


class Script:
    """The script's functions and what they share."""

    def __init__(self, artifact: Path, device: str) -> None:
        """Load the model; raises DesertSegError if it cannot be read or is no plain smp model."""
        loaded = load_artifact(artifact)
        network = loaded.card.network
        self.device = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
        warnings.simplefilter("ignore")
        self.model = smp.create_model(
            *(network["architecture"], network["encoder"], None),
            classes=network["num_classes"],
            **network.get("options", {}),
        )
        if not isinstance(self.model.segmentation_head, torch.nn.Sequential):
            raise EngineError(f"the straightforward script does not know the head of {network['architecture']}")
        self.model.load_state_dict(load_file(loaded.weights))
        self.model.to(self.device).eval()
        self.size = loaded.card.input_size
        self.mean, self.std = np.array(network["mean"]), np.array(network["std"])
        self.palette = loaded.card.label_map.labels.palette()

    def preprocess(self, image: npt.NDArray[np.uint8]) -> torch.Tensor:
        """HxWx3 uint8 RGB to the network's input."""
        normalized = (image / 255.0 - self.mean) / self.std
        resized = cv2.resize(normalized, (self.size[1], self.size[0]))
        return torch.from_numpy(resized.transpose(2, 0, 1)).unsqueeze(0).float()

    def predict(self, image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any], float]:
        """HxWx3 uint8 RGB to an HxW uint8 mask, an HxWx3 uint8 picture of it, and the network's ms."""
        tensor = self.preprocess(image).to(self.device)
        entered = time.perf_counter()
        with torch.no_grad():
            # What `self.model(tensor)` does, in two parts: the head's upsampling and all after it are not the network.
            project, upsample, _ = self.model.segmentation_head
            scores = project(self.model.decoder(self.model.encoder(tensor)))
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            left = time.perf_counter()
            logits = F.interpolate(upsample(scores), size=image.shape[:2], mode="bilinear", align_corners=False)
            probabilities = torch.softmax(logits, dim=1)
            mask = torch.argmax(probabilities, dim=1).squeeze(0).cpu().numpy().astype(np.uint8)
        return mask, self.palette[mask], (left - entered) * 1e3


def load(frames: Sequence[npt.NDArray[np.uint8]], artifact: Path, device: str) -> Program:
    """Load the model and run it once; see `speed.ours.load` for the arguments."""
    script = Script(artifact, device)
    script.predict(frames[0])
    tasks = {COLOR: lambda number: script.predict(frames[number])[2]}
    name = torch.cuda.get_device_name() if script.device.type == "cuda" else "CPU"
    return Program(f"eager torch f32 on {name}", len(frames), tasks, lambda n: script.predict(frames[n])[0])
