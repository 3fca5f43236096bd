"""The result of an inspection, and its JSON form. Knows nothing of terminals or web pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from desert_seg.labels import LabelMap
from desert_seg.levels import few_levels
from desert_seg_train.inspect.dataset_statistics import Gap, Statistics
from desert_seg_train.inspect.fault import Fault
from desert_seg_train.inspect.survey import Frame, Progress, survey
from desert_seg_train.inspect.twins import Twins, find_copies, find_leakage
from desert_seg_train.mask_signs import suspicions


@dataclass(frozen=True)
class FolderReport:
    """One folder: every fault found, the numbers over all frames and per scene.

    Attributes:
        root: The folder.
        name: The folder's name on the page, where two folders have different names.
        frames: Its image and mask pairs.
        faults: Everything wrong with its files.
        total: Numbers over all frames.
        scenes: Numbers per scene, by name.
        absent: Classes of the label map that never occur.
    """

    root: Path
    name: str
    frames: tuple[Frame, ...]
    faults: tuple[Fault, ...]
    total: Statistics
    scenes: dict[str, Statistics]
    absent: tuple[str, ...]

    @property
    def sizes(self) -> list[str]:
        """The image sizes that occur, as WIDTHxHEIGHT."""
        sizes = {frame.image.size for frame in self.frames if frame.image is not None}
        return [f"{width}x{height}" for width, height in sorted(sizes)]


@dataclass(frozen=True)
class Report:
    """An inspection of one folder, or of one against another.

    Attributes:
        label_map: What the mask values mean.
        data: The inspected folder.
        against: The folder it is compared with.
        leaks: Frames of `data` that `against` shows as well, closest first.
    """

    label_map: LabelMap
    data: FolderReport
    against: FolderReport | None
    leaks: tuple[Twins, ...]

    @property
    def folders(self) -> tuple[FolderReport, ...]:
        """The inspected folder and, if there is one, the one it is compared with."""
        return (self.data,) if self.against is None else (self.data, self.against)

    @cached_property
    def gap(self) -> Gap | None:
        """The gap between the two folders."""
        return Gap.between(self.data.total, self.against.total) if self.against else None

    @property
    def faults(self) -> dict[str, tuple[Fault, ...]]:
        """All faults by place: in a folder, or between the two."""
        places = {folder.name: folder.faults for folder in self.folders}
        if self.against:
            name = self.against.name
            places[f"{self.data.name} against {name}"] = tuple(twins.fault(name) for twins in self.leaks)
        return places

    @property
    def num_faults(self) -> int:
        """Faults in all places."""
        return sum(map(len, self.faults.values()))

    @property
    def warnings(self) -> list[str]:
        """What is worth knowing but not a fault."""
        texts = []
        for folder in self.folders:
            if folder.absent:
                texts.append(f"{folder.name}: no pixel of {', '.join(folder.absent)}")
            if len(folder.sizes) > 1:
                texts.append(f"{folder.name}: images of several sizes: {', '.join(folder.sizes)}")
            signs = [frame.signs for frame in folder.frames if frame.signs]
            texts += [f"{folder.name}: {text}" for text in suspicions(signs, self.label_map)]
            if dim := [frame.image_path.name for frame in folder.frames if frame.image and frame.image.is_dim]:
                texts.append(f"{folder.name}: {few_levels(len(dim), dim[0])}")
        return texts

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        labels = self.label_map.labels
        return {
            "label_map": self.label_map.name,
            "folders": {
                folder.name: {
                    "path": str(folder.root),
                    "sizes": folder.sizes,
                    "total": folder.total.to_dict(labels),
                    "scenes": {name: scene.to_dict(labels) for name, scene in folder.scenes.items()},
                }
                for folder in self.folders
            },
            "gap": self.gap.to_dict() if self.gap else None,
            "warnings": self.warnings,
            "faults": {place: [fault.to_dict() for fault in faults] for place, faults in self.faults.items()},
        }


def make_report(data: Path, against: Path | None, label_map: LabelMap, progress: Callable[[str], Progress]) -> Report:
    """Inspect the folder, and the other one if given.

    Args:
        data: Folder with `Color_Images/` and `Segmentation/`.
        against: Another one, or None.
        label_map: What the mask values mean.
        progress: Gives the progress display for a folder of that name.

    Raises:
        DataError: A folder is not a dataset folder.
    """
    names = _names(data, against)
    first = _folder(data, names[0], label_map, progress)
    second = _folder(against, names[1], label_map, progress) if against else None
    leaks = find_leakage(first.frames, second.frames) if second else []
    return Report(label_map, first, second, tuple(leaks))


def _names(data: Path, against: Path | None) -> tuple[str, str]:
    """The folders' names, or their paths if the names are the same."""
    first = data.resolve().name
    second = against.resolve().name if against else ""
    return (first, second) if first != second else (str(data), str(against))


def _folder(root: Path, name: str, label_map: LabelMap, progress: Callable[[str], Progress]) -> FolderReport:
    result = survey(root, label_map, progress(name))
    num_classes = len(label_map.labels)
    total = Statistics.of(result.frames, num_classes)
    scenes = {
        scene: Statistics.of([frame for frame in result.frames if frame.scene == scene], num_classes)
        for scene in sorted({frame.scene for frame in result.frames})
    }
    absent = [name for name, count in zip(label_map.labels.names, total.counts[:-1], strict=True) if count == 0]
    faults = (*result.faults, *find_copies(result.frames))
    return FolderReport(root, name, result.frames, faults, total, scenes, tuple(absent))
