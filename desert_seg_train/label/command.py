"""`desert-seg label`: the frames worth labelling, each with a proposed mask that labelme can open.

desert-seg label my_drive --model models/light --count 20 --out out/label
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from rich.table import Table

from desert_seg.console import Console
from desert_seg.errors import DataError, DesertSegError
from desert_seg.files import writing
from desert_seg.folder import new_folder
from desert_seg.images import write_image
from desert_seg.levels import few_levels, uses_few_levels
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg.share import artifact_name
from desert_seg_train.label.config import LabelConfig
from desert_seg_train.label.labelme import LabelledImage, write_labelme, write_labels_txt
from desert_seg_train.label.polygons import to_polygons
from desert_seg_train.label.preview import Proposal, row, sheet
from desert_seg_train.label.selection import Candidate, Choice, assess, choose
from desert_seg_train.predict.inputs import Chunk, Read, find_chunks
from desert_seg_train.written import refuse_foreign

LABELS, PREVIEW = "labels.txt", "preview.png"

FRAMES = "frames"
"""Folder of the images and their labelme files; everything else is outside it, because labelme shows every image it
finds."""


def label(config: LabelConfig) -> None:
    """Choose frames, write proposals, and say why they were chosen and what to do next.

    Raises:
        DataError: See `propose`; or frames could not be read, and by then all others are done.
        ArtifactError: The model is missing or damaged.
        EngineError: The engine cannot be had.
    """
    console = Console()
    num_written, unreadable = propose(config, console)
    model, dataset = artifact_name(config.model), config.out / "dataset"
    console.print(f"wrote {config.out}: {num_written} frames in {FRAMES}/, {LABELS}, {PREVIEW}")
    console.print_command("correct them and tick `checked`", *labelme_command(config.out))
    console.print_command("then", "desert-seg", "read-labels", config.out, "--model", model, "--out", dataset)
    console.print_command(
        "all of this, and a model taught by it, in one command", "desert-seg", "site", *config.inputs, "--model", model
    )
    if unreadable:
        raise DataError(unreadable)


def labelme_command(out: Path) -> list[str]:
    """The program that the proposals in a folder are corrected with, and its arguments."""
    return ["labelme", str(out / FRAMES), "--labels", str(out / LABELS)]


def propose(config: LabelConfig, console: Console) -> tuple[int, str]:
    """Choose frames, write proposals, and say why they were chosen; a new folder is there in full or not at all.

    Returns:
        How many there are, and a sentence on the frames that could not be read, empty if all could.

    Raises:
        DataError: There is no frame, a setting is invalid, or the folder already holds frames.
        ArtifactError: The model is missing or damaged.
        EngineError: The engine cannot be had.
    """
    _check(config)
    chunks = [chunk for text in config.inputs for chunk in find_chunks(text, config.topic)]
    segmenter = Segmenter.load(config.model)
    candidates, failures = _assess(config, chunks, segmenter, console)
    choices = choose(candidates, config.count)
    _print_choices(candidates, choices, config.count, console)
    chosen = [candidates[choice.index] for choice in choices]
    is_new = not config.out.exists()
    with writing(config.out), new_folder(config.out) if is_new else nullcontext(config.out) as root:
        num_written = _write(root, config, chunks, segmenter, chosen, console)
    if not failures:
        return num_written, ""
    total = f"{len(failures)} of {len(candidates) + len(failures)} frames"
    return num_written, f"{total} could not be read, the others are done; the first: {failures[0]}"


def _check(config: LabelConfig) -> None:
    if not config.inputs:
        raise DataError("found no input, expected bags, folders or images; name at least one before the options")
    for name, value, least in (("count", config.count, 1), ("every", config.every, 1)):
        if value < least:
            raise DataError(f"found {value} for {name}, expected {least} or more; give --{name} a larger number")
    if not 0 <= config.tolerance < math.inf:
        raise DataError(f"found {config.tolerance} for tolerance, expected pixels, 0 or more; give --tolerance 0.7")
    if (config.out / FRAMES).exists():
        raise DataError(f"{config.out}: holds frames already, perhaps with your corrections; choose another --out")
    refuse_foreign(config.out, (LABELS, PREVIEW), (), "--out")


def _frames(chunks: list[Chunk], every: int) -> Iterator[tuple[str, Read]]:
    """Name and decoder of every frame to assess; repeated names get the endings _2 and so on."""
    taken: set[str] = set()
    for index, (name, read) in enumerate(each for chunk in chunks for each in chunk.frames()):
        if index % every:
            continue
        unique, repeated = name, 1
        while unique in taken:
            repeated += 1
            unique = f"{name}_{repeated}"
        taken.add(unique)
        yield unique, read


def _assess(
    config: LabelConfig, chunks: list[Chunk], segmenter: Segmenter, console: Console
) -> tuple[list[Candidate], list[str]]:
    """Assess every frame; those that cannot be read are left out, and their errors collected."""
    num_frames = -(-sum(map(len, chunks)) // config.every)
    candidates, failures, dim = [], [], list[str]()
    frames = _frames(chunks, config.every)
    for name, read in console.track(frames, "looking at frames", num_frames, transient=True):
        try:
            rgb = read()
            candidates.append(assess(name, rgb, segmenter))
        except DesertSegError as error:
            failures.append(str(error))
        else:
            dim += [name] if uses_few_levels(rgb) else []
    if dim:
        console.print(f"warning: {few_levels(len(dim), dim[0])}")
    if not candidates:
        raise DataError(f"none of {len(failures)} frames could be read; the first: {failures[0]}")
    return candidates, failures


def _print_choices(candidates: list[Candidate], choices: list[Choice], wanted: int, console: Console) -> None:
    mean = sum(candidate.uncertainty for candidate in candidates) / len(candidates)
    console.print(
        f"{len(choices)} of {len(candidates)} frames, by uncertainty times distance to those chosen before; "
        f"the mean uncertainty is {mean:.3f}",
    )
    table = Table("frame", "uncertainty", "distance", "hesitates between")
    for choice in choices:
        candidate = candidates[choice.index]
        distance = f"{choice.distance:.2f}" if choice.index != choices[0].index else "first"
        between = " and ".join(candidate.hesitation)
        table.add_row(candidate.name, f"{candidate.uncertainty:.3f}", distance, between)
    console.print(table)
    if len(choices) < min(wanted, len(candidates)):
        console.print(f"no more than {len(choices)}: the other frames are near-duplicates of these")


def _write(
    root: Path,
    config: LabelConfig,
    chunks: list[Chunk],
    segmenter: Segmenter,
    chosen: list[Candidate],
    console: Console,
) -> int:
    """Write into `root` the images with their labelme files, labels.txt and the preview; returns how many images."""
    labels, rows = segmenter.labels, {}
    positions = {candidate.name: position for position, candidate in enumerate(chosen)}
    frames = ((name, read) for name, read in _frames(chunks, config.every) if name in positions)
    for name, read in console.track(frames, "proposing masks", len(chosen), transient=True):
        rgb = read()
        mask = segmenter.segment(rgb, SegmentOptions(views=config.tta)).mask
        polygons = tuple(to_polygons(mask, config.tolerance, config.min_pixels))
        image = root / FRAMES / f"{name}.png"
        write_image(image, rgb)
        write_labelme(image.with_suffix(".json"), LabelledImage(image, mask.shape, polygons, False), labels)
        caption = f"{positions[name] + 1}. {name}, uncertainty {chosen[positions[name]].uncertainty:.3f}"
        rows[positions[name]] = row(Proposal(caption, rgb, polygons), labels)
    write_labels_txt(root / LABELS, labels)
    write_image(root / PREVIEW, sheet((rows[position] for position in sorted(rows)), labels))
    return len(rows)
