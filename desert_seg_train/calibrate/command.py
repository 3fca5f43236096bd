"""`desert-seg calibrate`: fit on labelled frames, judge on frames the fit did not see, write into the artifact.

The temperature is judged by fitting it on one half of the scenes and measuring it on the other, both ways; what is
stored is fitted on all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from rich.table import Table

from desert_seg.artifact import FILES, Artifact, check_replaceable, load_artifact, save_artifact
from desert_seg.calibration import UNKNOWN_SCORES, Calibration, FrameStatistics
from desert_seg.console import Console
from desert_seg.engines.choice import create_engine
from desert_seg.errors import DataError
from desert_seg.labels import IGNORE, load_label_map
from desert_seg.segmenter import Segmenter
from desert_seg.share import is_shipped
from desert_seg_train.calibrate.config import CalibrateConfig
from desert_seg_train.calibrate.fit import Detector, fit_temperature, negative_log_likelihood, reliability
from desert_seg_train.calibrate.pixels import Pixels, collect
from desert_seg_train.evaluate.command import bar
from desert_seg_train.evaluate.reliability import Reliability
from desert_seg_train.folder import SegmentationFolder

MIN_FRAMES = 4
"""Two for each half."""


def calibrate(config: CalibrateConfig) -> None:
    """Measure, say what was found, and write the artifact.

    Raises:
        ArtifactError: The model is missing or damaged, or `out` is something else than an artifact.
        DataError: The frames are too few or unusable, or a setting is impossible.
    """
    console = Console()
    if config.out is None and is_shipped(config.model):
        raise DataError(f"{config.model}: is a shipped model, which is left as it is; give another folder as --out")
    out = config.out or config.model
    check_replaceable(out)
    if not 0 < config.false_alarms < 1:
        raise DataError(f"found false_alarms {config.false_alarms}, expected a share between 0 and 1, such as 0.05")
    artifact = load_artifact(config.model)
    label_map = load_label_map(config.label_map) if config.label_map else artifact.card.label_map
    if label_map.labels.names != artifact.card.label_map.labels.names:
        raise DataError(
            f"label map {label_map.name} has other classes than {artifact.card.name}; choose one with its classes"
        )
    if config.unknown_values and label_map.in_color:
        raise DataError(f"label map {label_map.name} names colours, so there are no unknown_values; leave them out")
    if taught := [value for value in config.unknown_values if label_map.values.get(value, IGNORE) != IGNORE]:
        raise DataError(
            f"value {taught[0]} is a class of label map {label_map.name}; unknown_values are for what is not"
        )
    folder = SegmentationFolder(config.data, label_map)
    if len(folder) < MIN_FRAMES:
        raise DataError(f"{config.data}: found {len(folder)} frames, expected at least {MIN_FRAMES}")
    segmenter = Segmenter(create_engine(artifact, config.engine), artifact.card, artifact.digest)
    pixels = collect(segmenter, folder, config.unknown_values, bar(console, "segmenting"))
    calibration, detectors = _fit(pixels, config)
    _say(console, calibration, detectors, config)
    saved = _with_calibration(artifact, calibration, config)
    console.print(f"wrote {saved.path} ({saved.digest[:12]})")


def _fit(pixels: Pixels, config: CalibrateConfig) -> tuple[Calibration, Mapping[str, Mapping[str, Detector]]]:
    scored = pixels.targets != IGNORE
    scores, targets, group = pixels.scores[scored], pixels.targets[scored], pixels.group[scored]
    if not all((group == half).any() for half in (0, 1)):
        raise DataError(f"{config.data}: one half of the frames holds no labelled pixel; give more frames")
    temperature = fit_temperature(scores, targets)
    before, after, likelihoods = Reliability.none(), Reliability.none(), []
    for half in (0, 1):
        inside = group == half
        others = fit_temperature(scores[~inside], targets[~inside])
        before += reliability(scores[inside], targets[inside], 1.0)
        after += reliability(scores[inside], targets[inside], others)
        likelihoods.append([negative_log_likelihood(scores[inside], targets[inside], t) for t in (1.0, others)])
    right = scores.argmax(1) == targets
    rated = {
        name: [score(np.ascontiguousarray(part.T) / np.float32(temperature)) for part in _parts(pixels, scores, right)]
        for name, score in UNKNOWN_SCORES.items()
    }
    detectors = {
        name: {"mistakes": Detector.of(wrong, known), "never taught": Detector.of(unknown, known)}
        for name, (known, wrong, unknown) in rated.items()
    }
    task = "never taught" if pixels.is_unknown.any() else "mistakes"
    best = max(detectors, key=lambda name: detectors[name][task].auroc)
    nll_before, nll_after = np.mean(likelihoods, axis=0)
    measured = {
        "nll_before": float(nll_before),
        "nll_after": float(nll_after),
        "ece_before": before.ece,
        "ece_after": after.ece,
        **{
            f"{name}_{kind.replace(' ', '_')}_{figure}": getattr(detector, figure)
            for name, kinds in detectors.items()
            for kind, detector in kinds.items()
            for figure in ("auroc", "fpr95")
            if not np.isnan(detector.auroc)
        },
    }
    calibration = Calibration(
        temperature=temperature,
        unknown_score=best,
        unknown_threshold=float(np.quantile(rated[best][0], 1 - config.false_alarms)),
        frames=FrameStatistics.of(pixels.descriptions),
        data=f"{len(pixels.descriptions)} frames of {config.data.name}",
        measured=measured,
    )
    return calibration, detectors


def _parts(
    pixels: Pixels, scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scores of the pixels that are right, that are mistaken, and of things never taught."""
    return scores[right], scores[~right], pixels.scores[pixels.is_unknown]


def _with_calibration(artifact: Artifact, calibration: Calibration, config: CalibrateConfig) -> Artifact:
    files = {name: (artifact.path / name).read_bytes() for name in FILES if (artifact.path / name).is_file()}
    return save_artifact(config.out or config.model, replace(artifact.card, calibration=calibration), files)


def _say(
    console: Console, calibration: Calibration, detectors: Mapping[str, Mapping[str, Detector]], config: CalibrateConfig
) -> None:
    measured = calibration.measured
    console.print(
        f"temperature {calibration.temperature:.3f}; on frames it was not fitted on, the calibration error (ECE) goes "
        f"from {measured['ece_before']:.4f} to {measured['ece_after']:.4f}, the negative log likelihood from "
        f"{measured['nll_before']:.4f} to {measured['nll_after']:.4f}",
    )
    table = Table("\nscore", box=None, padding=(0, 3, 0, 0), title="unknown terrain", title_justify="left")
    for kind in ("mistakes", "never taught"):
        for figure in ("AUROC", "FPR95"):
            table.add_column(f"{kind}\n{figure}", justify="right")
    for name, kinds in detectors.items():
        figures = (value for each in kinds.values() for value in (each.auroc, each.fpr95))
        cells = ("" if np.isnan(value) else f"{value:.3f}" for value in figures)
        table.add_row(f"{name}{' (taken)' if name == calibration.unknown_score else ''}", *cells)
    console.print(table)
    console.print(
        f"unknown above {calibration.unknown_threshold:.4f}, which calls {config.false_alarms:.0%} of the rightly "
        "classified pixels unknown",
    )
