"""Processes that end with the one that started them, however that ends: nobody can clean up after a SIGKILL.

Run as a program, this file becomes the command that it is given: `python parent.py PID COMMAND ...`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
"""From Linux's `prctl.h`."""


def end_with_parent(parent: int, number: int) -> None:
    """Have this process sent a signal when the thread that started it ends.

    Args:
        parent: Process id of whoever started it; if that has ended already, so does this.
        number: The signal.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def ending_with_us(command: Sequence[str]) -> list[str]:
    """The command that runs another, which gets a SIGINT when this process ends."""
    return [sys.executable, "-IS", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]), signal.SIGINT)
    os.execvp(sys.argv[2], sys.argv[2:])
