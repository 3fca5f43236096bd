"""`desert-seg inspect`: every faulty file of a dataset folder with its cure, and one page that shows what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from desert_seg.console import Console
from desert_seg.files import write_bytes, write_text
from desert_seg.labels import load_label_map
from desert_seg_train.inspect.config import InspectConfig
from desert_seg_train.inspect.fault import Fault, by_kind
from desert_seg_train.inspect.image_check import CHANNELS
from desert_seg_train.inspect.page import percent, render_page
from desert_seg_train.inspect.report import Report, make_report
from desert_seg_train.inspect.survey import Frame, Progress
from desert_seg_train.written import read_record, refuse_foreign, write_record

SHOWN_PER_KIND = 5

OUTPUTS = ("index.html", "report.json")


def inspect(config: InspectConfig) -> None:
    """Check every file; print the findings and write them as a page and as JSON.

    Raises:
        DataError: A folder or the label map is unusable, or OUT already has other files of these names.
        SystemExit: With exit code 1, after everything is printed and written, if there is any fault.
    """
    console = Console()
    refuse_foreign(config.out, OUTPUTS, read_record(config.out), "--out")

    def progress(name: str) -> Progress:
        def wrap(frames: Iterable[Frame], total: int) -> Iterable[Frame]:
            return console.track(frames, name, total)

        return wrap

    report = make_report(config.data, config.against, load_label_map(config.label_map), progress)
    for place, faults in report.faults.items():
        if faults:
            console.print(_fault_table(place, faults))
    for warning in report.warnings:
        console.print(Text.assemble(("warning", "yellow"), f": {warning}"))
    _print_numbers(console, report)
    page, numbers = (config.out / name for name in OUTPUTS)
    write_record(config.out, read_record(config.out).union(OUTPUTS))
    # A file name may contain bytes that are not text.
    write_bytes(page, render_page(report).encode(errors="backslashreplace"))
    write_text(numbers, json.dumps(report.to_dict(), indent=2))
    console.print(f"wrote {page} and {numbers}")
    if report.num_faults:
        console.print(f"faults: {report.num_faults}", style="bold red")
        raise SystemExit(1)
    looked = " and ".join(f"{len(folder.frames)} frames of {folder.name}" for folder in report.folders)
    console.print(Text.assemble(("no faults", "bold green"), f" in {looked}"))


def _fault_table(place: str, faults: tuple[Fault, ...]) -> Table:
    """File, fault and cure, for the first few faults of each kind."""
    table = Table(title=f"{place}, faults: {len(faults)}", title_justify="left")
    for column in ("file", "fault", "cure"):
        table.add_column(column, overflow="fold")
    for kind, group in by_kind(faults).items():
        for fault in group[:SHOWN_PER_KIND]:
            table.add_row(fault.file, Text.assemble((kind, "bold"), f": {fault.found}"), fault.cure)
        if len(group) > SHOWN_PER_KIND:
            table.add_row(f"{len(group) - SHOWN_PER_KIND} more", Text(kind, "bold"), "see the page or report.json")
        table.add_section()
    return table


def _print_numbers(console: Console, report: Report) -> None:
    table = Table("share of pixels", title=f"label map {report.label_map.name}", title_justify="left")
    for folder in report.folders:
        table.add_column(folder.name, justify="right")
    for index, name in enumerate(report.label_map.labels.names):
        table.add_row(name, *(percent(folder.total.shares[index]) for folder in report.folders))
    table.add_section()
    totals = [folder.total for folder in report.folders]
    for index, channel in enumerate(CHANNELS):
        means = (f"{each.means[index]:.1f}" if each.num_images else "not measured" for each in totals)
        table.add_row(f"mean {channel}", *means)
    console.print(table)
    if report.gap:
        console.print(
            f"{report.gap.class_distance:.1%} of the pixels would have to change class to make the class shares equal; "
            f"the brightness histograms overlap by {report.gap.brightness_overlap:.0%}"
        )
