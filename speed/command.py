"""The sequence of a benchmark: frames, contenders, rounds, the node at its rates, the table."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from desert_seg.artifact import ModelCard, load_artifact
from desert_seg.console import Console, Progress
from desert_seg.engines.engine import ENGINES, PRECISIONS
from desert_seg.errors import DataError, DesertSegError, EngineError
from desert_seg.recordings.bag import serialize
from desert_seg.recordings.drive import open_drive
from desert_seg.share import share_directory
from desert_seg.views import VIEW_SETS
from desert_seg_ros.environment import require_ros, use_dds_profile
from speed import footprint, names, node_runs, ours, rounds, traffic
from speed.bars import bars_for
from speed.contender import Contender, Laps
from speed.figures import Figure
from speed.live_node import LiveNode
from speed.options import BenchOptions
from speed.report import machine, write_report

NUM_FRAMES = 8
"""Number of frames that contenders process, evenly spread over the drive."""


class Frames(NamedTuple):
    """As arrays, HxWx3 uint8 RGB, and as sensor_msgs/Image in CDR."""

    rgb: list[npt.NDArray[np.uint8]]
    images: list[bytes]


def run(options: BenchOptions) -> list[Figure]:
    """Measure everything; print the table and write it, with bench.json.

    Raises:
        DesertSegError: The drive or the model cannot be used, or the node failed.
    """
    about, console = machine(), Console(record=True)
    frames = _frames(options.drive)
    artifact = _reference(options, frames) if options.reference else options.model
    card = load_artifact(artifact).card
    not_run: dict[str, str] = {}
    with_node = options.node and _has_ros(not_run)
    with ExitStack() as stack:
        contenders = _started(options, artifact, frames, stack, not_run)
        engine = contenders[rounds.AUTO].facts.engine
        turns: dict[str, Callable[[], Laps]] = {
            name: partial(contender.run, _tasks(name), options.frames) for name, contender in contenders.items()
        }
        if with_node:
            node = stack.enter_context(LiveNode(artifact, frames.images, options.device, options.out / "node.log"))
            turns[rounds.NODE] = partial(node.run, options.frames)
            turns[rounds.OVERLOAD] = partial(rounds.overload, contenders[rounds.AUTO], node, options.seconds / 5)
        agreement = [] if options.reference else list(_agreement(contenders))
        with Progress(console=console, refresh_per_second=1, transient=True) as progress:
            task = progress.add_task("rounds", total=options.rounds)
            measured = rounds.make_rounds(turns, options.rounds, lambda: progress.advance(task))
    engines = [name for name in contenders if name != rounds.SCRIPT]
    figures = [
        *rounds.figures_of(measured, engines, {name: _pixels(name, card) for name in VIEW_SETS}),
        *agreement,
        *(_at_rates(options, artifact, engine) if with_node else ()),
        *_loading(contenders),
        *footprint.figures_of(),
        *traffic.figures_of(len(card.label_map.labels), card.input_size, frames.rgb[0].shape[:2]),
    ]
    bars = bars_for(card, engine, options.reference)
    figures = [replace(figure, bar=bars.get((figure.section, figure.name))) for figure in figures]
    facts = {
        "model": f"{card.name}, network {_size(card.input_size)}, camera {_size(frames.rgb[0].shape)}",
        "command": shlex.join(["python", "-m", "speed", *sys.argv[1:]]),
        "machine": about,
        "engines": {name: contender.facts.engine for name, contender in contenders.items()},
        "not_run": not_run,
    }
    write_report(options.out, figures, facts, console)
    return figures


def _frames(path: Path) -> Frames:
    drive = open_drive(path)
    wanted = set(np.linspace(0, drive.num_frames - 1, NUM_FRAMES).astype(int))
    frames = [frame.as_raw() for number, frame in enumerate(drive.frames()) if number in wanted]
    if not frames:
        raise DataError(f"{path}: holds no frames; give a bag or a folder of images")
    return Frames([frame.rgb() for frame in frames], [serialize(frame.image) for frame in frames])


def _reference(options: BenchOptions, frames: Frames) -> Path:
    from speed.reference import make_reference

    path = options.out / "reference"
    make_reference(path, frames.rgb, options.int8, with_graph=options.int8 or options.device != "cuda")
    return path


def _has_ros(not_run: dict[str, str]) -> bool:
    try:
        require_ros()
    except DesertSegError as error:
        not_run[rounds.NODE] = str(error)
        return False
    use_dds_profile(share_directory() / "config" / "fastdds_shm.xml")
    return True


def _started(
    options: BenchOptions, artifact: Path, frames: Frames, stack: ExitStack, not_run: dict[str, str]
) -> dict[str, Contender]:
    """Contenders by name, `AUTO` first; those unavailable here go into `not_run`, but `AUTO` is required."""
    pairs = [(rounds.AUTO, "auto", "auto")]
    if not options.quick:
        pairs += [
            (f"{engine} {precision}", engine, precision) for engine, precision in product(ENGINES[1:], PRECISIONS[1:])
        ]
    programs: list[tuple[str, str, tuple[Any, ...]]] = [
        (name, "speed.ours", (frames.rgb, artifact, engine, precision, options.device))
        for name, engine, precision in pairs
    ]
    programs.append((rounds.SCRIPT, "speed.straightforward", (frames.rgb, artifact, options.device)))
    contenders = {}
    for name, module, arguments in programs:
        contender = Contender(name, module, arguments, options.out / "logs" / f"{name.replace(' ', '_')}.log")
        try:
            contenders[name] = stack.enter_context(contender)
        except EngineError as error:
            if name == rounds.AUTO:
                raise
            not_run[name] = str(error)
    return contenders


def _tasks(name: str) -> tuple[str, ...]:
    if name == rounds.SCRIPT:
        return (ours.COLOR,)
    return (ours.BARE, ours.WHOLE, ours.COLOR, *(VIEW_SETS if name == rounds.AUTO else ()))


def _pixels(views: str, card: ModelCard) -> float:
    """Network input pixels of these views relative to a single view."""
    black = np.zeros((*card.input_size, 3), np.uint8)
    return sum(view.apply(black).size for view in VIEW_SETS[views]) / black.size


def _agreement(contenders: Mapping[str, Contender]) -> Iterator[Figure]:
    """Percentage of pixels with the same class as in float32."""
    if rounds.TORCH not in contenders:
        return
    truth = contenders[rounds.TORCH].masks()
    for name, contender in contenders.items():
        if name not in (rounds.TORCH, rounds.SCRIPT):
            share = float((contender.masks() == truth).mean())
            yield Figure(names.AGREEMENT, name, (100 * share,), "%", once=True)


def _at_rates(options: BenchOptions, artifact: Path, engine: str) -> Iterator[Figure]:
    rates = sorted(options.rates)
    runs = node_runs.run_at_rates(artifact, options.drive, rates, options.seconds, options.device, options.out / "node")
    yield from node_runs.figures_of(runs, engine.split()[0])


def _loading(contenders: Mapping[str, Contender]) -> Iterator[Figure]:
    for name in (rounds.AUTO, rounds.SCRIPT):
        if name in contenders:
            contender = contenders[name]
            yield Figure(names.LOADING, f"{name}: process to first mask", (contender.start_s,), "s", once=True)
            yield Figure(names.LOADING, f"{name}: of that, the model", (contender.facts.load_s,), "s", once=True)
            yield Figure(names.LOADING, f"{name}: memory then", (contender.facts.rss_mb,), "MB", once=True)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
