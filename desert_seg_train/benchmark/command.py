"""The full report on a model: predictions, every number, figures, one self-contained page.

desert-seg benchmark --model models/light --data FOLDER --train-data OTHER --out out/benchmark
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.text import Text

from desert_seg.console import Console
from desert_seg.errors import DataError, DesertSegError
from desert_seg.files import write_bytes, write_text
from desert_seg.segmenter import Segmenter
from desert_seg.views import VIEW_SETS, pixels
from desert_seg_train.benchmark.chart import Chart
from desert_seg_train.benchmark.config import BenchmarkConfig
from desert_seg_train.benchmark.context_charts import comparison_chart, settings_chart, training_chart
from desert_seg_train.benchmark.gap_charts import class_shares_chart, colours_chart
from desert_seg_train.benchmark.output import RESULTS, OutputFolder
from desert_seg_train.benchmark.page import draw_figures, render_page
from desert_seg_train.benchmark.pdf import print_pdf
from desert_seg_train.benchmark.pictures import Panel, Predictions, make_panel, sheet
from desert_seg_train.benchmark.score_charts import (
    band_chart,
    class_iou_chart,
    confusion_chart,
    reliability_chart,
    risk_chart,
)
from desert_seg_train.benchmark.training_log import TrainingLog, find_training_log, read_training_log
from desert_seg_train.evaluate.command import bar
from desert_seg_train.evaluate.earlier import check_same_truth, read_earlier
from desert_seg_train.evaluate.measurement import Setting
from desert_seg_train.evaluate.measuring import TestSet, measure, open_test_set
from desert_seg_train.evaluate.results import Results, Run
from desert_seg_train.evaluate.results_file import results_json
from desert_seg_train.evaluate.summary import print_summary, summary_text
from desert_seg_train.inspect.report import Report, make_report

HALF = math.sqrt(0.5)
"""Input scale of half the pixels, which `--tta all` also measures."""

SHOWN_EXAMPLES = 6
SHOWN_WORST = 8


def benchmark(config: BenchmarkConfig) -> None:
    """Check the inputs, measure, draw, write.

    Raises:
        DataError: A folder, a file or a label map is unusable, or the disk is full; nothing is written.
        ArtifactError: The model is missing or damaged.
    """
    console = Console()
    output = OutputFolder(config.out)
    log_path = config.training_log or find_training_log(config.model)
    log = read_training_log(log_path) if log_path else None
    earlier = read_earlier(config.against) if config.against else None
    segmenter = Segmenter.load(config.model, config.engine, precision=config.precision, threads=config.threads)
    test_set = open_test_set(config.data, config.label_map, segmenter, bar(console, f"reading {config.data}"))
    if earlier:
        check_same_truth(earlier, test_set)
    settings = _settings(config, segmenter.card.speeds, test_set, console)
    gap = _domain_gap(config.data, config.train_data, test_set, console) if config.train_data else None
    with output as folder:
        predictions = Predictions(folder / "predictions", segmenter.labels)
        run = Run.here(segmenter)
        passes = measure(segmenter, test_set, settings, bar(console, "segmenting"), predictions.write)
        results = Results.of(config.model, segmenter, test_set, passes, run, earlier, gap)
        no_pdf = _write(results, test_set, predictions, log, folder, console)
    print_summary(console, results)
    if not log:
        hint = "no training curves: found no log.csv beside the artifact; name it with --training-log"
        console.print(hint)
    if no_pdf:
        console.print(no_pdf)
    _print_files(config.out, console, has_pdf=not no_pdf)


def _settings(
    config: BenchmarkConfig, speeds: Mapping[str, float], test_set: TestSet, console: Console
) -> list[Setting]:
    """What to measure, the headline first."""
    views = [name for each in config.tta for name in (VIEW_SETS if each == "all" else (each,))]
    if not views:
        raise DesertSegError(f"found --tta without a view set; name one or more of: {', '.join(VIEW_SETS)}, all")
    if not config.speed:
        raise DesertSegError(f"found --speed without a name; give one or more of: {', '.join(speeds)}")
    sizes = [speeds[name] for name in dict.fromkeys(config.speed)]
    settings = [Setting(name, scale=size) for size in sizes for name in dict.fromkeys(views)]
    if "all" in config.tta:
        scales = [HALF, *(math.sqrt(pixels(name)) for name in VIEW_SETS if name != "none")]
        settings += [Setting(scale=scale) for scale in scales]
    if config.suppress_absent and test_set.absent:
        settings.append(replace(settings[0], suppressed=test_set.absent))
    elif config.suppress_absent:
        console.print("no class is suppressed: the truth holds all of them")
    return settings


def _domain_gap(data: Path, train_data: Path, test_set: TestSet, console: Console) -> Report:
    """Compare the folder with the training data, which may have faults if some frames are usable."""
    gap = make_report(data, train_data, test_set.label_map, lambda name: bar(console, f"looking at {name}"))
    assert gap.against is not None
    if not gap.against.total.num_images or not gap.against.total.num_masks:
        first = gap.against.faults[0]
        raise DataError(
            f"{train_data}: found nothing usable among {len(gap.against.frames)} frames (first: {first.file}: "
            f"{first.found}); {first.cure}"
        )
    for folder in gap.folders:
        if folder.faults:
            console.print(
                Text.assemble(
                    ("warning", "yellow"),
                    f": {len(folder.faults)} faults in {folder.name}; desert-seg inspect lists them",
                ),
            )
    return gap


def _write(
    results: Results,
    test_set: TestSet,
    predictions: Predictions,
    log: TrainingLog | None,
    folder: Path,
    console: Console,
) -> str:
    """Write everything but the predictions, which exist already; returns why there is no PDF, or an empty text."""
    charts = _charts(results, log)
    for chart in bar(console, "drawing figures")(charts, len(charts)):
        write_bytes(folder / "figures" / f"{chart.name}.png", chart.png())
    spread = np.unique(np.linspace(0, len(test_set.folder) - 1, SHOWN_EXAMPLES).round().astype(int)).tolist()
    examples = _panels(results, test_set, predictions, spread)
    worst = _panels(results, test_set, predictions, results.headline.worst[:SHOWN_WORST])
    for name, panels, title in (("panels", examples, "Frames"), ("worst", worst, "The worst frames")):
        write_bytes(folder / "figures" / f"{name}.png", sheet(panels, results.labels, title))
    figures = draw_figures(bar(console, "making the page")(charts, len(charts)))
    write_text(folder / "report.html", render_page(results, figures, examples, worst, log))
    with console.status("printing the PDF"):
        no_pdf = print_pdf(folder / "report.html", folder / "report.pdf")
    write_text(folder / "results_summary.txt", summary_text(results))
    write_bytes(folder / RESULTS, results_json(results))
    return no_pdf


def _charts(results: Results, log: TrainingLog | None) -> list[Chart]:
    charts = [make(results) for make in (class_iou_chart, confusion_chart, band_chart, reliability_chart, risk_chart)]
    if len(results.passes) > 1:
        charts.append(settings_chart(results))
    if results.earlier:
        charts.append(comparison_chart(results))
    if results.gap:
        charts += [class_shares_chart(results.gap), colours_chart(results.gap)]
    if log:
        charts.append(training_chart(log))
    return charts


def _panels(results: Results, test_set: TestSet, predictions: Predictions, indices: Sequence[int]) -> list[Panel]:
    miou = results.headline.frame_miou
    return [make_panel(test_set, index, float(miou[index]), predictions) for index in indices]


def _print_files(out: Path, console: Console, has_pdf: bool) -> None:
    for name, what in (
        ("report.html", "the report, one file" + (", and report.pdf" if has_pdf else "")),
        ("results_summary.txt", "the numbers as text"),
        (RESULTS, "every number, and the counts of every frame; give it to --against"),
        ("predictions", "masks at the frames' own size: raw/ class indices, color/ for people"),
        ("figures", "the figures as PNG"),
    ):
        console.print(Text.assemble((str(out / name), "bold"), f"  {what}"))
