"""`desert-seg view`: a recording and what a model makes of it, in the Rerun viewer or in a file for it.

desert-seg view my_drive --model models/light --save out/my_drive.rrd
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.console import Console
from desert_seg.errors import DataError, DesertSegError, FrameError
from desert_seg.labels import LabelMap, load_label_map
from desert_seg.recordings.drive import Drive, DriveFrame, open_drive, refuse_left_out
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.view.config import ViewConfig
from desert_seg_train.view.output import check_display, to_file, to_viewer, viewer
from desert_seg_train.view.rerun_quiet import load_rerun
from desert_seg_train.view.scene import Scene, layout

RECORDING = ".rrd"
"""How the names of Rerun's recordings end."""

OPTIONS = SegmentOptions(want_confidence=True, want_unknown=True)


def view(config: ViewConfig) -> None:
    """Segment the frames one by one and show them.

    Raises:
        DataError: There is no frame, or frames or masks could not be read; by then all others are shown.
        ArtifactError: The model is missing or damaged.
        EngineError: The engine cannot be had.
        DesertSegError: Rerun is not installed, or there is no display and no --save, or the viewer failed.
    """
    console, rerun = Console(), load_rerun()
    if config.save is None:
        check_display()
    if config.input.suffix == RECORDING:
        _open_saved(config)
        return
    drive = open_drive(config.input, config.topic or None, config.hz, config.limit)
    drive.warn()
    segmenter = Segmenter.load(config.model)
    label_map = load_label_map(config.label_map) if config.label_map else segmenter.card.label_map
    _check_classes(label_map, segmenter.card.label_map)
    bad: list[DesertSegError] = []
    recording, num_shown = rerun.RecordingStream("desert_seg"), 0
    with to_viewer(recording) if config.save is None else to_file(recording, config.save) as is_wanted:
        scene = Scene(rerun, recording, segmenter.labels)
        frames = _frames(drive, label_map, bad)
        for frame, rgb, truth in console.track(frames, "segmenting", drive.num_frames, transient=True):
            result = segmenter.segment(rgb, OPTIONS)
            if not is_wanted():
                break
            if num_shown == 0:
                recording.send_blueprint(layout(rerun, len(segmenter.labels), truth is not None))
            scene.add(num_shown, frame.stamp_ns, rgb, result, truth)
            num_shown += 1
        if not num_shown and bad:
            raise bad[0]
    shown = f"{num_shown} frame{'' if num_shown == 1 else 's'}"
    if config.save:
        console.print_command(f"{shown} in {config.save}; open it", "desert-seg", "view", config.save)
    else:
        console.print(f"{shown} shown")
    refuse_left_out(config.input, bad)


def _open_saved(config: ViewConfig) -> None:
    if config.save is not None or not config.input.is_file():
        what = "is saved already" if config.input.is_file() else "is not there"
        raise DataError(f"{config.input}: {what}; give the bag or folder that is to be looked at, or leave out --save")
    with viewer(str(config.input)):
        pass


def _check_classes(truth: LabelMap, model: LabelMap) -> None:
    if truth.labels.names != model.labels.names:
        raise DataError(
            f"label map {truth.name} has the classes {', '.join(truth.labels.names)}, the model has "
            f"{', '.join(model.labels.names)}; choose a label map that leads to the model's classes"
        )


def _frames(
    drive: Drive, label_map: LabelMap, bad: list[DesertSegError]
) -> Iterator[tuple[DriveFrame, npt.NDArray[np.uint8], npt.NDArray[Any] | None]]:
    """Frame, HxWx3 RGB and HxW true classes; what cannot be read is collected."""
    for frame in drive.frames(bad.append):
        try:
            rgb = frame.rgb()
            raw = frame.ground_truth()
            truth = None if raw is None else label_map.apply(raw, f"true mask of the frame at {frame.stamp_ns} ns")
            if truth is not None and truth.shape != rgb.shape[:2]:
                found, expected = ("x".join(map(str, size)) for size in (truth.shape, rgb.shape[:2]))
                raise FrameError(
                    f"found a true mask of {found} pixels for an image of {expected}, expected the same; bring both to "
                    "one size"
                )
        except DesertSegError as error:
            bad.append(error)
            continue
        yield frame, rgb, truth
