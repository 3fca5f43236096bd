"""`desert-seg adapt`: teach a model a new place, and say what that gained, and what it cost.

    desert-seg adapt light --unlabelled my_drive_bag --out runs/my_site
    desert-seg adapt light --frames my_frames --replay data/mojave falcon7_stones 1 --out runs/my_site

Labelled frames are learned as in any training, and the gain is estimated by cross-validation. Where there are none,
unlabelled ones are learned by self-training, see `teaching`; nobody knows what that gains, and the model is refused if
it shows signs of collapse, see `place`. Unlabelled frames beside labelled ones are not learned from, but the model is
looked at on them. With other classes than the model's, the last layer is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desert_seg.artifact import Artifact, check_replaceable, load_artifact
from desert_seg.console import Console
from desert_seg.errors import DataError
from desert_seg.images import read_image
from desert_seg.labels import load_label_map
from desert_seg.memory import keep_freed_memory
from desert_seg.network import SegmentationNetwork
from desert_seg_train.adapt.config import AdaptConfig
from desert_seg_train.adapt.judgement import Judgement, PlaceChange, write_judgement
from desert_seg_train.adapt.judging import Gains, confusions, folds
from desert_seg_train.adapt.place import Impression, place_change, place_table, signs_of_collapse
from desert_seg_train.adapt.place_frames import LESSONS, PLACE, gather_frames, link_frames, shipped_replay
from desert_seg_train.adapt.start import Start
from desert_seg_train.adapt.teaching import Lessons, steps_within, teach
from desert_seg_train.data.config import SamplingConfig
from desert_seg_train.data.sources import Source, absent_classes, open_source, split
from desert_seg_train.evaluate.wording import counted
from desert_seg_train.export.command import export
from desert_seg_train.export.config import ExportConfig
from desert_seg_train.saving import save_network
from desert_seg_train.train.config import LossConfig, OptimizerConfig
from desert_seg_train.train.losses import CrossEntropyAndDice

ARTIFACT = "artifact"

RATES = OptimizerConfig(encoder_rate=1.5e-4, decoder_rate=5e-4, head_rate=1e-3, ema_decay=0.99)
"""A third of the learning rates of a training from ImageNet: most of what the model knows holds in the new place."""

TIME_FOR_JUDGING = 0.4
"""Share of the budget that cross-validation takes."""

HELD_OUT = 4
"""Every so many-th replayed frame is not learned from, to see what is forgotten."""


def adapt(config: AdaptConfig) -> Path:
    """Teach, judge, write; returns the folder of the artifact.

    Raises:
        DataError: The frames, the replayed data or a setting are unusable, or what the model taught itself is refused.
        ArtifactError: The model is missing or damaged.
        StoppedError: SIGINT or SIGTERM ended it.
    """
    keep_freed_memory()
    console, seconds = Console(), parse_duration(config.budget)
    artifact = load_artifact(config.model)
    start = Start(artifact, load_label_map(config.label_map or _written_label_map(artifact)))
    _check(config, start)
    own, held_back = _own(config, start, console)
    replay, remembered = _replay(config, start, own, console)
    if own:
        link_frames(own[0], config.out)
    place = gather_frames(config.unlabelled, config.topic, config.out, console) if config.unlabelled else ()
    # Beside labels the teacher's guesses cost accuracy, see docs/new-site.md; so the place is only looked at then.
    lessons = Lessons((*own, *replay), () if own else place, _sampling(artifact), RATES, seed=config.seed)
    criterion = CrossEntropyAndDice(LossConfig(), start.label_map.labels)
    with console.status("timing a few steps"):
        steps = steps_within(seconds, start.network(), lessons, criterion)

    gains = Gains(start.label_map.labels)
    if own and len(own[0]) > 1 and not held_back:
        divisions = folds(own[0])
        fewer = max(1, round(steps * TIME_FOR_JUDGING / len(divisions)))
        steps = max(1, steps - fewer * len(divisions))
        for number, (rest, judged) in enumerate(divisions, 1):
            # All frames may show every class where some of them do not.
            beside = replay or _replay(config, start, [rest], console)[0]
            learned = f"{counted(len(rest), 'frame')}{_replayed(beside)}"
            console.print(f"cross-validation {number}/{len(divisions)}: {learned}, {counted(fewer, 'step')}")
            taught = teach(start.network(), replace(lessons, labelled=(rest, *beside)), criterion, fewer, console)
            gains.add(f"{judged.folder.root.name}, cross-validated", *_judge(start, taught, judged, console))
    learned_from = [counted(len(source), "labelled frame") for source in own]
    learned_from += [f"{counted(len(place), 'frame')} without labels"] if lessons.unlabelled else []
    learned = f"{' and '.join(learned_from)}{_replayed(replay)}"
    console.print(f"learning from {learned}: {counted(steps, 'step')}")
    taught = teach(start.network(), lessons, criterion, steps, console)
    for source in held_back:
        gains.add(f"{source.folder.root.name}, held back", *_judge(start, taught, source, console))
    for source in remembered:
        gains.add(f"{source.folder.root.name}, replayed", *_judge(start, taught, source, console))
    found, doubts = gains.judged()
    gains.print(found, doubts, console)
    unknown = _unknown(own, replay, held_back)
    for doubt in unknown:
        console.print(f"warning: {doubt}")
    change, losses = _judge_place(start, taught, place, bool(own), console) if place else (None, ())
    write_judgement(config.out, Judgement(learned, found, (*doubts, *unknown, *losses), change))
    return _write(config, start, taught, (*own, *replay), console)


def parse_duration(text: str) -> float:
    """Seconds of a text like 10min, 90s or 1h; raises DataError if it is not a duration."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text.strip())
    if found is None or not float(found[1]):
        raise DataError(f"found budget {text!r}, expected a time like 10min, 90s or 1h")
    return float(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]


