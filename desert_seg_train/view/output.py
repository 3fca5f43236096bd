"""Where a recording goes while it is made: into a file, whole or not at all, or to a viewer of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from desert_seg.errors import DesertSegError
from desert_seg.files import writing
from desert_seg_train.view.rerun_quiet import quiet_environment, viewer_program

IsWanted = Callable[[], bool]
"""Whether more frames are of any use."""


@contextmanager
def to_file(recording: Any, path: Path) -> Iterator[IsWanted]:
    """Write what is logged into a file.

    Rerun's own writer ends without a word on a full disk, and waiting for it may then take for ever: it writes into a
    pipe, and we into the file.

    Raises:
        OutputError: The machine refuses; an earlier file of that name is still there.
    """
    partial = path.with_name(f".{abs(hash(path.name)):x}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        ours, reruns = os.pipe()
        copying = _Copying(ours, partial)
        copying.start()
        try:
            try:
                recording.save(f"/dev/fd/{reruns}")
            finally:
                os.close(reruns)  # Rerun has opened it again
            try:
                yield lambda: copying.error is None
            finally:
                recording.disconnect()  # which writes and closes
                copying.join()
            if copying.error is not None:
                raise copying.error
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


class _Copying(threading.Thread):
    """Copies a pipe into a file, to the pipe's end even where the file takes no more."""

    def __init__(self, pipe: int, path: Path) -> None:
        super().__init__(daemon=True)
        self._pipe, self._path = pipe, path
        self.error: OSError | None = None

    def run(self) -> None:
        with open(self._pipe, "rb") as pipe:  # noqa: PTH123 - it has no path
            try:
                with self._path.open("wb") as file:
                    shutil.copyfileobj(pipe, file)
            except OSError as error:
                self.error = error
            while pipe.read(2**20):
                pass


@contextmanager
def to_viewer(recording: Any) -> Iterator[IsWanted]:
    """Open a viewer, show what is logged, and wait until its window is closed.

    Raises:
        DesertSegError: The viewer ended with an error.
    """
    with viewer_of(recording) as process:
        yield lambda: process.poll() is None
        with suppress(RuntimeError):  # its window was closed
            recording.flush()
        recording.disconnect()


@contextmanager
def viewer_of(recording: Any, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `viewer` to which a recording is sent, on this computer alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with viewer("--bind", "127.0.0.1", "--port", str(port), *arguments) as process:
        recording.connect_grpc(f"rerun+http://127.0.0.1:{port}/proxy")
        yield process


@contextmanager
def viewer(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A viewer that reports nothing; at the end it is waited for, unless there was an error.

    Raises:
        DesertSegError: The viewer ended with an error.
    """
    with tempfile.TemporaryDirectory(prefix="desert_seg_view_") as home:
        command = [str(viewer_program()), "--hide-welcome-screen", *arguments]
        process = subprocess.Popen(command, env=quiet_environment(Path(home)))
        try:
            yield process
            code = process.wait()
        finally:
            process.terminate()
            process.wait()
    if code not in (0, -signal.SIGINT, -signal.SIGTERM):
        raise DesertSegError(
            f"the viewer ended with {code}, as where there is no graphics driver; add --save FILE.rrd, and open that "
            "on another machine"
        )


def check_display() -> None:
    """Raise DesertSegError where no window can be opened."""
    if sys.platform == "linux" and not ({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        raise DesertSegError(
            "found no display for a window, expected DISPLAY or WAYLAND_DISPLAY to name one; add --save FILE.rrd, and "
            "open that with `desert-seg view FILE.rrd` where there is one"
        )
