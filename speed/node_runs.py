"""The node at several camera rates, measured by `desert-seg-benchmark`, whose page and JSON file it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from desert_seg.errors import EngineError
from speed import names
from speed.figures import Figure

Run = Mapping[str, Any]
"""A run of results.json, see docs/bag_benchmark.md."""


def run_at_rates(
    artifact: Path, drive: Path, rates: Sequence[float], seconds: float, device: str, out: Path
) -> list[Run]:
    """Make the runs.

    Args:
        artifact: Model artifact.
        drive: Bag or folder of images; published as raw images.
        rates: Frames per second.
        seconds: Length of each run.
        device: One of `desert_seg.engines.engine.DEVICES`.
        out: Folder for its results.

    Raises:
        EngineError: It failed; the message has its last output.
    """
    command = [
        sys.executable,
        "-m",
        "desert_seg_ros.bag_benchmark.command",
        str(drive),
        "--model",
        str(artifact.resolve()),
    ]
    command += ["--rate", *(f"{rate:g}" for rate in rates), "--seconds", f"{seconds:g}", "--transport", "raw"]
    command += ["--param", f"device:={device}", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise EngineError(f"desert-seg-benchmark failed: {said[-1] if said else f'exit code {done.returncode}'}")
    runs: list[Run] = json.loads((out / "results.json").read_text(encoding="utf-8"))["runs"]
    return runs


def figures_of(runs: Sequence[Run], engine: str) -> Iterator[Figure]:
    """Figures for the table.

    Args:
        runs: At ascending rates.
        engine: The node's engine: the first word of its description.
    """
    for run in runs:
        rate, frames, latency, use, long = (
            run[key] for key in ("name", "frames", "latency_ms", "node_use", "endurance")
        )
        yield _once(f"{rate}: masks per image", frames["masks"] / frames["sent"])
        yield _once(f"{rate}: masks", run["rates"]["masks_hz"] or 0.0, "Hz")
        yield _once(f"{rate}: dropped", sum(frames["dropped"].values()), "frames")
        if latency is not None:
            yield _once(f"{rate}: latency p50", latency["p50"], "ms")
            for key in ("p95", "p99"):
                yield _once(f"{rate}: latency {key} / p50", latency[key] / latency["p50"])
        yield _once(f"{rate}: memory at the end", use["rss_mb_end"], "MB")
        yield _once(f"{rate}: memory, end / begin", use["rss_mb_end"] / use["rss_mb_begin"])
        if long is not None and long["rss_drift_percent"] is not None:
            minutes = long["seconds"] / 60
            yield _once(names.DRIFT.format(rate=rate, minutes=minutes), long["rss_drift_percent"], "%")
    yield _once(names.UNACCOUNTED, sum(run["frames"]["pending"] for run in runs), "frames")
    latencies = [latency for _, latency in runs[-1]["latency_over_time"]]
    if third := len(latencies) // 3:
        yield _once(names.GROWTH, median(latencies[-third:]) / median(latencies[:third]))
    starts = tuple(run["start"]["first_mask_s"] for run in runs)
    yield Figure(names.LIVE, names.FIRST_MASK.format(engine=engine), starts, "s")


def _once(name: str, value: float, unit: str = "") -> Figure:
    return Figure(names.LIVE, name, (value,), unit, once=True)
