"""Has a person correct proposed masks: in labelme where there is a display, else by asking on the terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from desert_seg.console import Console
from desert_seg.errors import DesertSegError
from desert_seg_train.label.command import labelme_command


def have_corrected(folder: Path, console: Console) -> bool:
    """Wait until a person has corrected the proposals; False if nobody is there to wait for.

    Args:
        folder: What `desert-seg label` wrote.
        console: Tells the person what to do.

    Raises:
        DesertSegError: labelme failed.
    """
    command = labelme_command(folder)
    program = shutil.which(command[0])
    if program and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        console.print("labelme is open: correct the frames, tick `checked` on each, and close it")
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise DesertSegError(
                f"labelme failed ({reason}); mend it, or take it off the PATH to be asked in the terminal"
            )
        return True
    if sys.stdin is not None and sys.stdin.isatty() and console.is_terminal:
        with contextlib.suppress(EOFError):
            input("press Enter when they are corrected and ticked: ")
        return True
    return False
