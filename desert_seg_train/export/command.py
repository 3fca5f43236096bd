"""`desert-seg export`: a model artifact that every engine runs, and how well each engine agrees with the network.

    desert-seg export --checkpoint runs/light/best.ckpt --out models/light --labelled FOLDER --int8
    desert-seg export --model models/light --out models/light --images FOLDER --int8
    desert-seg export --checkpoint best_model.pth --out models/reference --images FOLDER \
        --architecture DeepLabV3Plus --encoder resnet101 --label-map falcon7

Give real images: without them the engines are not compared with the network.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from rich.table import Table
from rich.text import Text

from desert_seg.artifact import INT8_ONNX, ONNX, PARITY, WEIGHTS, ModelCard, check_replaceable, save_artifact
from desert_seg.console import Console
from desert_seg.engines.choice import create_engine
from desert_seg.engines.engine import ENGINES, is_installed
from desert_seg.errors import DesertSegError, EngineError
from desert_seg.machine import processor
from desert_seg.parity import MAX_MIOU_CHANGE, MIN_AGREEMENT, ParityReport, ParityResult
from desert_seg_train.evaluate.wording import size_of_file
from desert_seg_train.export.config import ExportConfig
from desert_seg_train.export.frames import choose_frames
from desert_seg_train.export.judge import Judge
from desert_seg_train.export.quantization import convolutions, network_input, quantize
from desert_seg_train.export.source import read_source
from desert_seg_train.saving import OPSET, graph_file, to_onnx, weights_file
from desert_seg_train.self_test_files import self_test_files

KEPT_IN_FLOAT = (0, 1 / 16, 1 / 8, 1 / 4)
"""Shares of the convolutions that int8 leaves in float, in the order of `convolutions`; tried until accurate.

The first and last are sensitive: the first see few channels, so errors do not average out. Choosing by the error that
each causes alone was tried on the first 28 of an earlier light model's 63 and is no better: with the worst four in
float, 98.8 % of the pixels agreed, as with the first four, and with the worst six 97.3 %.
"""


class MissedBarError(DesertSegError):
    """An engine differs too much from the network; everything is written, and says so."""


def export(config: ExportConfig) -> None:
    """Read, convert, compare, write.

    The artifact is written at the end, even if an engine misses a bar: a robot may run the network on another engine or
    at another precision. The report marks what missed, so that `auto` never chooses it, and the exit code is 1; an int8
    graph that missed is left out.

    Raises:
        ArtifactError: The source is missing, damaged or of another network, or OUT is not an artifact.
        DataError: A setting, a folder or an image is unusable.
        OutputError: OUT cannot be written.
        MissedBarError: Everything is written, but an engine missed a bar.
    """
    console = Console()
    check_replaceable(config.out)
    source = read_source(config)
    network, card = source.network, source.card
    for note in source.notes:
        console.print(note)
    frames = choose_frames(config, card.label_map)
    with console.status("exporting the graph"):
        graph = to_onnx(network, card.input_size)
        files = {WEIGHTS: weights_file(network), ONNX: graph_file(graph), **self_test_files(network, card)}
    report = ParityReport(OPSET, processor())
    if frames.judged:
        judge = Judge(network, card, frames.judged, console)
        results = _judge_floating_point(judge, card, files)
        if config.int8:
            inputs = [network_input(frame, card) for frame in frames.calibration]
            card, files, int8_results = _with_int8(judge, card, files, graph, inputs, console)
            results += int8_results
        report = replace(report, num_images=judge.num_images, num_labelled=judge.num_labelled, results=tuple(results))
        console.print(_table(report))
    artifact = save_artifact(config.out, card, {**files, PARITY: report.to_json()})
    sizes = ", ".join(f"{name} {size_of_file(len(data))}" for name, data in files.items())
    said = f"wrote {config.out} ({artifact.digest[:12]}): {sizes}, {PARITY}; ONNX opset {OPSET}"
    console.print(said)
    if not report.results:
        how = "no real images to judge by; give --images FOLDER or --labelled FOLDER"
        console.print(Text.assemble(("not judged", "yellow"), f": {how}"))
    if missed := [result for result in report.results if not result.valid]:
        raise MissedBarError(_what_missed(config.out, missed))


def _installed() -> list[str]:
    return [engine for engine in ENGINES if engine != "auto" and is_installed(engine)]


def _judge_floating_point(judge: Judge, card: ModelCard, files: Mapping[str, bytes]) -> list[ParityResult]:
    """Compare every engine of this machine in f32, and in bf16 where engine and processor support it."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        artifact = save_artifact(Path(folder) / "model", card, files)
        for engine in _installed():
            results.append(judge.judge(create_engine(artifact, engine, "cpu", "f32"), engine, "f32"))
            with contextlib.suppress(EngineError):
                results.append(judge.judge(create_engine(artifact, engine, "cpu", "bf16"), engine, "bf16"))
    return results


