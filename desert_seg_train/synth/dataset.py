"""Writes a rendered set in the reference's folder layout, with several processes, and resumes where it stopped.

    OUT/Color_Images/NAME.jpg    the frames
    OUT/Segmentation/NAME.png    their masks: uint16, the ten raw values
    OUT/depth/NAME.png           on request: uint16 millimetres along the optical axis, 0 = sky or beyond 65.5 m
    OUT/camera.json              intrinsics, and the pose of every frame (4x4, camera to world, optical frame)
    OUT/world.yaml               the world, and in its first line the command that makes the same bytes again

A frame depends only on the recipe and its number, not on the number of processes or what was rendered before. Knows
nothing of how a frame is drawn.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.console import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from desert_seg.errors import DataError
from desert_seg.files import write_text
from desert_seg.images import write_image
from desert_seg.parent import end_with_parent
from desert_seg_train.synth.camera import Camera
from desert_seg_train.synth.config import SynthConfig
from desert_seg_train.synth.randomise import draw_world
from desert_seg_train.synth.renderer import Frame, Renderer
from desert_seg_train.synth.scene import Scene
from desert_seg_train.synth.shots import (
    Take,
    drive_shots,
    num_frames,
    num_scenes,
    plan_drive,
    plan_stills,
    still_shots,
)
from desert_seg_train.synth.worlds import LABELS, World, dump_world, load_world
from desert_seg_train.written import refuse_foreign

_SIDES = range(32, 4097)
_DEEPEST_M = 65.535
_ENTRIES = ("Color_Images", "Segmentation", "depth", "camera.json", "world.yaml")


@dataclass(frozen=True)
class Rendered:
    """A rendered set: its folder, its number of frames, and how many of them existed already."""

    folder: Path
    num_frames: int
    num_there: int


@dataclass(frozen=True)
class _Job:
    """A unit of work for one process."""

    config: SynthConfig
    name: str
    take: Take


def render(config: SynthConfig) -> Rendered:
    """Render the frames of the set that are missing.

    Raises:
        DataError: The world or an option is invalid, or the folder holds something else.
        DesertSegError: The machine has no OpenGL.
    """
    _check(config)
    world = load_world(config.world)
    takes = plan_drive(config, world) if config.drive else plan_stills(config, _worlds(config, world))
    jobs = [_Job(config, world.name, take) for take in takes]
    _claim(config.out, _recipe(config, world))
    camera_path, total = config.out / "camera.json", num_frames(config)
    missing = [i for i in range(total) if not all(path.is_file() for path in _paths(config, world.name, i))]
    if camera_path.is_file() and not missing:
        return Rendered(config.out, total, total)
    frames: list[dict[str, Any]] = []
    num_there = 0
    with _progress() as progress:
        task = progress.add_task(f"{world.name} -> {config.out}", total=total)
        for done, there in _run(jobs, config.processes):
            frames += done
            num_there += there
            progress.advance(task, len(done))
    camera = Camera(config.width, config.height, world.camera.fov_deg)
    content = {
        "width": config.width,
        "height": config.height,
        "K": camera.matrix().tolist(),
        "distortion": [0.0] * 5,
        "frames": sorted(frames, key=lambda frame: str(frame["file"])),
    }
    write_text(camera_path, json.dumps(content, indent=1))
    return Rendered(config.out, len(frames), num_there)


def raw_mask(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """Class indices to the raw values of masks, HxW."""
    values = np.zeros(len(LABELS.labels), np.uint16)
    for value, index in LABELS.values.items():
        values[index] = value
    return values[labels]


def _check(config: SynthConfig) -> None:
    if config.width not in _SIDES or config.height not in _SIDES:
        raise DataError(f"found a size of {config.width}x{config.height}, expected 32 to 4096 pixels a side")
    if config.frames < 1 or config.processes < 0 or config.seed < 0:
        raise DataError(
            f"found {config.frames} frames, {config.processes} processes and seed {config.seed}; "
            "expected at least 1 frame and no negative number"
        )
    if config.drive and not (config.hz > 0 and config.seconds > 0 and num_frames(config) >= 1):
        raise DataError(f"found a drive of {config.seconds} s at {config.hz} Hz, expected both above 0")
    if config.drive and config.randomise:
        raise DataError("a drive has one world; leave out --drive or --randomise")


def _worlds(config: SynthConfig, world: World) -> list[World]:
    if not config.randomise:
        return [world]
    return [draw_world(world, np.random.default_rng([config.seed, 5, i])) for i in range(num_scenes(config))]


def _recipe(config: SynthConfig, world: World) -> str:
    """Content of world.yaml."""
    options = [f"--seed {config.seed} --width {config.width} --height {config.height}"]
    options.append(
        f"--drive --hz {config.hz} --seconds {config.seconds}" if config.drive else f"--frames {config.frames}"
    )
    options.append(f"--image-format {config.image_format}")
    options += ["--randomise"] * config.randomise + ["--depth"] * config.depth
    return f"# desert-seg synth --world THIS_FILE {' '.join(options)} --out FOLDER\n{dump_world(world)}"


def _claim(out: Path, recipe: str) -> None:
    """Write world.yaml, or check that the folder was begun with the same."""
    path = out / "world.yaml"
    if path.is_file() and path.read_text(encoding="utf-8") != recipe:
        raise DataError(f"{path}: this folder was begun with other options; give another one, or delete this")
    refuse_foreign(out, () if path.is_file() else _ENTRIES, (), "--out")
    write_text(path, recipe)


def _paths(config: SynthConfig, name: str, index: int) -> list[Path]:
    """Files of a frame in the order they are written: the image comes last."""
    stem = f"{name}_{index:05d}"
    depth = [config.out / "depth" / f"{stem}.png"] if config.depth else []
    image = config.out / "Color_Images" / f"{stem}.{config.image_format}"
    return [*depth, config.out / "Segmentation" / f"{stem}.png", image]


def _run(jobs: list[_Job], processes: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
    count = min(processes or len(os.sched_getaffinity(0)), len(jobs))
    if count == 1:
        yield from map(_render, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _prepare_process, (os.getpid(),)) as pool:
        futures = [pool.submit(_render, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare_process(parent: int) -> None:
    """Have a rendering process end with the command, and keep Mesa from starting a thread for every core in each."""
    end_with_parent(parent, signal.SIGKILL)
    os.environ["LP_NUM_THREADS"] = "0"


def _render(job: _Job) -> tuple[list[dict[str, Any]], int]:
    """Render the missing frames of a take; describe all its frames, and count those that existed."""
    config, take = job.config, job.take
    scene = _scene(take.world, take.scene_seed, take.length_m)
    described, num_there = [], 0
    for shot in drive_shots(take, scene, config.hz) if config.drive else still_shots(take, scene):
        paths = _paths(config, job.name, shot.index)
        if all(path.is_file() for path in paths):
            num_there += 1
        else:
            frame = _renderer(config.width, config.height).render(scene, shot.pose, shot.index)
            write_frame(paths, frame)
        described.append(
            {
                "file": paths[-1].name,
                "stamp": shot.stamp_s,
                "desert": take.world.name,
                "world_seed": take.scene_seed,
                "sun": scene.sun.tolist(),
                "T_world_camera": shot.pose.tolist(),
            }
        )
    return described, num_there


def write_frame(paths: list[Path], frame: Frame) -> None:
    """Write depth (if there are three paths), mask and image of a frame, each completely or not at all."""
    if len(paths) == 3:
        millimetres = np.where(frame.depth < _DEEPEST_M, np.rint(frame.depth * 1000), 0)
        write_image(paths[0], millimetres.astype(np.uint16))
    write_image(paths[-2], raw_mask(frame.labels))
    write_image(paths[-1], frame.image)


@lru_cache(maxsize=1)
def _scene(world: World, seed: int, length_m: float) -> Scene:
    return Scene(world, seed, length_m)


@lru_cache(maxsize=1)
def _renderer(width: int, height: int) -> Renderer:
    return Renderer(width, height)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn()
    )
