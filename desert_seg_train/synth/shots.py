"""Plans the frames: unordered ones, a few from every scene, or a drive along one track.

A frame depends only on the plan, not on the process that renders it or on other frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from desert_seg.errors import DataError
from desert_seg_train.synth.camera import Stance, vehicle_pose
from desert_seg_train.synth.config import SynthConfig
from desert_seg_train.synth.noise import Floats
from desert_seg_train.synth.scene import TRACK_M, Scene
from desert_seg_train.synth.worlds import World

FRAMES_PER_SCENE = 6
SPEED_MPS = 4.0
_MAX_DRIVE_S = 75.0
_START_M = 4.0
_STILL_LEFT_M = 6.0
_WEAVE = np.array([0.25, 0.03, 0.006, 0.005])
"""Deviations of a drive: metres to the side, radians of yaw, pitch and roll."""

_WEAVE_HZ = np.array([0.11, 0.13, 1.7, 1.3])


@dataclass(frozen=True)
class Shot:
    """One frame: its number in the set, its time from the start in seconds, and the 4x4 pose, camera to world."""

    index: int
    stamp_s: float
    pose: Floats


@dataclass(frozen=True)
class Take:
    """Frames of one scene that one process renders in a row.

    Attributes:
        world: World of the scene.
        scene_seed: Seed of the scene.
        length_m: Length of its track.
        first: Number of the first frame.
        count: How many frames.
    """

    world: World
    scene_seed: int
    length_m: float
    first: int
    count: int

    def scene(self) -> Scene:
        """Place everything; takes a second."""
        return Scene(self.world, self.scene_seed, self.length_m)


def plan_stills(config: SynthConfig, worlds: list[World]) -> list[Take]:
    """Takes of unordered frames; `worlds` has the world of every scene in turn, repeated cyclically."""
    return [
        Take(
            worlds[scene % len(worlds)],
            config.seed * 10007 + scene,
            TRACK_M,
            scene * FRAMES_PER_SCENE,
            min(FRAMES_PER_SCENE, config.frames - scene * FRAMES_PER_SCENE),
        )
        for scene in range(num_scenes(config))
    ]


def plan_drive(config: SynthConfig, world: World) -> list[Take]:
    """Takes of one drive.

    Raises:
        DataError: It is longer than a scene can be.
    """
    if config.seconds > _MAX_DRIVE_S:
        raise DataError(
            f"found a drive of {config.seconds} s, expected at most {_MAX_DRIVE_S} s; "
            "render several drives with different seeds"
        )
    count = num_frames(config)
    length = max(TRACK_M, _START_M + SPEED_MPS * config.seconds + 36)
    starts = range(0, count, FRAMES_PER_SCENE)
    seed = config.seed * 10007
    return [Take(world, seed, length, first, min(FRAMES_PER_SCENE, count - first)) for first in starts]


def num_frames(config: SynthConfig) -> int:
    """Number of frames of the set."""
    return round(config.hz * config.seconds) if config.drive else config.frames


def num_scenes(config: SynthConfig) -> int:
    """Number of scenes of the set."""
    return 1 if config.drive else -(-config.frames // FRAMES_PER_SCENE)


def still_shots(take: Take, scene: Scene) -> list[Shot]:
    """Random free places near the track, looking roughly along it."""
    generator = np.random.default_rng([take.scene_seed, 3])
    rig = take.world.camera
    shots = []
    for index in range(take.first, take.first + take.count):
        while True:
            along, left = generator.uniform(2, take.length_m - 20), generator.uniform(-_STILL_LEFT_M, _STILL_LEFT_M)
            if scene.is_free(along, float(scene.terrain.track_y(along)) + left):
                break
        stance = Stance(
            along,
            left,
            yaw=generator.normal(0, 0.5),
            pitch=np.radians(generator.uniform(*rig.pitch_deg)),
            roll=generator.normal(0, 0.02),
            height_m=generator.uniform(*rig.height_m),
        )
        shots.append(Shot(index, float(index), vehicle_pose(scene.terrain, stance)))
    return shots


def drive_shots(take: Take, scene: Scene, hz: float) -> list[Shot]:
    """Along the track at 4 m/s, with gentle weaving and shaking."""
    phase = np.random.default_rng([take.scene_seed, 4]).uniform(0, 2 * np.pi, 4)
    rig = take.world.camera
    shots = []
    for index in range(take.first, take.first + take.count):
        stamp = index / hz
        left, yaw, pitch, roll = _WEAVE * np.sin(2 * np.pi * _WEAVE_HZ * stamp + phase)
        middle = np.radians(sum(rig.pitch_deg) / 2)
        height = sum(rig.height_m) / 2
        stance = Stance(_START_M + SPEED_MPS * stamp, left, yaw, pitch + middle, roll, height)
        shots.append(Shot(index, stamp, vehicle_pose(scene.terrain, stance)))
    return shots
