"""`desert-seg profile`: where the time of a frame goes, by camera size, on every engine of this machine.

The stages are timed within each frame, so their shares hold on a busy machine, too; times are medians.

Shape letters: H, W frame size.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from desert_seg.artifact import Artifact, load_artifact
from desert_seg.console import Console, Progress
from desert_seg.engines.choice import create_engine
from desert_seg.errors import DesertSegError, EngineError
from desert_seg.files import write_text
from desert_seg.machine import processor
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.views import view_set
from desert_seg_train.profile.config import ProfileConfig
from desert_seg_train.profile.runners import Runner, runners
from desert_seg_train.profile.stages import Stages, rgb_message, time_frame

STAGES = tuple(field.name for field in fields(Stages))
COLUMNS = STAGES[:-1]
"""The stages in the table: all but the rest, which is negligible."""

_COLORS = dict(zip(STAGES, ("cyan", "blue", "green", "magenta", "yellow", "red", "bright_black"), strict=True))
_BAR = 10
_NUM_WARM = 2
_SIZE = re.compile(r"(\d+)x(\d+)")


@dataclass(frozen=True)
class Profile:
    """One engine at one camera size.

    Attributes:
        engine: Its description.
        runner: Engine and precision.
        size: (H, W) of the camera's frames.
        stages_ms: Median by stage; publish is 0 where there is no ROS.
        total_ms: Median of the whole frame.
        engine_share: Median share of the engine in a frame, 0..1.
        overhead: Median of the whole frame over the engine in it; 1 = the engine alone.
    """

    engine: str
    runner: str
    size: tuple[int, int]
    stages_ms: Mapping[str, float]
    total_ms: float
    engine_share: float
    overhead: float

    @classmethod
    def of(cls, engine: str, runner: Runner, size: tuple[int, int], frames: Sequence[Stages]) -> Profile:
        """Summarise at least one frame."""
        return cls(
            engine,
            runner.name,
            size,
            {name: median(getattr(frame, name) for frame in frames) for name in STAGES},
            median(frame.total for frame in frames),
            median(frame.engine / frame.total for frame in frames),
            median(frame.total / frame.engine for frame in frames),
        )


def profile(config: ProfileConfig) -> None:
    """Time frames; print bars and write profile.json.

    Raises:
        ArtifactError: The artifact is missing or damaged.
        DesertSegError: A setting is invalid, or no engine runs the artifact.
    """
    console = Console()
    sizes = [_size(text) for text in config.sizes]
    if config.frames < 1 or not sizes:
        raise DesertSegError(f"found {config.frames} frames of {len(sizes)} sizes, expected at least one of each")
    view_set(config.views)
    artifact, pairs = load_artifact(config.model), list(runners(config.engines))
    profiles: list[Profile] = []
    not_run: dict[str, str] = {}
    with Progress(console=console, transient=True) as progress:
        publish_ms = _publish_ms(sizes, not_run)
        task = progress.add_task("", total=len(pairs) * len(sizes))
        for runner in pairs:
            progress.update(task, description=runner.name)
            try:
                profiles += _profiles(artifact, runner, sizes, config, publish_ms)
            except EngineError as error:
                not_run[runner.name] = str(error)
            progress.advance(task, len(sizes))
    if not profiles:
        raise DesertSegError(f"no engine runs {config.model}: {'; '.join(not_run.values()) or 'none is installed'}")
    path = config.out / "profile.json"
    content = {
        "machine": processor(),
        "model": {"name": artifact.card.name, "digest": artifact.digest, "input_size": artifact.card.input_size},
        "speed": config.speed,
        "views": config.views,
        "frames": config.frames,
        "profiles": [asdict(each) for each in profiles],
        "not_run": not_run,
    }
    write_text(path, json.dumps(content, indent=2) + "\n")
    _print_table(console, artifact, profiles, not_run, path)


def test_picture(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """HxWx3 uint8 RGB without edges sharper than a camera's; always the same."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _publish_ms(sizes: Sequence[tuple[int, int]], not_run: dict[str, str]) -> list[float]:
    """Milliseconds to publish a mask of each size, measured by desert_seg_ros; 0 where it cannot."""
    command = [sys.executable, "-m", "desert_seg_ros.publish_time", *(f"{width}x{height}" for height, width in sizes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        not_run["publish"] = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ")
        return [0.0] * len(sizes)
    return [float(milliseconds) for milliseconds in json.loads(done.stdout)]


def _profiles(
    artifact: Artifact,
    runner: Runner,
    sizes: Sequence[tuple[int, int]],
    config: ProfileConfig,
    publish_ms: Sequence[float],
) -> list[Profile]:
    engine = create_engine(artifact, runner.engine, "auto", runner.precision, config.threads)
    segmenter = Segmenter(engine, artifact.card, artifact.digest)
    options = SegmentOptions(views=config.views, scale=artifact.card.speeds[config.speed])
    messages = [rgb_message(test_picture(size)) for size in sizes]
    for _ in range(_NUM_WARM):
        for message in messages:
            time_frame(segmenter, message, options)
    # The sizes alternate, so that other load on the machine affects them all.
    rounds = [
        [time_frame(segmenter, message, options, taken) for message, taken in zip(messages, publish_ms, strict=True)]
        for _ in range(config.frames)
    ]
    columns = zip(sizes, zip(*rounds, strict=True), strict=True)
    return [Profile.of(engine.description, runner, size, frames) for size, frames in columns]


def _print_table(
    console: Console, artifact: Artifact, profiles: Sequence[Profile], not_run: Mapping[str, str], path: Path
) -> None:
    height, width = artifact.card.input_size
    table = Table(box=None, padding=(0, 1, 0, 0), title=f"{artifact.card.name}, network input {width}x{height}")
    table.title_justify = "left"
    table.add_column("camera", no_wrap=True)
    table.add_column("a frame", min_width=_BAR, no_wrap=True)
    for stage in COLUMNS:
        table.add_column(Text(stage, style=_COLORS[stage]), justify="right", no_wrap=True)
    table.add_column("/engine", justify="right", no_wrap=True)
    for number, each in enumerate(profiles):
        if number == 0 or profiles[number - 1].runner != each.runner:
            table.add_row(Text(each.runner, style="bold"))
        cells = (_cell(each.stages_ms[stage]) for stage in COLUMNS)
        table.add_row(f"{each.size[1]}x{each.size[0]}", stage_bar(each.stages_ms), *cells, f"{each.overhead:.3f}")
    console.print(table)
    console.print("medians in milliseconds; /engine: the whole frame over the engine in it")
    console.print(f"on {processor()}")
    for name, reason in not_run.items():
        console.print(f"not run: {name}: {reason.split(';')[0]}")
    console.print(f"wrote {path}")


def _cell(milliseconds: float) -> str:
    return f"{milliseconds:.{1 if milliseconds >= 10 else 2}f}" if milliseconds else "-"


def stage_bar(stages_ms: Mapping[str, float]) -> Text:
    """The stages of a frame side by side, `_BAR` characters long; each as long as its share."""
    total, bar, ended, drawn = sum(stages_ms.values()), Text(), 0.0, 0
    for name, value in stages_ms.items():
        ended += value
        upto = round(_BAR * ended / total)
        bar.append("█" * (upto - drawn), style=_COLORS[name])
        drawn = upto
    return bar


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if found is None or not all(0 < int(side) <= 16384 for side in found.groups()):
        raise DesertSegError(f"found size {text!r}, expected WIDTHxHEIGHT such as 960x540")
    return int(found[2]), int(found[1])
