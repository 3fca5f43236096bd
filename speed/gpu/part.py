"""Runs the lines of one part, in a process of its own, and writes the outcome of each as soon as it is known."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path

from desert_seg.errors import DesertSegError, shortened
from speed.figures import Figure
from speed.gpu.outcome import FAILED, NOT_RUN, RAN, NotRunError, Outcome, outcome_from_json
from speed.gpu.plan import Line, Part, Setting

PRELOADED = ("torch", "cv2", "desert_seg.segmenter", "desert_seg.network")
"""What takes seconds to import and is common to the parts; on a CPU their processes are forked from one that has it.

Not so for a GPU: who is forked from a process whose libraries have looked for a device cannot use it.
"""

TIME_OVER = "the time was over"

_log = logging.getLogger(__name__)


def run_part(part: Part, setting: Setting, log: Path) -> Iterator[Outcome]:
    """Run a part in a process, until the deadline at most.

    Args:
        part: What to run.
        setting: What to run it with.
        log: File for the process's output; the outcomes are written beside it.

    Yields:
        The outcome of every line of the part, in order.
    """
    if time.time() >= setting.deadline:
        yield from (Outcome(part.name, line.name, NOT_RUN, TIME_OVER) for line in part.lines)
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    results = log.with_suffix(".jsonl")
    results.unlink(missing_ok=True)
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED) if setting.device == "cpu" else [])
    process = context.Process(target=_process, args=(part, setting, results, log))
    process.start()
    try:
        process.join(max(0.0, setting.deadline - time.time()))
    finally:
        in_time = process.exitcode is not None
        if not in_time:
            _end(process.pid)
            process.join()
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    known = {each.line: each for each in map(outcome_from_json, lines)}
    lost = [line.name for line in part.lines if line.name not in known]
    for line in part.lines:
        if line.name in known:
            yield known[line.name]
        elif not in_time:
            yield Outcome(part.name, line.name, NOT_RUN, TIME_OVER)
        elif line.name == lost[0]:
            yield Outcome(part.name, line.name, FAILED, f"its process ended with {process.exitcode}; see {log}")
        else:
            yield Outcome(part.name, line.name, NOT_RUN, f"the process ended in {lost[0]}")


def _end(pid: int | None) -> None:
    """Kill a part's process with those it started, which are in its session."""
    assert pid is not None
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)  # it had no time to begin a session


def _process(part: Part, setting: Setting, results: Path, log: Path) -> None:
    """What the process of a part does."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    functions: dict[str, Callable[[], Iterable[Figure]]] = {}

    def run_line(line: Line) -> Outcome:
        left = setting.deadline - time.time()
        if left < line.seconds and not setting.quick:
            reason = f"{max(0.0, left):.0f} s were left and it takes about {line.seconds:.0f} s"
            return Outcome(part.name, line.name, NOT_RUN, reason)
        _log.info("line: %s", line.name)
        began = time.monotonic()
        try:
            if not functions:
                functions.update(importlib.import_module(part.module).lines(setting, part.subject))
            figures = tuple(functions[line.name]())
        except NotRunError as error:
            return Outcome(part.name, line.name, NOT_RUN, str(error))
        except Exception as error:  # whatever it is, the other lines are run
            _log.exception("failed")
            reason = str(error) if isinstance(error, DesertSegError) else f"{type(error).__name__}: {error}"
            reason = shortened(" ".join(reason.split()))
            return Outcome(part.name, line.name, FAILED, reason, (), time.monotonic() - began)
        return Outcome(part.name, line.name, RAN, "", figures, time.monotonic() - began)

    with results.open("w", encoding="utf-8") as file:
        for line in part.lines:
            file.write(run_line(line).to_json() + "\n")
            file.flush()
