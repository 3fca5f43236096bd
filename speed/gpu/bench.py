"""Lines that are `make bench` on this device."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from desert_seg.errors import EngineError
from speed.figures import Bar, Figure
from speed.gpu.outcome import NotRunError
from speed.gpu.plan import Setting
from speed.options import ROOT

_log = logging.getLogger(__name__)


def lines(setting: Setting, subject: str) -> Mapping[str, Callable[[], Iterator[Figure]]]:
    """The functions behind the lines, by name."""
    return {
        "light": partial(_bench, setting, "light", ()),
        "reference network": partial(_bench, setting, "reference network", ("--reference",)),
    }


def _bench(setting: Setting, name: str, arguments: tuple[str, ...]) -> Iterator[Figure]:
    """Run it, with the node where there is ROS, and take over its figures."""
    if setting.quick:
        raise NotRunError("`make bench ARGS=--quick` is the quick run of it")
    out = setting.work / f"bench_{name.split()[0]}"
    command = [sys.executable, "-m", "speed", "--device", setting.device, "--out", str(out), *arguments]
    command += ["--rounds", "9", "--rates", "30", "60", "--seconds", "8"]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    _log.info("%s", done.stderr)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise EngineError(f"make bench failed: {said[-1] if said else f'exit code {done.returncode}'}")
    content = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    yield from (_figure(name, each) for each in content["figures"])


def _figure(line: str, content: Mapping[str, Any]) -> Figure:
    """A row of bench.json."""
    bar = Bar(**content["bar"]) if content["bar"] else None
    name, values = f"{content['section']}: {content['name']}", tuple(content["values"])
    return Figure(line, name, values, content["unit"], content["once"], bar)