def _check(config: AdaptConfig, start: Start) -> None:
    if not config.frames and not config.unlabelled:
        raise DataError(
            "found nothing to learn from, expected frames of the place; give --frames FOLDER, with masks, or "
            "--unlabelled BAG_OR_FOLDER, without"
        )
    if config.hold_back and not config.frames:
        raise DataError("found --hold-back without --frames; only labelled frames can be judged by")
    if config.unlabelled and not start.keeps_classes:
        raise DataError(
            "found --unlabelled with classes that the model does not have, so it cannot teach them to itself; adapt it "
            "to labelled frames first, then the result to unlabelled ones"
        )
    if (config.out / ARTIFACT).exists():
        raise DataError(f"{config.out}: holds an adaptation already; choose another --out")
    if config.export:
        check_replaceable(config.export)


def _written_label_map(artifact: Artifact) -> str:
    """Name of the model's own label map; raises DataError if it is not a shipped one with the same classes."""
    own = artifact.card.label_map
    try:
        if load_label_map(own.name).labels == own.labels:
            return own.name
    except DataError:
        pass
    raise DataError(f"the model's label map {own.name} is not a shipped one; give --label-map its YAML file")


def _own(config: AdaptConfig, start: Start, console: Console) -> tuple[list[Source], list[Source]]:
    """Labelled frames of the place to learn from, and those to judge by: one source at most of each."""
    if not config.frames:
        return [], []
    frames = open_source(config.frames, config.label_map or start.label_map.name, 1.0, console)
    return split([frames], None, config.hold_back)


