"""Switches off the usage reports of the libraries underneath: a robot reports to nobody.

Both engines that run ONNX graphs count their users: importing OpenVINO writes an id into the home folder and asks an
analytics service, importing ONNX Runtime writes one and sends events. The switches have to be set before that, so this
runs first when `desert_seg` or `desert_seg_train` is imported.
"""

from __future__ import annotations

import os
import sys

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, which timm and segmentation-models-pytorch import
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray, which predicts on several machines
}
"""Environment variables that switch reports off; child processes inherit them."""


def be_quiet() -> None:
    """Switch off usage reports."""
    os.environ.update(SWITCHES)
    # OpenVINO has no switch but one for build servers. It does without the package that reports where that is missing,
    # and a module that is None is missing.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
