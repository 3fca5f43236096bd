"""`desert-seg-benchmark`: replays a bag through the live node and measures it.

Writes to the output folder: `report.html`, `results.json`, `masks/` with a bag for every run, and `logs/`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from desert_seg.errors import DesertSegError
from desert_seg.files import check_output_folder
from desert_seg.program import run_program
from desert_seg_ros.bag_benchmark.options import Options, parse

if TYPE_CHECKING:
    from desert_seg.console import Console
    from desert_seg_ros.bag_benchmark.frames import PreparedFrame
    from desert_seg_ros.bag_benchmark.results import Results


def benchmark(options: Options) -> Results:
    """Make all runs, evaluate them, and write the results.

    Raises:
        DesertSegError: The drive, the model or the node is unusable, or frames could not be read; by then all others
            are measured and everything is written.
    """
    from desert_seg_ros.environment import require_ros

    require_ros()
    from desert_seg.artifact import load_artifact
    from desert_seg.console import BarColumn, Console, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from desert_seg.files import to_utf8, write_bytes
    from desert_seg.recordings.drive import open_drive, refuse_left_out
    from desert_seg.share import find_artifact, share_directory
    from desert_seg_ros.bag_benchmark.frames import prepare, prepared_frames, stored_transport
    from desert_seg_ros.bag_benchmark.page import render_page
    from desert_seg_ros.bag_benchmark.report import to_json
    from desert_seg_ros.bag_benchmark.session import Session
    from desert_seg_ros.environment import use_dds_profile

    check_output_folder(options.out, "--out")
    _check_parameters(options)
    console = Console()
    drive = open_drive(options.bag or share_directory() / "sample_drive", options.topic, options.hz, options.limit)
    drive.warn()
    artifact = load_artifact(find_artifact(options.model)) if options.model else None
    bad: list[DesertSegError] = []
    transport = stored_transport(drive) if options.transport == "stored" else options.transport
    use_dds_profile(share_directory() / "config" / "fastdds_shm.xml")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Drawing takes processor time from the node: twice a second is enough.
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        task = progress.add_task("preparing frames", total=drive.num_frames)
        each = _counted(prepared_frames(drive, transport, bad.append), lambda: progress.advance(task))
        frames = prepare(each, drive.path)
        progress.remove_task(task)
        results = Session(options, drive, frames, transport, artifact, progress).results()
    page = to_utf8(render_page(results))
    # The page is written first: if the results exist, everything does.
    write_bytes(options.out / "report.html", page)
    write_bytes(options.out / "results.json", to_json(results))
    _print_summary(results, options, console)
    refuse_left_out(drive.path, bad)
    return results


def _check_parameters(options: Options) -> None:
    """Refuse a parameter that the node does not have, which ROS would ignore silently."""
    from dataclasses import fields

    from desert_seg_ros.parameters import NodeParameters

    known = [item.name for item in fields(NodeParameters)]
    for name in options.parameters:
        if name not in known and name != "use_sim_time" and not name.startswith("qos_overrides."):
            raise DesertSegError(f"the node has no parameter {name!r}; its parameters are: {', '.join(known)}")


def _counted(frames: Iterator[PreparedFrame], advance: Callable[[], None]) -> Iterator[PreparedFrame]:
    for frame in frames:
        yield frame
        advance()


def _print_summary(results: Results, options: Options, console: Console) -> None:
    """Print the table of runs, the verdicts, and where everything is."""
    from rich.table import Table
    from rich.text import Text

    from desert_seg_ros.bag_benchmark.wording import rows_of, verdicts

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for run in results.runs:
        table.add_column(run.name, justify="right")
    for row in rows_of(results.runs):
        table.add_row(row.name, *row.cells)
    console.print()
    console.print(table)
    console.print()
    colors = {"good": "green", "mild": "yellow", "bad": "red"}
    for verdict in verdicts(results):
        console.print(verdict.text, style=colors[verdict.kind])
    if results.runs[-1].consistency.warped_missing:
        missing = results.runs[-1].consistency.warped_missing
        console.print(f"warped agreement not measured: {missing}")
    if results.runs[-1].accuracy_missing:
        console.print(f"accuracy not measured: {results.runs[-1].accuracy_missing}")
    for name, what in (
        ("report.html", "the runs with charts, one file"),
        ("results.json", "every number; the page says what each key means"),
        ("masks", "the masks of every run as bags, with the stamps of the drive"),
    ):
        console.print(Text.assemble((str(options.out / name), "bold"), f"  {what}"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command; see `run_program` for how it ends."""
    run_program("desert-seg-benchmark", lambda given: partial(_run, parse(given)), arguments)


def _run(options: Options) -> None:
    """Print the end of the node's log before a failure; fail, too, if two runs that should be the same are not."""
    try:
        results = benchmark(options)
    except DesertSegError as error:
        sys.stderr.write(_end_of_log(error))
        raise
    if results.determinism is not None and not results.determinism.identical:
        raise DesertSegError("the two runs did not give the same masks; the node, its engine or the machine errs")


def _end_of_log(error: DesertSegError) -> str:
    """The end of the node's log, if a node was started here and said more than the error repeats."""
    from desert_seg_ros.bag_benchmark.node_process import NodeError, tail

    if not isinstance(error, NodeError) or error.log is None:
        return ""
    lines = tail(error.log)
    return "".join(f"node | {line}\n" for line in lines) if len(lines) > 1 else ""


if __name__ == "__main__":
    main()
