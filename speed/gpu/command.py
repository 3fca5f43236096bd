"""The sequence of a run: every part until the time is over, then the report."""

from __future__ import annotations

import shutil
import time

import torch

from desert_seg.console import Console
from desert_seg.errors import EngineError
from desert_seg.files import writing
from speed.gpu.options import GpuOptions
from speed.gpu.outcome import Outcome
from speed.gpu.part import run_part
from speed.gpu.plan import Setting, parts
from speed.gpu.report import Report, write_report
from speed.report import machine


def run(options: GpuOptions) -> list[Outcome]:
    """Run every part; print and write the outcome of every line.

    Raises:
        EngineError: CUDA is asked for and there is no device.
        OutputError: The folder cannot be written to.
    """
    has_cuda = torch.cuda.is_available()
    if options.device == "cuda" and not has_cuda:
        raise EngineError("device cuda was asked for but torch sees no CUDA device; choose device cpu or auto")
    device = "cuda" if has_cuda and options.device != "cpu" else "cpu"
    about, console, began = {**machine(), **_accelerator(device)}, Console(), time.time()
    work = options.out / "work"
    shutil.rmtree(work, ignore_errors=True)
    with writing(work):
        work.mkdir(parents=True)
    data = options.data.resolve() if options.data else None
    setting = Setting(device, options.quick, data, work.resolve(), began + 60 * options.minutes)
    console.print(f"on {about['device']}, {options.minutes:g} minutes at most")
    outcomes: list[Outcome] = []
    try:
        for number, part in enumerate(parts()):
            for outcome in run_part(part, setting, options.out.resolve() / "logs" / f"{number}.log"):
                console.print(outcome.sentence())
                outcomes.append(outcome)
            report = Report(about, device, options.quick, options.minutes, time.time() - began, tuple(outcomes))
            write_report(options.out, report)  # after every part: a run that is ended leaves what it has
    finally:
        shutil.rmtree(work, ignore_errors=True)
    console.print(f"{report.summary()}; wrote {options.out / 'page.html'} and {options.out / 'results.json'}")
    return outcomes


def _accelerator(device: str) -> dict[str, str]:
    """The device and the versions that matter for it."""
    if device == "cpu":
        return {"device": "the processor, without a GPU"}
    found = torch.cuda.get_device_properties(0)
    return {
        "device": found.name,
        "GPU memory": f"{found.total_memory * 1e-9:.0f} GB",
        "multiprocessors": str(found.multi_processor_count),
        "compute capability": f"{found.major}.{found.minor}",
        "CUDA": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
    }
