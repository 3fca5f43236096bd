"""A drive through the live node: what went in, what came out, how long it took, how good it was.

The node runs as a process of its own and is reached only through DDS, as on a robot. Latency is counted from just
before an image is published to the moment its mask arrives here; a frame's fate is read from the node's own
/diagnostics.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desert_seg.errors import EngineError
from desert_seg_ros.bag import IMAGE, Bag, BagWriter, deserialize
from desert_seg_ros.drive import Drive, DriveFrame
from desert_seg_ros.health import DROP_CAUSES
from desert_seg_ros.image_codec import decode_mask

NODE_NAME = "segment"
MASK_TOPIC = "/segment/mask"
IMAGE_TOPIC = "/camera/image_raw"
START_TIMEOUT_S = 90.0
"""The first start on a machine compiles the network; a slow board takes a while."""

SETTLE_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Run:
    """What happened in one replay.

    Attributes:
        frames_sent: Images published.
        frames_received: Images the node counted.
        masks: Masks that arrived here.
        dropped: Images without a mask by cause, as the node counted them, and `transport`: never seen by the node.
        seconds: From the first publication to the last mask.
        latency_ms: One value per mask, in order of arrival.
        start_seconds: From starting the node to its first report that it is listening to us, which comes once a second.
        node: The node's last diagnostic values.
    """

    frames_sent: int
    frames_received: int
    masks: int
    dropped: dict[str, int]
    seconds: float
    latency_ms: tuple[float, ...]
    start_seconds: float
    node: dict[str, str]

    def percentiles(self) -> dict[str, float]:
        """Latency p50, p95, p99 in ms; empty without masks."""
        if not self.latency_ms:
            return {}
        values = np.percentile(self.latency_ms, (50, 95, 99))
        return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), values, strict=True)}


def node_command(artifact: str, transport: str, parameters: dict[str, str]) -> list[str]:
    """Command line that starts the node: through `ros2 launch` where there is a ros2, else directly.

    Args:
        artifact: Model artifact.
        transport: `raw` or `compressed`.
        parameters: Further launch arguments that are node parameters of the same name (engine, tta, ...).
    """
    values = {"artifact": artifact, "image_transport": transport, **parameters}
    if shutil.which("ros2"):
        return ["ros2", "launch", "desert_seg_ros", "segment.launch.py", *(f"{k}:={v}" for k, v in values.items())]
    remaps = (
        f"image:={IMAGE_TOPIC}",
        f"image/compressed:={IMAGE_TOPIC}/compressed",
        "camera_info:=/camera/camera_info",
    )
    return [
        *(sys.executable, "-m", "desert_seg_ros.node", "--ros-args"),
        *(part for remap in remaps for part in ("-r", remap)),
        *(part for name, value in values.items() for part in ("-p", f"{name}:={value}")),
    ]


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node process for the time of a `with` block, which ends when the process has obeyed a SIGINT.

    Raises:
        EngineError: It did not end with exit code 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    if code not in (0, 128 + signal.SIGINT):  # the latter is how `ros2 launch` may report that it obeyed
        raise EngineError(f"the node ended with exit code {code}; {last_line(log)}")


def last_line(log: Path) -> str:
    """The last thing a log says, for an error message."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"its log {log} ends with: {lines[-1]}" if lines else f"its log {log} is empty"


