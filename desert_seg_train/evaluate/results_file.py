"""`results.json`: everything that was measured, for machines. NaN, where there is nothing to measure, is null.

format       "desert-seg results 1"; another number is another meaning of the keys
model        name, path, digest (SHA-256 over all files of the artifact), input_size, label_map, provenance
data         path, num_frames, sizes, label_map, classes, absent (classes that the truth does not hold)
run          created, engine, machine, load (of the minute before), system, python, git
passes       one for each setting, the first is the headline:
               name, tta, suppressed, input_scale (side of the input relative to the model's own)
               iou, precision, recall, share, miou_present, ... : see `desert_seg.scoring.Scores`
               boundary_iou, boundary_miou; boundary_dilation_ratio of the image's diagonal
               worst_miou: mean of the own mIoUs of the worst 5 % of the frames; worst_frames: their names
               ece; auroc, fpr95, aurc: of the confidence, for errors; mean_confidence
               latency_ms: p50, p95, p99 of resize, inference, decode and total
               confusion: K true classes x K predicted classes and, last, unknown; pixels
               bands: the numbers of horizontal bands, topmost first
               right, wrong: scored pixels by confidence 0/255 ... 255/255
               gain (from the second pass on): miou and its 95 % interval over the first pass, verdict
interval     95 % intervals of the headline's mIoU and class IoUs, from a bootstrap over frames
beside       the headline's numbers under other label maps that read the same masks, by name
comparison   with the earlier run: model, digest, pass, path, verdict, miou and iou with their 95 % intervals
domain_gap   the folder against the one trained on: class shares, colours, distances, near_twins
frames       in the order of names: name, size, miou, latency_ms, confusion of the headline pass, row after row
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from desert_seg.files import to_utf8
from desert_seg_train.evaluate.boundary import DILATION_RATIO
from desert_seg_train.evaluate.comparison import Interval, Intervals
from desert_seg_train.evaluate.earlier import FORMAT
from desert_seg_train.evaluate.measurement import NUM_BANDS, PERCENTILES, STAGES, Measurement
from desert_seg_train.evaluate.results import Results


def results_json(results: Results) -> bytes:
    """The file's content; a line for each key, and one for each frame."""
    passes = [_pass(each) for each in results.passes]
    for content, gain in zip(passes[1:], results.gains, strict=True):
        content["gain"] = {"miou": asdict(gain.miou), "verdict": gain.miou.verdict}
    head = {
        "format": FORMAT,
        "model": _model(results),
        "data": _data(results),
        "run": asdict(results.run),
        "passes": passes,
        "interval": _intervals(results.intervals, results.labels.names),
        "beside": {name: scores.to_dict() for name, scores in results.beside_scores.items()},
        "comparison": _comparison(results),
        "domain_gap": _domain_gap(results),
    }
    lines = [f"{json.dumps(key)}: {_dump(value)}" for key, value in head.items()]
    frames = ",\n".join(_dump(frame) for frame in _frames(results.headline))
    return to_utf8("{\n" + ",\n".join([*lines, f'"frames": [\n{frames}\n]']) + "\n}\n")


def _dump(value: Any) -> str:
    return json.dumps(_without_nan(value), allow_nan=False, ensure_ascii=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _model(results: Results) -> dict[str, Any]:
    card = results.card
    return {
        "name": card.name,
        "path": str(results.model),
        "digest": results.digest,
        "input_size": card.input_size,
        "label_map": card.label_map.name,
        "provenance": dict(card.provenance),
    }


def _data(results: Results) -> dict[str, Any]:
    return {
        "path": str(results.data),
        "num_frames": len(results.headline.names),
        "sizes": [f"{width}x{height}" for width, height in sorted(set(results.headline.sizes))],
        "label_map": results.label_map.name,
        "classes": results.labels.names,
        "absent": results.absent,
    }


def _pass(measurement: Measurement) -> dict[str, Any]:
    boundary, reliability = measurement.boundary, measurement.reliability
    return {
        "name": measurement.setting.name,
        "tta": measurement.setting.views,
        "suppressed": measurement.setting.suppressed,
        "input_scale": measurement.setting.scale,
        **measurement.scores.to_dict(),
        "boundary_iou": boundary.iou.tolist(),
        "boundary_miou": boundary.mean_iou,
        "boundary_dilation_ratio": DILATION_RATIO,
        "worst_miou": measurement.worst_miou,
        "worst_frames": [measurement.names[index] for index in measurement.worst],
        "ece": reliability.ece,
        "auroc": reliability.auroc,
        "fpr95": reliability.fpr95,
        "aurc": reliability.aurc,
        "mean_confidence": reliability.mean_confidence,
        "latency_ms": {
            stage: {f"p{percentile}": measurement.latency(stage, percentile) for percentile in PERCENTILES}
            for stage in STAGES
        },
        "confusion": measurement.total.tolist(),
        "bands": [
            {"top": number / NUM_BANDS, "bottom": (number + 1) / NUM_BANDS, **scores.to_dict()}
            for number, scores in enumerate(measurement.band_scores)
        ],
        "right": reliability.right.tolist(),
        "wrong": reliability.wrong.tolist(),
    }


def _intervals(intervals: Intervals, names: tuple[str, ...]) -> dict[str, Any]:
    def numbers(interval: Interval) -> dict[str, float]:
        return asdict(interval)

    return {
        "miou": numbers(intervals.miou),
        "iou": {name: numbers(each) for name, each in zip(names, intervals.classes, strict=True)},
    }


def _comparison(results: Results) -> dict[str, Any] | None:
    if results.earlier is None or results.comparison is None:
        return None
    return {
        "path": str(results.earlier.path),
        "model": results.earlier.model,
        "digest": results.earlier.digest,
        "pass": results.earlier.setting,
        "verdict": results.comparison.miou.verdict,
        **_intervals(results.comparison, results.labels.names),
    }


def _domain_gap(results: Results) -> dict[str, Any] | None:
    if results.gap is None:
        return None
    content = results.gap.to_dict()
    return {
        "folders": {name: {"path": folder["path"], **folder["total"]} for name, folder in content["folders"].items()},
        **content["gap"],
        "near_twins": len(results.gap.leaks),
    }


def _frames(headline: Measurement) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "size": f"{width}x{height}",
            "miou": miou,
            "latency_ms": round(latency, 3),
            "confusion": counts.ravel().tolist(),
        }
        for name, (width, height), miou, latency, counts in zip(
            headline.names,
            headline.sizes,
            headline.frame_miou.tolist(),
            headline.latency_ms[:, STAGES.index("total")].tolist(),
            headline.confusions,
            strict=True,
        )
    ]
