"""Coordinate frames over time: where one frame was in another at a moment. Pure numpy; imports no ROS.

Frames form trees; each transform tells where a child frame is in its parent. Between two samples of a transform its
translation is interpolated on a line and its rotation on the shortest arc (Shoemake, "Animating rotation with
quaternion curves", 1985), as tf2 does it. Rotations are unit quaternions x, y, z, w; stamps are whole nanoseconds.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desert_seg.errors import DesertSegError

HISTORY_NS = 10 * 10**9
"""How far back moving transforms are kept, as in tf2."""

MAX_FRAMES = 1000
"""So many child frames are remembered, those that were heard of last."""

UNIT_TOLERANCE = 0.01
"""A quaternion whose length differs more from 1 is no rotation."""

NAMED_FRAMES = 12
"""So many frames are named to a person."""

Matrix = npt.NDArray[np.float64]


class TransformError(DesertSegError):
    """A transform is none, or there is no way from one frame to another at a moment."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a child frame is in its parent at a moment: metres, and a unit quaternion."""

    stamp_ns: int
    parent: str
    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]


class TransformBuffer:
    """The transforms of the last `HISTORY_NS`, and those that hold for ever."""

    def __init__(self) -> None:
        self._moving: dict[str, list[Sample]] = {}
        self._static: dict[str, list[Sample]] = {}

    def clear(self) -> None:
        """Forget what moves."""
        self._moving.clear()

    def frames(self) -> list[str]:
        """Names of all frames, sorted."""
        edges = [*self._moving.items(), *self._static.items()]
        return sorted({name for child, samples in edges for name in (child, samples[-1].parent)})

    def add(self, child: str, sample: Sample, *, is_static: bool = False) -> None:
        """Remember where a frame is in its parent.

        Args:
            child: Its name; a leading / is dropped, as in tf2.
            sample: Where it is; the rotation may be slightly off unit length.
            is_static: Whether that holds for ever. A moving transform of the same frame is preferred.

        Raises:
            TransformError: It is no transform.
        """
        child, sample = child.removeprefix("/"), _checked(child.removeprefix("/"), sample)
        edges = self._static if is_static else self._moving
        samples = edges.pop(child, [])
        edges[child] = samples  # now the last that was heard of
        if len(edges) > MAX_FRAMES:
            del edges[next(iter(edges))]
        if is_static or (samples and sample.stamp_ns < samples[-1].stamp_ns - HISTORY_NS):  # a bag that begins again
            samples.clear()
        place = bisect.bisect_left(samples, sample.stamp_ns, key=_stamp)
        same = place < len(samples) and samples[place].stamp_ns == sample.stamp_ns
        samples[place : place + same] = [sample]
        oldest = samples[-1].stamp_ns - HISTORY_NS
        if samples[0].stamp_ns < oldest:
            del samples[: bisect.bisect_left(samples, oldest, key=_stamp)]

    def lookup(self, target: str, source: str, stamp_ns: int, tolerance_ns: int = 0) -> Matrix:
        """Where a frame was.

        Args:
            target: Frame in which the answer is given.
            source: Frame that is asked for.
            stamp_ns: When.
            tolerance_ns: So far before its first sample and after its last one a transform is taken as in that.

        Returns:
            4x4 float64, coordinates in `source` to coordinates in `target`.

        Raises:
            TransformError: The transforms do not lead from one to the other at that moment.
        """
        target, source = target.removeprefix("/"), source.removeprefix("/")
        above_source, why_source = self._climb(source, target, stamp_ns, tolerance_ns)
        if target in above_source:
            return above_source[target]
        above_target, why_target = self._climb(target, "", stamp_ns, tolerance_ns)
        for frame, from_target in above_target.items():
            if frame in above_source:
                return inverse(from_target) @ above_source[frame]
        if {target, source} <= set(self.frames()) and (why := why_source or why_target):
            raise TransformError(why)
        raise TransformError(self._gap(target, source, [*above_source][-1]))

    def _climb(self, frame: str, stop: str, stamp_ns: int, tolerance_ns: int) -> tuple[dict[str, Matrix], str]:
        """Every frame above one, up to `stop`, with the matrix that leads there; and why it does not lead farther."""
        above = {frame: np.eye(4)}
        while frame != stop and (samples := self._moving.get(frame) or self._static.get(frame)):
            try:
                sample = samples[0] if frame not in self._moving else _at(frame, samples, stamp_ns, tolerance_ns)
            except TransformError as error:
                return above, str(error)
            if sample.parent in above:
                return above, f"transforms lead in a circle through {frame} and {sample.parent}; publish one of them"
            above[sample.parent] = matrix(sample.translation, sample.rotation) @ above[frame]
            frame = sample.parent
        return above, ""

    def _gap(self, target: str, source: str, top: str) -> str:
        known = self.frames()
        if not known:
            return f"no transforms have come, expected some from {source} to {target}; start what publishes /tf"
        listed = ", ".join(known[:NAMED_FRAMES]) + (", ..." if len(known) > NAMED_FRAMES else "")
        if source not in known:
            return f"no transform of frame {source!r} has come (known: {listed}); publish where it is on the robot"
        if target not in known:
            return f"no transform leads to {target!r} (known: {listed}); name one of these, or publish it"
        way = f"do not lead from {source}" if top == source else f"lead from {source} to {top} but not"
        return f"transforms {way} to {target} (known: {listed}); publish that of {top}"


