"""The node under test as a process of its own: starting it, stopping it, and reading the end of its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from desert_seg.errors import EngineError
from desert_seg.files import writing
from desert_seg.parent import ending_with_us
from desert_seg.recordings.image_topic import sibling_topic

NODE_NAME = "segment"
"""The node's default name."""

IMAGE_TOPIC = "/camera/image_raw"
STOP_TIMEOUT_S = 15.0
TAIL_LINES = 12


class NodeError(EngineError):
    """The node did not start, ended too early or does not answer; `log` is its output, if it was started here."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence if log is None else f"{sentence}; {last_line(log)}")
        self.log = log


class NodeProcess:
    """A started node; made by `running`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.pid, self.log = process.pid, log
        self._process = process

    def check(self) -> None:
        """Raise NodeError if the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise NodeError(f"the node ended with {_exit(code)}", self.log)


def own_name() -> str:
    """A unique name for a node that is started here, because another may be running on the robot."""
    return f"desert_seg_benchmark_{os.getpid()}"


def own_image_topic() -> str:
    """Base name of an image topic for a node that is started here, which no camera uses."""
    return f"/{own_name()}/camera/image_raw"


def node_command(parameters: Mapping[str, str], image_topic: str = IMAGE_TOPIC, name: str = NODE_NAME) -> list[str]:
    """The command line that starts the node directly, without other processes that would be measured, too.

    Args:
        parameters: The node's parameters by name.
        image_topic: Base name of the topic to take images from.
        name: The node's name.
    """
    remaps = {
        "__node": name,
        "image": image_topic,
        "image/compressed": f"{image_topic}/compressed",
        "camera_info": sibling_topic(image_topic, "camera_info"),
        "camera_pose": sibling_topic(image_topic, "camera_pose"),
    }
    return [
        *(sys.executable, "-m", "desert_seg_ros.start", "--ros-args"),
        *(part for name, target in remaps.items() for part in ("-r", f"{name}:={target}")),
        *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")),
    ]


def launch_command(parameters: Mapping[str, str], image_topic: str, name: str) -> list[str]:
    """The command line that starts the node through `ros2 launch`.

    Args:
        parameters: The node's parameters by name, of those that the launch file has arguments for.
        image_topic: Base name of the topic to take images from.
        name: The node's name.
    """
    arguments = {
        "name": name,
        "image": image_topic,
        "camera_info": sibling_topic(image_topic, "camera_info"),
        **parameters,
    }
    given = [f"{argument}:={value}" for argument, value in arguments.items()]
    return ["ros2", "launch", "desert_seg_ros", "segment.launch.py", *given]


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[NodeProcess]:
    """Run a node within a `with` block, which sends a SIGINT at its end and waits for the process.

    The node gets one, too, if this process is killed.

    Raises:
        NodeError: It did not end with exit code 0.
    """
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    with output:
        process = subprocess.Popen(ending_with_us(command), stdout=output, stderr=subprocess.STDOUT)
    try:
        yield NodeProcess(process, log)
    finally:
        code = _stop(process)
    if code not in (0, 128 + signal.SIGINT):  # `ros2 launch` may return the latter
        raise NodeError(f"the node ended with {_exit(code)} when it was asked to stop", log)


def last_line(log: Path) -> str:
    """The last line of a log, as a phrase for an error message."""
    lines = _lines(log)
    return f"its log {log} ends with: {lines[-1]}" if lines else f"its log {log} is empty"


def tail(log: Path) -> list[str]:
    """The last lines of a log, for a person to read."""
    return _lines(log)[-TAIL_LINES:]


def _lines(log: Path) -> list[str]:
    return [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def _stop(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _exit(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
