"""`desert-seg doctor`: examine the machine and print what was found.

Neither ROS nor an engine is loaded into this process.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from rich.text import Text

from desert_seg.console import Console
from desert_seg_train.doctor import hardware, network, software
from desert_seg_train.doctor.config import DoctorConfig
from desert_seg_train.doctor.finding import Finding
from desert_seg_train.doctor.probe import Probe

STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red"}


def doctor(config: DoctorConfig) -> None:
    """Print every finding.

    Raises:
        SystemExit: With 1, if there is a fault.
    """
    findings = []
    console = Console()
    for finding in examine():
        findings.append(finding)
        if not config.json:
            _print(console, finding)
    counts = Counter(finding.level for finding in findings)
    if config.json:
        report = {"faults": counts["fault"], "warnings": counts["warning"], "findings": list(map(asdict, findings))}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        console.print(f"faults: {counts['fault']}, warnings: {counts['warning']}")
    if counts["fault"]:
        sys.exit(1)


def examine() -> Iterator[Finding]:
    """Everything, one after the other; what takes time runs beside the rest."""
    has_rclpy = importlib.util.find_spec("rclpy") is not None
    rclpy, torch, engines = Probe("rclpy") if has_rclpy else None, hardware.start_gpu(), software.start_engines()
    yield software.python()
    yield software.installation()
    yield from software.packages()
    yield software.model()
    answer = rclpy.answer() if rclpy else None
    yield network.ros(answer)
    yield network.domain()
    yield network.profile(answer)
    yield network.shared_memory()
    yield network.socket_buffers()
    yield from software.engines(engines)
    yield hardware.cpu()
    yield hardware.memory()
    yield hardware.gpu(torch.answer() if torch else None)
    yield hardware.disk()
    yield hardware.cache()
    yield hardware.terminal()


def _print(console: Console, finding: Finding) -> None:
    level = Text(f"{finding.level:8}", STYLES[finding.level])
    console.print_hanging(Text.assemble(level, f"{finding.subject:20}"), finding.found)
    if finding.cure:
        console.print_hanging(" " * 28, Text.assemble(("cure: ", "bold"), finding.cure))