def _replay(
    config: AdaptConfig, start: Start, own: Sequence[Source], console: Console
) -> tuple[list[Source], list[Source]]:
    """Replayed frames to learn from, and those to see by what is forgotten.

    Where labelled frames show every class, those that come with the package would only cost accuracy; else, without
    them, the other classes would be forgotten, and they weigh as much as one labelled frame of several.

    Raises:
        DataError: They are unusable, or there are none for a model that has nothing else to hold on to.
    """
    given = config.replay
    if not given and (not own or absent_classes(own)):
        given = shipped_replay(start.label_map, 1 / len(own[0]) if own else 1.0)
    if not given and not own:
        raise DataError(
            f"no frames with the classes of {start.artifact.card.name} come with the package, and without any it would "
            "forget them; give --replay FOLDER LABEL_MAP 1 with frames that it was trained on"
        )
    learned, judged = [], []
    for path, label_map, weight in given:
        source = open_source(path, label_map, weight, console)
        held_out = source.names[::HELD_OUT] if len(source) >= HELD_OUT else ()
        learned.append(source.without(held_out))
        judged.append(source.only(held_out or source.names))
    return learned, judged


def _replayed(replay: Sequence[Source]) -> str:
    return f", {sum(map(len, replay))} replayed" if replay else ""


def _unknown(own: Sequence[Source], replay: Sequence[Source], held_back: Sequence[Source]) -> list[str]:
    """What labelled frames, if there are any, are too few to tell, in sentences."""
    sentences = []
    if own and len(own[0]) == 1 and not held_back:
        sentences.append("one frame cannot be judged by, so the gain is not known; label two or more")
    if absent := absent_classes((*own, *replay)):
        sentences.append(
            f"no frame that was learned from shows {', '.join(absent)}, so the model will hardly find it; label frames "
            "that show it, or give --replay with such frames"
        )
    return sentences


def _sampling(artifact: Artifact) -> SamplingConfig:
    height, width = artifact.card.input_size
    return SamplingConfig(height=min(320, height), width=min(448, width))


def _judge(
    start: Start, taught: SegmentationNetwork, source: Source, console: Console
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64]]:
    """Counts NxKx(K+1) of the model before, None if it had other classes, and after."""
    before = confusions(start.segmenter, source, console) if start.keeps_classes else None
    return before, confusions(start.segmenter_of(taught), source, console)


def _judge_place(
    start: Start, taught: SegmentationNetwork, place: Sequence[Path], has_labels: bool, console: Console
) -> tuple[PlaceChange, tuple[str, ...]]:
    """Print how the model sees the place now; also returns what it seems to have lost, in sentences.

    Raises:
        DataError: It has lost something, and no labels say that this is right.
    """
    frames, labels = [partial(read_image, path) for path in place], start.label_map.labels
    before, after = (Impression.of(each, frames) for each in (start.segmenter, start.segmenter_of(taught)))
    change = place_change(before, after, labels)
    console.print(place_table(change))
    signs = signs_of_collapse(before, after, labels)
    if signs and not has_labels:
        raise DataError(
            f"the model has taught itself something wrong and is not written: {'; '.join(signs)}; let it learn from a "
            "few labelled frames of the place, or replay frames that show what it lost"
        )
    losses = tuple(f"{sign}; look whether that is right" for sign in signs)
    for loss in losses:
        console.print(f"warning: {loss}")
    return change, losses


def _write(
    config: AdaptConfig, start: Start, taught: SegmentationNetwork, sources: Sequence[Source], console: Console
) -> Path:
    """Write the artifact, and where it is wanted the one for every engine."""
    card, path = start.artifact.card, config.out / ARTIFACT
    names = [*("/".join(source.folder.root.parts[-2:]) for source in sources), *config.unlabelled]
    provenance = {"adapted from": f"{card.name} {start.artifact.digest[:12]}", "data": ", ".join(names)}
    save_network(
        path,
        taught,
        config.out.name,
        card.input_size,
        start.label_map,
        provenance=provenance,
        with_graph=False,
        speeds=card.speeds,
    )
    console.print(f"wrote {path}")
    if not config.export:
        out = f"models/{config.out.name}"
        console.print_command("to run it with any engine", "desert-seg", "export", "--model", path, "--out", out)
        return path
    images = config.out / PLACE if config.unlabelled else config.out / LESSONS
    export(ExportConfig(config.export, model=path, images=images))
    return config.export
