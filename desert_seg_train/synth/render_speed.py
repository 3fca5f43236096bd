"""How fast this machine renders frames, and where the time goes.

    python -m desert_seg_train.synth.render_speed --world mojave --frames 16

Times one process on one core, step by step, then the whole command with one process per core.
"""

from __future__ import annotations

import os
import platform
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from desert_seg.console import Console
from desert_seg.machine import processor
from desert_seg_train.synth.config import SynthConfig
from desert_seg_train.synth.dataset import render, write_frame
from desert_seg_train.synth.program import run_program
from desert_seg_train.synth.renderer import Renderer
from desert_seg_train.synth.shots import plan_stills, still_shots
from desert_seg_train.synth.worlds import load_world


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure the renderer.

    Attributes:
        world: A shipped world by name, or the path of a world's YAML file.
        frames: Frames to time in each of the two runs.
        seed: Seed of the scenes.
        width: Pixels.
        height: Pixels.
    """

    world: str = "mojave"
    frames: int = 16
    seed: int = 0
    width: int = 960
    height: int = 540


class Stopwatch:
    """Wall-clock seconds, and processor time, which other programs do not add to."""

    def __init__(self) -> None:
        self.wall_s, self.cpu_s = 0.0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time of a block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


def benchmark(config: BenchmarkConfig) -> None:
    """Time the steps, then the command; print a table."""
    os.environ["LP_NUM_THREADS"] = "0"  # before Mesa is loaded: one core
    steps = {"scene": Stopwatch(), "render": Stopwatch(), "encode": Stopwatch()}
    command = Stopwatch()
    num_triangles = 0
    with tempfile.TemporaryDirectory() as folder:
        out, size = Path(folder) / "set", (config.width, config.height)
        synth_config = SynthConfig(out, config.world, config.frames, config.seed, width=size[0], height=size[1])
        paths = [Path(folder) / "mask.png", Path(folder) / "image.jpg"]
        renderer = Renderer(*size)
        for take in plan_stills(synth_config, [load_world(config.world)]):
            with steps["scene"].running():
                scene = take.scene()
                renderer.load(scene)
            for shot in still_shots(take, scene):
                if not num_triangles:
                    renderer.render(scene, shot.pose)  # the first frame compiles the shaders
                with steps["render"].running():
                    frame = renderer.render(scene, shot.pose, shot.index)
                with steps["encode"].running():
                    write_frame(paths, frame)
                num_triangles += frame.num_triangles
        with command.running():
            render(synth_config)

    console, cores = Console(), len(os.sched_getaffinity(0))
    table = Table("step", "s per frame", "of it CPU", title=f"{config.world}, {size[0]}x{size[1]}, one core")
    for name, step in steps.items():
        table.add_row(name, f"{step.wall_s / config.frames:.3f}", f"{step.cpu_s / config.frames:.3f}")
    wall_s, cpu_s = (sum(times) for times in zip(*((step.wall_s, step.cpu_s) for step in steps.values()), strict=True))
    table.add_row("all", f"{wall_s / config.frames:.3f}", f"{cpu_s / config.frames:.3f}")
    console.print(table)
    console.print(f"{config.frames / wall_s:.2f} frames/s on one core")
    console.print(f"{config.frames / command.wall_s:.2f} frames/s with {cores} processes, their start included")
    console.print(f"{num_triangles / config.frames / 1e6:.2f} M triangles per frame")
    console.print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB per process")
    console.print(f"{processor()}, {platform.system()}; {renderer.description}")


if __name__ == "__main__":
    run_program(benchmark, BenchmarkConfig)