def _with_int8(
    judge: Judge,
    card: ModelCard,
    files: Mapping[str, bytes],
    graph: onnx.ModelProto,
    inputs: Sequence[npt.NDArray[np.uint8]],
    console: Console,
) -> tuple[ModelCard, dict[str, bytes], list[ParityResult]]:
    """Quantise, with more and more convolutions left in float until every engine meets the bars.

    Returns:
        Card and files with the int8 graph, or unchanged if it never does, and the results of the last try.
    """
    names = convolutions(graph)
    results: list[ParityResult] = []
    for num_float in dict.fromkeys(round(share * len(names)) for share in KEPT_IN_FLOAT):
        with console.status(f"quantising all but {num_float} of {len(names)} convolutions"):
            quantised = {**files, INT8_ONNX: quantize(graph, inputs, names[:num_float])}
        with tempfile.TemporaryDirectory() as folder:
            artifact = save_artifact(Path(folder) / "model", card, quantised)
            results = [
                judge.judge(create_engine(artifact, engine, "cpu", "int8"), engine, "int8")
                for engine in _installed()
                if engine != "torch"
            ]
        worst = min(results, key=lambda result: result.agreement)
        console.print(
            f"int8 with {num_float} of {len(names)} convolutions in float: {worst.agreement:.3%} of the "
            f"pixels agree ({worst.engine})",
        )
        if all(result.valid for result in results):
            how = f"static, {len(inputs)} images, {num_float} of {len(names)} convolutions in float"
            return replace(card, provenance={**card.provenance, "int8": how}), quantised, results
    return card, dict(files), results


def _table(report: ParityReport) -> Table:
    masks = f", {report.num_labelled} with masks" if report.num_labelled else ""
    bars = ", ".join(f"{precision} {bar:.1%}" for precision, bar in MIN_AGREEMENT.items())
    table = Table(
        title=f"against float32 in eager torch: {report.num_images} images{masks}",
        caption=f"scores: largest difference; bars: {bars}, mIoU within {MAX_MIOU_CHANGE}; on {report.machine}",
        title_justify="left",
        caption_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("engine", no_wrap=True)
    for column in ("agrees", "worst image", "scores", "mIoU"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for result in report.results:
        table.add_row(
            f"{result.engine} {result.precision}",
            f"{result.agreement:.3%}",
            f"{result.worst_agreement:.2%} {result.worst_image}",
            f"{result.max_score_difference:.2g}",
            "" if result.miou_change is None else f"{result.miou_change:+.4f}",
            Text("valid", "green") if result.valid else Text("refused", "red"),
        )
    return table


def _what_missed(out: Path, missed: Sequence[ParityResult]) -> str:
    """One sentence: found, expected, what to do."""
    found = "; ".join(f"{each.engine} {each.precision}: {each.shortfall()}" for each in missed)
    left_out = f" without {INT8_ONNX}" if any(each.precision == "int8" for each in missed) else ""
    return (
        f"compared with float32, {found}; {out} is written{left_out} and marks what missed as refused, which auto "
        "never chooses; run it at another precision, or judge by images like those it was trained on"
    )