def replay_through_node(
    drive: Drive,
    command: Sequence[str],
    transport: str,
    mask_bag: Path,
    log: Path,
    rate: float = 1.0,
    progress: Callable[[int, int], None] = lambda sent, masks: None,
) -> Run:
    """Start the node, replay a drive at its recorded pace, record the masks, stop the node.

    Args:
        drive: What to replay.
        command: Starts the node; see `node_command`.
        transport: `raw` or `compressed`.
        mask_bag: Bag to write; its masks carry the stamps of the drive's images.
        log: File for the node's output.
        rate: Pace, 1 = as recorded.
        progress: Told the number of images sent and masks received so far.

    Raises:
        EngineError: The node did not start, or ended too early.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from desert_seg_ros.replay import Replayer, ReplayOptions

    rclpy.init()
    ros = rclpy.create_node("desert_seg_benchmark")
    executor = SingleThreadedExecutor()
    executor.add_node(ros)
    spinning = threading.Thread(target=executor.spin, name="spin", daemon=True)
    try:
        with BagWriter(mask_bag, overwrite=True) as bag:
            collector = _Collector(ros, bag, progress)
            replayer = Replayer(ros, drive, ReplayOptions(image_topic=IMAGE_TOPIC, transport=transport, rate=rate))
            replayer.advertise()
            spinning.start()
            started = time.perf_counter()
            with running(command, log) as process:
                _wait_until(collector.is_node_ready, process, log)
                start_seconds = time.perf_counter() - started
                replayer.run(collector.on_publish, should_stop=lambda: process.poll() is not None)
                if process.poll() is not None:
                    raise EngineError(f"the node ended during the replay; {last_line(log)}")
                collector.settle()
            executor.shutdown()  # nothing is written to the bag from here on
            spinning.join()
            return collector.result(start_seconds)
    finally:
        executor.shutdown()
        if spinning.is_alive():
            spinning.join()
        ros.destroy_node()
        rclpy.try_shutdown()


class _Collector:
    """Receives masks and diagnostics on the executor's thread while the main thread publishes."""

    def __init__(self, ros: Any, bag: BagWriter, progress: Callable[[int, int], None]) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import Image

        self._bag, self._progress = bag, progress
        self._lock = threading.Condition()
        self._sent: dict[int, tuple[float, DriveFrame]] = {}
        self._num_sent = self._num_masks = 0
        self._first_sent = self._last_arrival = 0.0
        self._latency_ms: list[float] = []
        self._diagnostics: dict[str, str] = {}
        ros.create_subscription(Image, MASK_TOPIC, self._on_mask, QoSProfile(depth=50))
        ros.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def is_node_ready(self) -> bool:
        """True once the node says that it sees our publisher: a best-effort reader misses what is sent before."""
        with self._lock:
            return int(self._diagnostics.get("publishers", 0)) > 0

    def on_publish(self, stamp_ns: int, index: int, frame: DriveFrame) -> None:
        """Note when an image goes out."""
        with self._lock:
            now = time.perf_counter()
            self._first_sent = self._first_sent or now
            self._sent[stamp_ns] = (now, frame)
            self._num_sent += 1
        self._progress(self._num_sent, self._num_masks)

    def _on_mask(self, message: Any) -> None:
        from rclpy.serialization import serialize_message

        now = time.perf_counter()
        with self._lock:
            stamp = message.header.stamp
            sent, frame = self._sent.pop(stamp.sec * 10**9 + stamp.nanosec, (None, None))
            if sent is None or frame is None:
                return
            self._latency_ms.append((now - sent) * 1e3)
            self._num_masks += 1
            self._last_arrival = now
            self._lock.notify_all()
        stamp.sec, stamp.nanosec = divmod(frame.stamp_ns, 10**9)
        self._bag.write(MASK_TOPIC, IMAGE, frame.recorded_ns, serialize_message(message))

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name.endswith(f"{NODE_NAME}: segmentation"):
                with self._lock:
                    self._diagnostics = {entry.key: entry.value for entry in status.values}
                    self._lock.notify_all()

    def settle(self) -> None:
        """Wait until the node has accounted for every image it received and its masks are here, for a bounded time."""
        with self._lock:
            self._lock.wait_for(self._is_settled, SETTLE_TIMEOUT_S)

    def _is_settled(self) -> bool:
        received, masks, dropped = self._counts()
        return received == self._num_sent and received == masks + sum(dropped.values()) and masks == self._num_masks

    def _counts(self) -> tuple[int, int, dict[str, int]]:
        values = self._diagnostics
        dropped = {cause: int(values.get(f"dropped_{cause}", 0)) for cause in DROP_CAUSES}
        return int(values.get("frames_in", 0)), int(values.get("frames_out", 0)), dropped

    def result(self, start_seconds: float) -> Run:
        with self._lock:
            received, _, dropped = self._counts()
            return Run(
                frames_sent=self._num_sent,
                frames_received=received,
                masks=self._num_masks,
                dropped={**dropped, "transport": self._num_sent - received},
                seconds=max(self._last_arrival - self._first_sent, 0.0),
                latency_ms=tuple(self._latency_ms),
                start_seconds=start_seconds,
                node=dict(self._diagnostics),
            )


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if process.poll() is not None:
            raise EngineError(f"the node did not start; {last_line(log)}")
        if time.monotonic() > deadline:
            raise EngineError(f"the node was not ready after {START_TIMEOUT_S:.0f} s; {last_line(log)}")
        time.sleep(0.02)


def recorded_masks(mask_bag: Path) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Stamp in nanoseconds and HxW uint8 mask of every mask in a bag."""
    with Bag(mask_bag) as bag:
        for stored in bag.messages([MASK_TOPIC]):
            message = deserialize(stored)
            yield message.header.stamp.sec * 10**9 + message.header.stamp.nanosec, decode_mask(message)
