"""What the libraries underneath would tell their makers is never told: a robot speaks to nobody.

Both engines that run ONNX graphs count their users: importing OpenVINO writes an id into the home folder and asks an
analytics service, importing ONNX Runtime writes one and sends events. Each has to be told before it is imported, so
this runs when `desert_seg` or `desert_seg_train` is, before anything else of them.
"""

from __future__ import annotations

import os
import sys

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, which timm and segmentation-models-pytorch import
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray, which predicts on several machines
}
"""Environment variables by which libraries are told to report nothing; child processes inherit them."""


def be_quiet() -> None:
    """Switch off what would report the use of a library to its makers."""
    os.environ.update(SWITCHES)
    # OpenVINO has no switch but one for build servers. It does without the package that reports where that is missing,
    # and a module that is None is missing.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
