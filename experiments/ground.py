"""How far ~/obstacles is from the truth, on rendered drives whose depth is known.

    desert-seg synth --world mojave --drive --depth --hz 2 --seconds 15 --seed 77 --out out/drive
    python -m experiments.ground --drives out/drive

Masks are the true ones, so every error is the geometry's: of the ground that is not flat, and of obstacles whose foot
is hidden or hangs in the air. For every second column of an image the nearest lethal pixel by depth is compared with
the nearest point of the cloud, with the attitude of `camera_pose` and with that of a camera held rigidly over a level
ground (`camera_pitch_deg`); distances are along the ground.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tyro
from rich.table import Table

from desert_seg.console import Console
from desert_seg.ground import GroundCamera, Lens, obstacle_points, pitched_down
from desert_seg.images import read_mask
from desert_seg.labels import load_label_map
from desert_seg.traversability import LETHAL, CostPainter, class_costs
from desert_seg_train.folder import SegmentationFolder
from desert_seg_train.synth.worlds import load_world

Floats = npt.NDArray[np.float64]
BANDS_M = (0.0, 4.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        drives: Folders of rendered drives with depth.
        label_map: Of their masks; the shipped policy says which classes are lethal.
        range_m: As `obstacles_range_m`.
    """

    drives: tuple[Path, ...]
    label_map: str = "falcon7_stones"
    range_m: float = 10.0


def main() -> None:
    """See the module."""
    options = tyro.cli(Options, description=__doc__)
    for drive in options.drives:
        Console().print(table(drive, options))


def table(drive: Path, options: Options) -> Table:
    """Errors by the true distance of the nearest obstacle in a column."""
    rows = Table(title=f"{drive}: error of the distance to the nearest obstacle of a column")
    for heading in ("attitude", "true distance", "columns", "with a point", "median", "half within", "90 % within"):
        rows.add_column(heading, justify="right")
    for attitude in ("camera_pose", "camera_pitch_deg"):
        true, found = distances(drive, options, attitude == "camera_pose")
        for low, high in itertools.pairwise((*BANDS_M, np.inf)):
            here = (true > low) & (true <= high)
            seen = here & np.isfinite(found)
            band = f"{low:g} to {high:g} m" if np.isfinite(high) else f"over {low:g} m, or none"
            row: tuple[str, ...] = (attitude, band, str(here.sum()), f"{seen.sum() / max(here.sum(), 1):.1%}")
            if seen.any() and np.isfinite(high):
                errors = found[seen] - true[seen]
                half, most = np.quantile(np.abs(errors), (0.5, 0.9))
                row = (*row, f"{np.median(errors):+.2f} m", f"{half:.2f} m", f"{most:.2f} m")
            rows.add_row(*row)
    return rows


def distances(drive: Path, options: Options, with_pose: bool) -> tuple[Floats, Floats]:
    """Distance to the nearest obstacle of every second column of all frames, metres: by depth, and by the cloud."""
    label_map = load_label_map(options.label_map)
    painter = CostPainter(label_map.labels, class_costs(label_map.labels))
    recorded, rig = json.loads((drive / "camera.json").read_text()), load_world(str(drive / "world.yaml")).camera
    intrinsics = np.array(recorded["K"], float)
    intrinsics[0] /= 2  # every second column
    lens, height_m = Lens(intrinsics), sum(rig.height_m) / 2
    folder = SegmentationFolder(drive, label_map)
    true, found = [], []
    for index, frame in enumerate(recorded["frames"]):
        costs = np.ascontiguousarray(painter.costs(folder[index].target)[:, ::2])
        path = drive / "depth" / f"{Path(frame['file']).stem}.png"
        depth = np.asarray(read_mask(path), np.float64)[:, ::2] / 1000
        gravity = np.array(frame["T_world_camera"], float)[:3, :3].T @ [0.0, 0.0, -1.0]
        down = gravity if with_pose else pitched_down(-sum(rig.pitch_deg) / 2)
        true.append(nearest_by_depth(costs == LETHAL, depth, lens, gravity))
        points = obstacle_points(costs, GroundCamera(lens, down, height_m), options.range_m).astype(float)
        found.append(nearest_by_cloud(points, lens, down, costs.shape[1], height_m))
    return np.concatenate(true), np.concatenate(found)


def nearest_by_depth(lethal: npt.NDArray[np.bool_], depth: Floats, lens: Lens, gravity: Floats) -> Floats:
    """Of W columns; infinite where there is no lethal pixel with a depth."""
    rows, columns = np.nonzero(lethal & (depth > 0))
    places = lens.rays(columns.astype(float), rows.astype(float)) * depth[rows, columns, None]
    nearest = np.full(lethal.shape[1], np.inf)
    np.minimum.at(nearest, columns, np.linalg.norm(places - np.outer(places @ gravity, gravity), axis=1))
    return nearest


def nearest_by_cloud(points: Floats, lens: Lens, down: Floats, width: int, height_m: float) -> Floats:
    """Of W columns; infinite where the cloud has no point."""
    along = points - np.outer(points @ down, down)
    feet = along + height_m * down
    columns = np.rint(feet[:, 0] / feet[:, 2] * lens.intrinsics[0, 0] + lens.intrinsics[0, 2]).astype(int)
    nearest = np.full(width, np.inf)
    np.minimum.at(nearest, columns, np.linalg.norm(along, axis=1))
    return nearest


if __name__ == "__main__":
    main()
