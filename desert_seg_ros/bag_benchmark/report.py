"""Turns recordings into figures, and figures into JSON. Knows nothing of rclpy."""

from __future__ import annotations

import json
import math
import os
import platform
import re
from dataclasses import asdict
from typing import Any

from desert_seg.files import to_utf8
from desert_seg.machine import processor
from desert_seg_ros.bag_benchmark import measures
from desert_seg_ros.bag_benchmark.judge import Judgement
from desert_seg_ros.bag_benchmark.measures import Timeline
from desert_seg_ros.bag_benchmark.pace import Length
from desert_seg_ros.bag_benchmark.recording import Recording
from desert_seg_ros.bag_benchmark.results import Machine, Model, Results, Run

_LIST_OF_NUMBERS = re.compile(r'\[[^][{}"]*\]')
"""Lists of numbers in JSON text; each is put on one line."""


def make_run(name: str, length: Length, recording: Recording, judgement: Judgement) -> Run:
    """All numbers of a run.

    Args:
        name: The run's name, unique in the benchmark.
        length: The run's length.
        recording: What was observed.
        judgement: The evaluation of its masks.
    """
    timeline = Timeline.of(recording)
    use = measures.use_over_time(recording)
    stages, source = measures.stages(recording)
    return Run(
        name=name,
        loops=None if length.seconds is not None else length.loops,
        seconds=timeline.seconds,
        frames=measures.frames(recording),
        latency_ms=measures.spread(timeline.latency_ms),
        rates=measures.rates(recording, timeline),
        jitter_ms=measures.jitter(timeline.arrived),
        stages_ms=stages,
        stages_source=source,
        start=measures.start(recording),
        node_use=measures.node_use(recording),
        replayer_use=measures.replayer_use(recording),
        consistency=judgement.consistency,
        accuracy=judgement.accuracy,
        accuracy_missing=judgement.accuracy_missing,
        endurance=measures.endurance(timeline, [rss for _, _, rss in use if rss is not None]),
        mask_sha256={str(index): value for index, value in judgement.sha256.items()},
        mask_bag=f"masks/{recording.mask_bag.name}",
        ros2_benchmark=measures.ros2_benchmark_names(recording, timeline),
        latency_over_time=[
            (round(sent, 4), round(latency, 3))
            for sent, latency in zip(timeline.answered_sent.tolist(), timeline.latency_ms.tolist(), strict=True)
        ],
        use_over_time=use,
        node=dict(recording.status.values),
        node_says=recording.status.message,
    )


def describe_machine(middleware: str) -> Machine:
    """The machine; `middleware` is ROS's."""
    distribution = os.environ.get("ROS_DISTRO") or "distribution not named by the environment"
    return Machine(
        cpu=processor(),
        num_cores=len(os.sched_getaffinity(0)),
        system=platform.platform(),
        python=platform.python_version(),
        ros=f"{distribution}, {middleware}",
        load_average=round(os.getloadavg()[0], 2),
    )


def describe_model(recording: Recording) -> Model:
    """The model that the node reports."""
    values = recording.status.values
    return Model(*(values.get(name, "unknown") for name in ("model", "model_digest", "engine")))


def to_json(results: Results) -> bytes:
    """The results file; numbers that JSON does not have are null."""
    text = json.dumps(_plain(asdict(results)), indent=1, allow_nan=False)
    return to_utf8(_LIST_OF_NUMBERS.sub(lambda found: " ".join(found[0].split()), text))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
