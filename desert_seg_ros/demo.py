"""`desert-seg-demo`: replay a drive through the real node and show what came out.

Prints a table and writes to the output folder: `contact_sheet.png`, `masks.mp4`, `masks/` (a bag) and `report.json`.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from desert_seg.errors import DataError, DesertSegError
from desert_seg.files import check_output_folder
from desert_seg.program import run_program

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.table import Table

    from desert_seg.labels import LabelMap
    from desert_seg.recordings.drive import DriveFrame
    from desert_seg.scoring import Scores
    from desert_seg_ros.bag_benchmark.frames import PreparedFrame
    from desert_seg_ros.bag_benchmark.masks import Masked
    from desert_seg_ros.bag_benchmark.results import Frames, Spread, Start

SHEET_ROWS = 4
OVERLAY_ALPHA = 0.55


def make_parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="desert-seg-demo", description="Replay a drive through the segmentation node."
    )
    parser.add_argument("--drive", default="", help="bag or folder of images (default: the sample drive)")
    parser.add_argument(
        "--model", default="light", help="model artifact: folder or shipped name (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="output folder (default: %(default)s)")
    parser.add_argument("--topic", help="image topic of the bag, needed if it has several")
    parser.add_argument(
        "--hz", type=float, default=10.0, help="frame rate of a folder of images (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="pace of the replay, 1 = as recorded")
    parser.add_argument("--limit", type=int, help="replay at most this many frames")
    parser.add_argument("--engine", default="auto", help="inference engine of the node (default: %(default)s)")
    parser.add_argument("--tta", default="none", help="test-time augmentation views of the node (default: %(default)s)")
    return parser


def demo(options: argparse.Namespace) -> None:
    """Replay the drive, score the masks, draw them, and report.

    Raises:
        DesertSegError: The drive, the model or the node is unusable, or frames could not be read; by then all others
            are done and everything is written.
    """
    from rich.text import Text

    from desert_seg.artifact import load_artifact
    from desert_seg.console import BarColumn, Console, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from desert_seg.files import write_text
    from desert_seg.machine import processor
    from desert_seg.recordings.drive import open_drive, refuse_left_out
    from desert_seg.share import find_artifact, share_directory
    from desert_seg_ros.bag_benchmark import measures
    from desert_seg_ros.bag_benchmark.frames import prepared_frames, stored_transport
    from desert_seg_ros.bag_benchmark.masks import masked_frames
    from desert_seg_ros.bag_benchmark.node_process import launch_command, node_command, own_image_topic, own_name
    from desert_seg_ros.bag_benchmark.pace import Length, Recorded
    from desert_seg_ros.bag_benchmark.run import Subject, measure
    from desert_seg_ros.environment import require_ros, use_dds_profile

    require_ros()
    check_output_folder(options.out, "--out")
    console = Console()
    drive = open_drive(options.drive or share_directory() / "sample_drive", options.topic, options.hz, options.limit)
    drive.warn()
    artifact = load_artifact(find_artifact(options.model))
    pace, transport = Recorded(options.rate), stored_transport(drive)
    use_dds_profile(share_directory() / "config" / "fastdds_shm.xml")
    parameters = {
        "artifact": str(artifact.path.resolve()),
        "image_transport": transport,
        "engine": options.engine,
        "tta": options.tta,
    }
    name, image_topic = own_name(), own_image_topic()
    start_with = launch_command if shutil.which("ros2") else node_command
    command = start_with(parameters, image_topic, name)
    bad: list[DesertSegError] = []
    mask_bag, log = options.out / "masks", options.out / "node.log"
    console.print(f"replaying {drive.path} through the node with model {artifact.card.name}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting the node", total=drive.num_frames)

        def show(sent: int, masks: int) -> None:
            bar.update(task, completed=sent, description=f"replaying, {masks} masks back")

        subject = Subject(transport, name, image_topic, command, log)

        def read() -> Iterator[PreparedFrame]:
            bad.clear()  # of the frames that warmed the node up
            return prepared_frames(drive, transport, bad.append)

        recording = measure(subject, read, pace, Length(), mask_bag, show)
    timeline, frames = measures.Timeline.of(recording), measures.frames(recording)
    latency, start = measures.spread(timeline.latency_ms), measures.start(recording)
    if latency is None or start is None:
        raise DesertSegError(f"no mask came back for {frames.sent} images; see {log}")
    fps = frames.masks / timeline.seconds
    title = f"{drive.path.name}: {frames.masks} of {frames.sent} frames, {fps:.1f} fps, model {artifact.card.name}"
    pairs = console.track(masked_frames(drive, mask_bag, recording.masked), "drawing and comparing", frames.masks)
    scores, not_compared = review(pairs, frames.masks, artifact.card.label_map, options.out, fps, title)
    report = {
        "drive": str(drive.path),
        "model": {"name": artifact.card.name, "digest": artifact.digest, "label_map": artifact.card.label_map.name},
        "machine": {"cpu": processor(), "system": platform.platform(), "python": platform.python_version()},
        "command": command,
        "frames": asdict(frames),
        "seconds": timeline.seconds,
        "fps": fps,
        "latency_ms": {**asdict(latency), "all": timeline.latency_ms.round(2).tolist()},
        "start": asdict(start),
        "node": dict(recording.status.values),
        "accuracy": None if scores is None else {"classes": artifact.card.label_map.labels.names, **scores.to_dict()},
    }
    write_text(options.out / "report.json", json.dumps(report, indent=2))
    engine = recording.status.values.get("engine", "unknown")
    console.print(_table(frames, fps, latency, start, engine, scores, artifact.card.label_map))
    if not_compared:
        console.print(f"warning: not compared with the true masks of the drive: {not_compared}")
    for name, what in (
        ("contact_sheet.png", "frames and masks side by side"),
        ("masks.mp4", "every frame that was answered, under its mask"),
        ("masks", "the masks as a bag, with the stamps of the drive"),
        ("report.json", "every number"),
    ):
        console.print(Text.assemble((str(options.out / name), "bold"), f"  {what}"))
    refuse_left_out(drive.path, bad)


def review(
    pairs: Iterable[Masked],
    num_pairs: int,
    label_map: LabelMap,
    out: Path,
    fps: float,
    title: str,
) -> tuple[Scores | None, str]:
    """Draw the contact sheet and the video, and score the masks in the same pass.

    Args:
        pairs: Frames with their masks.
        num_pairs: How many there are.
        label_map: What the raw values of the ground truth mean.
        out: Folder to write to.
        fps: Frame rate of the video.
        title: Headline of the contact sheet.

    Returns:
        The scores, None without ground truth that the label map can read, and why it cannot.
    """
    from desert_seg.painter import Painter
    from desert_seg.scoring import Confusion
    from desert_seg_ros.pictures import Video, contact_sheet

    labels, painter = label_map.labels, Painter(label_map.labels)
    shown = {round((row + 0.5) * num_pairs / SHEET_ROWS - 0.5) for row in range(SHEET_ROWS)}
    confusion, rows, judged, not_compared = Confusion(len(labels)), [], 0, ""
    with Video(out / "masks.mp4", fps) as video:
        for row, (index, frame, mask) in enumerate(pairs):
            rgb = frame.rgb()
            pictures = [rgb, painter.overlay(rgb, mask, OVERLAY_ALPHA)]
            target = None
            if not not_compared:
                try:
                    target = _target(frame, index, label_map, mask.shape)
                except DesertSegError as error:
                    not_compared = str(error)
            if target is not None:
                confusion.add(target, mask)
                pictures.append(painter.overlay(rgb, target, OVERLAY_ALPHA))
                judged += 1
            video.add(pictures[1])
            if row in shown:
                rows.append(pictures)
    headings = ["camera", "mask", "truth"][: min(len(row) for row in rows)]
    scores = confusion.scores() if judged and not not_compared else None
    if scores is not None:
        title += f", mIoU {scores.miou_present:.3f}"
    contact_sheet(out / "contact_sheet.png", [row[: len(headings)] for row in rows], headings, title, labels)
    return scores, not_compared


def _target(frame: DriveFrame, index: int, label_map: LabelMap, size: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
    """The true classes of a frame, HxW as `size` says; None if the drive has none."""
    raw = frame.ground_truth()
    if raw is None:
        return None
    if raw.shape != size:
        raise DataError(
            f"true mask of frame {index}: found {raw.shape[1]}x{raw.shape[0]} pixels, expected the image's "
            f"{size[1]}x{size[0]}; record masks of the images' size"
        )
    try:
        return label_map.apply(raw, f"true mask of frame {index}")
    except DataError as error:
        found, _, _ = str(error).rpartition("; ")
        raise DataError(
            f"{found}; the demo reads true masks by the model's own label map, so measure with theirs on a folder of "
            "images and masks (desert-seg evaluate --label-map)"
        ) from error


def _table(
    frames: Frames,
    fps: float,
    latency: Spread,
    start: Start,
    engine: str,
    scores: Scores | None,
    label_map: LabelMap,
) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2))
    dropped = ", ".join(f"{count} {cause.replace('_', ' ')}" for cause, count in frames.dropped.items() if count)
    table.add_row("frames in", str(frames.sent))
    table.add_row("masks out", str(frames.masks))
    table.add_row("dropped", dropped or "none")
    table.add_row("rate", f"{fps:.1f} fps")
    table.add_row("latency, publish to mask", f"p50 {latency.p50:.0f}, p95 {latency.p95:.0f}, p99 {latency.p99:.0f} ms")
    table.add_row("engine", engine)
    table.add_row("start to first mask", f"{start.first_mask_s:.1f} s")
    if scores is not None:
        table.add_row("mIoU", f"{scores.miou_present:.3f} over the classes present, label map {label_map.name}")
        for name, iou, share in zip(label_map.labels.names, scores.iou, scores.share, strict=True):
            table.add_row(f"  {name}", f"{iou:.3f}  ({share:.1%} of pixels)" if share else "not in the truth")
    return table


def main() -> None:
    """Entry point of the command; see `run_program` for how it ends."""
    run_program("desert-seg-demo", lambda arguments: partial(demo, make_parser().parse_args(arguments)))


if __name__ == "__main__":
    main()
