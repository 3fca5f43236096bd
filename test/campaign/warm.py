"""A process that has imported everything and forks a child for every command, which so begins at once.

It is given a line of JSON for each, {"arguments": [...], "log": FILE}, and answers with two: the child's process id,
and once the child has ended, its exit code, how many processes it left behind, and what it left in shared memory. A
child that somebody else kills bequeaths its own children to this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from desert_seg_train import cli

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 60.0
SHARED_MEMORY = Path("/dev/shm")


def main() -> None:
    """Serve until the input ends."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in cli.COMMANDS:
        importlib.import_module(f"desert_seg_train.{name.replace('-', '_')}.command")
    for line in sys.stdin:
        request = json.loads(line)
        before = set(SHARED_MEMORY.iterdir())
        child = os.fork()
        if child == 0:
            redirect(request["log"])
            sys.argv = ["desert-seg", *request["arguments"]]
            cli.main()
            return
        say({"child": child})
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        orphans = wait_for_orphans()
        say({"code": code, "orphans": orphans, "memory": sorted(map(str, set(SHARED_MEMORY.iterdir()) - before))})


def redirect(log: str) -> None:
    """Give the child no input, and its output to a file."""
    streams = (os.open(os.devnull, os.O_RDONLY), *[os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)] * 2)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)


def say(answer: dict[str, object]) -> None:
    """Answer a line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


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
