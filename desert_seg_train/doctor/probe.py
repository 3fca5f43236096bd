"""Libraries that are tried in processes of their own: one that does not load may end its process, or take its time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import desert_seg

TIMEOUT_S = 60.0

_CODE = {
    "rclpy": "import rclpy; print(rclpy.get_rmw_implementation_identifier())",
    "openvino": "import openvino; print('devices:', *openvino.Core().available_devices)",
    "onnxruntime": "import onnxruntime; print('providers:', *onnxruntime.get_available_providers())",
    "torch": """import torch
if not torch.cuda.is_available():
    sys.exit(f'torch {torch.__version__} finds no CUDA device')
print(torch.cuda.get_device_name(), 'with CUDA', torch.version.cuda)""",
    "auto": """from desert_seg.artifact import load_artifact
from desert_seg.engines.choice import candidates, choice_file, describe_choice, read_choice
from desert_seg.share import find_artifact
artifact = load_artifact(find_artifact('light'))
path, names = choice_file(artifact, 'auto', 'auto', 0), candidates(artifact, 'auto', 'auto')
choice = read_choice(path) if path and len(names) > 1 else None
if len(names) == 1: print(names[0])
elif choice: print(f'{choice.engine}, measured for light: {describe_choice(choice)}')
else: print('the fastest of', ' and '.join(names) + ', measured at the first start')""",
}


@dataclass(frozen=True)
class Answer:
    """What a probe said.

    Attributes:
        loaded: Whether the library did what was asked.
        text: The answer, or why there is none, in one line.
    """

    loaded: bool
    text: str


class Probe:
    """A library that is being tried; several run at the same time."""

    def __init__(self, name: str) -> None:
        """Start to try one of `_CODE`."""
        places = [str(Path(desert_seg.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"import sys, desert_seg\n{_CODE[name]}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        )

    def answer(self) -> Answer:
        """Wait for it, for a minute at most."""
        try:
            out, err = self._process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return Answer(False, f"no answer within {TIMEOUT_S:.0f} s")
        lines = [line.strip() for line in (err if self._process.returncode else out).splitlines() if line.strip()]
        last = lines[-1] if lines else f"its process ended with {self._process.returncode}"
        return Answer(self._process.returncode == 0, last[:300])
