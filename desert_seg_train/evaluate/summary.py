"""The numbers of a run as text: what the terminal shows and what `results_summary.txt` holds."""

from __future__ import annotations

from io import StringIO

from rich import box
from rich.table import Table

from desert_seg.console import Console
from desert_seg_train.evaluate.boundary import DILATION_RATIO
from desert_seg_train.evaluate.measurement import PERCENTILES, STAGES
from desert_seg_train.evaluate.results import Results
from desert_seg_train.evaluate.wording import between, between_signed, counted, listed, score, signed
from desert_seg_train.inspect.page import percent

WIDTH = 100


def summary_text(results: Results) -> str:
    """The summary as a plain text of at most `WIDTH` columns, and what it is of."""
    text = StringIO()
    console = Console(file=text, width=WIDTH, no_color=True)
    run = results.run
    console.print(f"model   {results.card.name} {results.digest[:12]}  {results.model}")
    console.print(f"data    {results.data}")
    console.print(f"engine  {run.engine}")
    console.print(f"machine {run.machine}, load {run.load} before, {run.system}")
    console.print(f"made    {run.created}, code {run.git}\n")
    print_summary(console, results)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def print_summary(console: Console, results: Results) -> None:
    """Print the table of classes, both mIoU conventions and everything beside them."""
    scores, headline = results.scores, results.headline
    console.print(_classes(results))
    interval = between(results.intervals.miou)
    _line(console, f"mIoU {scores.miou_present:.4f}  over classes present in the ground truth (95 % {interval})")
    _line(console, f"     {scores.miou_all:.4f}  over all {len(results.labels)} classes, absent ones as 0")
    _line(console, f"     {scores.miou_frequent:.4f}  over classes with at least 0.1 % of the pixels")
    for label_map in results.beside:
        other = results.beside_scores[label_map.name]
        _line(console, f"     {other.miou_present:.4f}  with label map {label_map.name}, over classes present there")
    if results.absent:
        _line(console, f"absent from the ground truth: {listed(results.absent)}")
    _line(
        console,
        f"pixel accuracy {scores.pixel_accuracy:.4f}, frequency-weighted IoU {scores.frequency_weighted_iou:.4f}",
    )
    _line(console, f"predicted as classes that are not there: {percent(scores.hallucinated_share)} of the pixels")
    _line(console, f"boundary mIoU {score(headline.boundary.mean_iou)} at {DILATION_RATIO} of the diagonal")
    _line(console, f"worst 5 % of the frames: mIoU {score(headline.worst_miou)} ({_names(results)})")
    reliability = headline.reliability
    _line(
        console,
        f"confidence: ECE {score(reliability.ece)}; for errors AUROC {score(reliability.auroc)}, FPR95 "
        f"{score(reliability.fpr95)}, area under risk-coverage {score(reliability.aurc)}",
    )
    console.print(_latency(results))
    if len(results.passes) > 1:
        console.print(_passes(results))
    if results.earlier is not None and results.comparison is not None:
        change = results.comparison.miou
        _line(
            console,
            f"against {results.earlier_name}: mIoU {signed(change.value)} "
            f"(95 % {between_signed(change)}), {change.verdict}",
        )
    if results.gap is not None and results.gap.gap is not None:
        distance = results.gap.gap
        _line(
            console,
            f"against the training data: {100 * distance.class_distance:.1f} % of the pixels would have to change"
            f" class, brightness overlaps by {100 * distance.brightness_overlap:.0f} %,"
            f" {counted(len(results.gap.leaks), 'near-twin')}",
        )
    _line(console, f"{results.run.engine}, {headline.setting.name}, model {results.digest[:12]}")


def _line(console: Console, text: str) -> None:
    console.print(text)


def _names(results: Results) -> str:
    names = [results.headline.names[index] for index in results.headline.worst]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=index > 0)
    return table


def _classes(results: Results) -> Table:
    scores, headline = results.scores, results.headline
    title = (
        f"{counted(len(headline.names), 'frame')} of {results.data}, {results.label_map.name}, {headline.setting.name}"
    )
    table = _table(title, "class", "IoU", "95 %", "boundary", "precision", "recall", "share")
    for index, name in enumerate(results.labels.names):
        absent = index in headline.absent
        table.add_row(
            name,
            "absent" if absent else score(scores.iou[index]),
            "" if absent else between(results.intervals.classes[index]),
            "" if absent else score(float(headline.boundary.iou[index])),
            score(scores.precision[index]),
            score(scores.recall[index]),
            percent(scores.share[index]),
        )
    return table


def _latency(results: Results) -> Table:
    table = _table(
        "latency of a frame, ms", "stage (decode with confidence)", *(f"p{percentile}" for percentile in PERCENTILES)
    )
    for stage in STAGES:
        table.add_row(stage, *(f"{results.headline.latency(stage, each):.1f}" for each in PERCENTILES))
    return table


def _passes(results: Results) -> Table:
    table = _table("settings", "setting", "present", "all", "gain", "95 %", "p50 ms", "cost")
    for number, each in enumerate(results.passes):
        table.add_row(
            each.setting.name,
            score(each.scores.miou_present),
            score(each.scores.miou_all),
            *(_gain(results, number - 1) if number else ("", "")),
            f"{each.latency('total', 50):.1f}",
            f"{each.cost(results.headline):.2f} x",
        )
    return table


def _gain(results: Results, number: int) -> tuple[str, str]:
    gain = results.gains[number].miou
    return signed(gain.value), between_signed(gain)