def _stamp(sample: Sample) -> int:
    return sample.stamp_ns


def _checked(child: str, sample: Sample) -> Sample:
    """The sample with a rotation of unit length and a parent without the leading slash."""
    parent = sample.parent.removeprefix("/")
    if not child or not parent or child == parent:
        raise TransformError(
            f"found a transform of frame {child!r} in {parent!r}, expected two different names; correct its publisher"
        )
    length = math.hypot(*sample.rotation)
    if not all(map(math.isfinite, sample.translation)) or not abs(length - 1) <= UNIT_TOLERANCE:
        raise TransformError(
            f"the transform of {child} in {parent} has translation {sample.translation} and rotation "
            f"{sample.rotation}, expected finite numbers and a unit quaternion; correct its publisher"
        )
    x, y, z, w = sample.rotation
    return Sample(sample.stamp_ns, parent, sample.translation, (x / length, y / length, z / length, w / length))


def _at(child: str, samples: Sequence[Sample], stamp_ns: int, tolerance_ns: int) -> Sample:
    """A moving transform at a moment."""
    place = bisect.bisect_left(samples, stamp_ns, key=_stamp)
    if place < len(samples) and samples[place].stamp_ns == stamp_ns:
        return samples[place]
    if 0 < place < len(samples):
        return _between(samples[place - 1], samples[place], stamp_ns)
    nearest = samples[0] if place == 0 else samples[-1]
    if abs(nearest.stamp_ns - stamp_ns) <= tolerance_ns:
        return nearest
    first_s, last_s, asked_s = samples[0].stamp_ns * 1e-9, samples[-1].stamp_ns * 1e-9, stamp_ns * 1e-9
    raise TransformError(
        f"the transform of {child} in {nearest.parent} is known from {first_s:.3f} to {last_s:.3f} s, and asked for at "
        f"{asked_s:.3f} s; publish it more often or sooner, and with the same clock"
    )


def _between(before: Sample, after: Sample, stamp_ns: int) -> Sample:
    if before.parent != after.parent:  # moved to another branch meanwhile; tf2 keeps the earlier
        return before
    share = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
    x, y, z = ((1 - share) * a + share * b for a, b in zip(before.translation, after.translation, strict=True))
    return Sample(stamp_ns, before.parent, (x, y, z), slerp(before.rotation, after.rotation, share))


def slerp(before: Sequence[float], after: Sequence[float], share: float) -> tuple[float, float, float, float]:
    """The unit quaternion that is a share, 0 to 1, of the shortest arc from one to another."""
    cosine = sum(a * b for a, b in zip(before, after, strict=True))
    sign = math.copysign(1.0, cosine)  # q and -q are the same rotation
    angle = math.acos(min(abs(cosine), 1.0))
    if angle < 1e-6:  # as good as a line, and 0 / 0 on the arc
        weights = 1 - share, share
    else:
        weights = math.sin((1 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle)
    mixed = [weights[0] * a + sign * weights[1] * b for a, b in zip(before, after, strict=True)]
    length = math.hypot(*mixed)
    x, y, z, w = (value / length for value in mixed)
    return x, y, z, w


def matrix(translation: Sequence[float], rotation: Sequence[float]) -> Matrix:
    """4x4 float64 of metres and a unit quaternion."""
    x, y, z, w = rotation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), translation[0]],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), translation[1]],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), translation[2]],
            [0, 0, 0, 1],
        ],
        float,
    )


def inverse(transform: Matrix) -> Matrix:
    """The way back of a rotation and a translation, 4x4 float64."""
    back = np.eye(4)
    back[:3, :3] = transform[:3, :3].T
    back[:3, 3] = -transform[:3, :3].T @ transform[:3, 3]
    return back
