"""Write the results into docs/domain-gap.md, between its markers: `python -m experiments.table [RESULTS]`.

Held-out numbers are over all scenes, each tested with the model that never saw it. Intervals are from a paired
bootstrap over frames, for the difference to a baseline with the same seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.files import write_text
from desert_seg.labels import load_label_map
from desert_seg.scoring import class_iou, mean_iou
from desert_seg_train.evaluate.comparison import Interval, compare
from experiments.counts import read_counts
from experiments.protocol import FOLDS, HERE, READINGS, SHIFTS, YCOR, read_arms

BASELINES = ("reference", "tuned")
PAGE = HERE.parent / "docs" / "domain-gap.md"
BEGIN, END = "<!-- results: python -m experiments.table -->", "<!-- end of results -->"
ROCKS = load_label_map("falcon7").labels.index("Rocks")
HELD_OUT = tuple(scene for scenes in FOLDS.values() for scene in scenes)


@dataclass(frozen=True)
class Judged:
    """One arm with one or several seeds.

    Attributes:
        name: Name of the arm, followed by `@views` for a way of testing.
        seeds: Seeds of the trainings.
        sets: Test set -> counts of all seeds, and of both folds where both were tested on it.
    """

    name: str
    seeds: tuple[int, ...]
    sets: dict[str, npt.NDArray[np.int64]]

    def matrices(self, names: Iterable[str], reading: int) -> npt.NDArray[np.int64]:
        """NxKx(K+1) of these test sets; Nx0x0 where they were not tested."""
        return np.concatenate([self.sets[name][:, reading] for name in names])

    def has(self, names: Iterable[str]) -> bool:
        """Whether all these test sets were tested."""
        return all(name in self.sets for name in names)


def main() -> None:
    """See the module."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results"
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    write_text(PAGE, f"{head}{BEGIN}\n\n{tables(results)}\n{END}{tail}")
    print(f"wrote {PAGE}")


def tables(results: Path) -> str:
    """All tables in Markdown."""
    arms = read_arms()
    paths = [path for path in results.glob("*.npz") if _views(path) != f"@{YCOR}"]
    known = sorted({path.stem.split("-")[0] + _views(path) for path in paths})
    order = sorted(known, key=lambda name: (list(arms).index(name.split("@")[0]), name))
    seeds = {name: _seeds(results, name) for name in order}
    judged = {name: load(results, name, seeds[name]) for name in order if seeds[name]}
    lines = [
        "| arm | what | seeds | mIoU, held-out scenes | over reference (95 %) | over tuned (95 %) | Rocks "
        "| mIoU, stones are rocks | Rocks, likewise | mIoU, val | YCOR, taught 80 steps |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, arm in judged.items():
        baselines = [load(results, baseline, arm.seeds) for baseline in BASELINES]
        row = _held_out_row(name, arm, baselines, arms[name.split("@")[0]].about)
        lines.append(f"{row} {_cell(load(results, f'{name}@{YCOR}', arm.seeds), YCOR, 0)} |")
    lines += [
        "",
        "Transfer to rendered deserts (stones are rocks; mIoU / Rocks), and each held-out scene (falcon7):",
        "",
        f"| arm | {' | '.join(SHIFTS)} | {' | '.join(HELD_OUT)} |",
        f"|---|{'---|' * (len(SHIFTS) + len(HELD_OUT))}",
    ]
    for name, arm in judged.items():
        cells = [_cell(arm, shift, READINGS.index("falcon7_stones"), rocks=True) for shift in SHIFTS]
        lines.append(f"| {name} | {' | '.join([*cells, *(_cell(arm, scene, 0) for scene in HELD_OUT)])} |")
    return "\n".join(lines) + "\n"


def load(results: Path, name: str, seeds: Sequence[int]) -> Judged:
    """Add up both folds and the given seeds, as far as they exist."""
    arm, _, views = name.partition("@")
    sets: dict[str, npt.NDArray[np.int64]] = {}
    for seed in seeds:
        for fold in FOLDS:
            path = _path(results, arm, fold, seed, views)
            for test_set, counts in (read_counts(path) if path.exists() else {}).items():
                sets[test_set] = counts.matrices + sets.get(test_set, 0)
    return Judged(name, tuple(seeds), sets)


def _held_out_row(name: str, arm: Judged, baselines: Sequence[Judged], about: str) -> str:
    own = arm.matrices(HELD_OUT, 0)
    merged = arm.matrices(HELD_OUT, 1).sum(0)
    gains = [
        "" if name == baseline.name else _interval(compare(own, baseline.matrices(HELD_OUT, 0), _generator()).miou)
        for baseline in baselines
    ]
    return (
        f"| {name} | {about} | {len(arm.seeds)} | {mean_iou(own.sum(0)):.3f} | {' | '.join(gains)} | "
        f"{class_iou(own.sum(0))[ROCKS]:.3f} | {mean_iou(merged):.3f} | {class_iou(merged)[ROCKS]:.3f} | "
        f"{_cell(arm, 'val', 0)} |"
    )


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _cell(arm: Judged, test_set: str, reading: int, rocks: bool = False) -> str:
    if test_set not in arm.sets:
        return ""
    total = arm.sets[test_set][:, reading].sum(0)
    return f"{mean_iou(total):.3f}" + (f" / {class_iou(total)[ROCKS]:.3f}" if rocks else "")


def _interval(found: Interval) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _views(path: Path) -> str:
    return "@" + path.stem.split("@")[1] if "@" in path.stem else ""


def _path(results: Path, arm: str, fold: str, seed: int, views: str) -> Path:
    return results / f"{arm}-{fold}-{seed}{'@' + views if views else ''}.npz"


def _seeds(results: Path, name: str) -> tuple[int, ...]:
    """Seeds for which both folds of an arm, and of the baselines, exist."""
    arm, _, views = name.partition("@")
    wanted = [(arm, views), *((baseline, "") for baseline in BASELINES)]
    return tuple(
        seed
        for seed in range(10)
        if all(_path(results, each, fold, seed, view).exists() for each, view in wanted for fold in FOLDS)
    )


if __name__ == "__main__":
    main()
