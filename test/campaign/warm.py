"""A process that has imported everything and forks a child for every command, which so begins at once.

It is given a line of JSON for each, see `WarmProcess.run`, and answers with one once the child has ended:
its exit code, whether it was there to be sent the signal, how many processes it left behind, and what it left in shared
memory. A child that is killed bequeaths its own children to this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from desert_seg_train import cli

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 60.0
SHARED_MEMORY = Path("/dev/shm")
PROGRAMS = {"desert-seg-demo": "desert_seg_ros.demo", "desert-seg-benchmark": "desert_seg_ros.bag_benchmark.command"}
"""Beside the commands of `desert-seg`, by what the arguments begin with."""


def main() -> None:
    """Serve until the input ends."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in cli.COMMANDS:
        importlib.import_module(f"desert_seg_train.{name.replace('-', '_')}.command")
    for line in sys.stdin:
        request = json.loads(line)
        subprocess.run(request["shell"], shell=True, check=True)
        before = set(SHARED_MEMORY.iterdir())
        child = os.fork()
        if child == 0:
            redirect(request["log"])
            limit_memory(request["memory_mb"])
            run(request["arguments"])
            return
        is_told = tell(child, request["signal"], request["moment"])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        orphans = wait_for_orphans()
        memory = sorted(map(str, set(SHARED_MEMORY.iterdir()) - before))
        memory = [path for path in memory if "/lttng-ust-" not in path]  # the machine's, for tracing
        sys.stdout.write(json.dumps({"code": code, "is_told": is_told, "orphans": orphans, "memory": memory}) + "\n")
        sys.stdout.flush()


def run(arguments: list[str]) -> None:
    """Run a command of `desert-seg`, or another program that the arguments begin with."""
    program = importlib.import_module(PROGRAMS[arguments[0]]) if arguments[0] in PROGRAMS else cli
    sys.argv = arguments if arguments[0] in PROGRAMS else ["desert-seg", *arguments]
    program.main()


def limit_memory(more_mb: int) -> None:
    """Let this process take only so many more megabytes than it has; 0 = any."""
    if more_mb:
        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + more_mb * 10**6,) * 2)


def tell(child: int, number: int, moment: float) -> bool:
    """Send a signal after so many seconds, unless the child ends before; nobody else takes its process id meanwhile."""
    if not number or select.select([os.pidfd_open(child)], [], [], moment)[0]:
        return False
    os.kill(child, number)
    return True


def redirect(log: str) -> None:
    """Give the child no input, and its output to a file."""
    streams = (os.open(os.devnull, os.O_RDONLY), *[os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)] * 2)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)


def wait_for_orphans() -> int:
    """Wait until the processes of a dead child have ended, too; kills those that do not, and returns how many."""
    deadline = time.monotonic() + PATIENCE_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        left = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for orphan in left:
            os.kill(int(orphan), signal.SIGKILL)
        return len(left)
    return 0


if __name__ == "__main__":
    main()
