"""Rounds of turns, and the figures from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from desert_seg.views import VIEW_SETS
from speed import names
from speed.contender import Contender, Lap, Laps
from speed.figures import Figure, ratio
from speed.live_node import LiveNode
from speed.ours import BARE, COLOR, WHOLE

AUTO, SCRIPT, NODE, OVERLOAD, TORCH = "auto", "straightforward", "node", "overload", "torch f32"
ALONE, CLIENT = "alone", "client"


ROUNDS_A_VALUE = 3
"""Number of rounds whose fastest frame is one value, because other load can only add time."""

Rounds = Mapping[tuple[str, str], Sequence[Sequence[Lap]]]
"""The laps of every round, by contender and task."""


def make_rounds(turns: Mapping[str, Callable[[], Laps]], num_rounds: int, advance: Callable[[], None]) -> Rounds:
    """Give every contender a turn in every round, in an order that rotates.

    Args:
        turns: Turns by contender.
        num_rounds: At least one.
        advance: Called after every round.
    """
    rounds: dict[tuple[str, str], list[list[Lap]]] = {}
    order = list(turns.items())
    for _, turn in order:
        turn()  # the first frames are slow everywhere
    for number in range(num_rounds):
        first = number % len(order)
        for name, turn in order[first:] + order[:first]:
            for task, laps in turn().items():
                rounds.setdefault((name, task), []).append(laps)
        advance()
    return rounds


def overload(contender: Contender, node: LiveNode, seconds: float) -> Laps:
    """Send the node twice the segmenter's own rate, which is measured before and after.

    Returns:
        Milliseconds per mask of both; and those that this process computes for it, on one core.
    """
    before = contender.run([WHOLE], 2, seconds / 2)[WHOLE]
    masks_hz, cores = node.overload(2e3 / min(lap.wall for lap in before), seconds)
    walls = [lap.wall for lap in (*before, *contender.run([WHOLE], 2, seconds / 2)[WHOLE])]
    laps = {NODE: 1e3 / masks_hz, ALONE: sum(walls) / len(walls), CLIENT: cores * 1e3 / masks_hz}
    return {task: [Lap(wall, 0.0)] for task, wall in laps.items()}


def figures_of(rounds: Rounds, engines: Sequence[str], view_pixels: Mapping[str, float]) -> Iterator[Figure]:
    """Figures for the table; what was not measured is left out.

    Args:
        rounds: All laps.
        engines: Names of the contenders that are ours, `AUTO` among them.
        view_pixels: Pixels of all views of a set relative to one view.
    """

    def walls(contender: str, task: str, of: Callable[[Lap], float] = lambda lap: lap.wall) -> list[float]:
        """The fastest frame of every `ROUNDS_A_VALUE` rounds, milliseconds; empty if there was no such contender."""
        fastest = [min(map(of, laps)) for laps in rounds.get((contender, task), ())]
        num_values = max(1, len(fastest) // ROUNDS_A_VALUE)
        return [min(part) for part in np.array_split(fastest, num_values)] if fastest else []

    bare, none = walls(AUTO, BARE), walls(AUTO, "none")
    if script := walls(SCRIPT, COLOR):
        for name in engines:
            yield ratio(names.SCRIPT, name, walls(name, COLOR), script)
        besides = (walls(name, COLOR, lambda lap: lap.wall - lap.network) for name in (AUTO, SCRIPT))
        yield ratio(names.SCRIPT, names.BESIDES, *besides)
    for name in engines:
        yield ratio(names.WHOLE, f"{name}, message to message", walls(name, WHOLE), walls(name, BARE))
    if node := walls(NODE, WHOLE):
        yield ratio(names.WHOLE, names.NODE, node, bare)
        yield ratio(
            names.WHOLE, "the same over the engine inside the node", node, walls(NODE, WHOLE, lambda lap: lap.network)
        )
    if torch := walls(TORCH, BARE):
        for name in engines:
            if name != TORCH:
                yield ratio(names.ENGINES, name, walls(name, BARE), torch)
    for name in VIEW_SETS:
        if name != "none":
            yield ratio(names.VIEWS, name, walls(AUTO, name), none)
            yield Figure(names.VIEWS, f"{name}: pixels", (view_pixels[name],), once=True)
    if masks := walls(OVERLOAD, NODE):
        yield ratio(names.OVERLOAD, names.THROUGHPUT, walls(OVERLOAD, ALONE), masks)
        all_cores = [each * (os.cpu_count() or 1) for each in masks]
        yield ratio(names.OVERLOAD, names.CLIENT, walls(OVERLOAD, CLIENT), all_cores)
    for what, values in (
        ("straightforward script", script),
        ("auto, bare engine", bare),
        ("auto, message to message", walls(AUTO, WHOLE)),
        ("node, DDS message to DDS message", node),
    ):
        if values:
            yield Figure(names.MACHINE, what, tuple(values), "ms")
