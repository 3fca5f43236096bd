"""The real node as a contender: its own process, real DDS, and its own report of a frame's time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from desert_seg_ros.bag_benchmark.node_process import IMAGE_TOPIC, NODE_NAME, NodeError, node_command, running
from desert_seg_ros.cdr import stamped
from desert_seg_ros.side_node import spinning_node
from speed.contender import Lap, Laps
from speed.ours import WHOLE

TIMEOUT_S = 90.0
"""Timeout of an answer, including the first, before which the network may have to be compiled."""

SEND_AGAIN_S = 5.0
"""Images are sent best effort: one without an answer after this long was lost."""

KNOCK_S = 0.25
"""The same while the node starts and does not receive anything yet."""

SETTLE_S = 1.0


class LiveNode(AbstractContextManager["LiveNode"]):
    """A node that is running and has answered, within a `with` block."""

    def __init__(self, artifact: Path, images: Sequence[bytes], device: str, log: Path) -> None:
        """Prepare.

        Args:
            artifact: Model artifact.
            images: sensor_msgs/Image, CDR.
            device: One of `desert_seg.engines.engine.DEVICES`.
            log: File for the node's output.
        """
        parameters = {"artifact": str(artifact.resolve()), "image_transport": "raw", "device": device}
        self._command, self._log, self._images = node_command(parameters), log, images
        self._changed = threading.Condition()
        self._timings: dict[int, dict[str, float]] = {}
        self._arrivals: list[float] = []
        self._num_sent = 0

    def __enter__(self) -> LiveNode:
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import Image

        with ExitStack() as stack:
            ros = stack.enter_context(spinning_node("desert_seg_bench"))
            self._publisher = ros.create_publisher(Image, IMAGE_TOPIC, 10)
            ros.create_subscription(Image, f"/{NODE_NAME}/mask", self._receive_mask, 50, raw=True)
            ros.create_subscription(DiagnosticArray, f"/{NODE_NAME}/timing", self._receive_timing, 50)
            self._process = stack.enter_context(running(self._command, self._log))
            self._send_until_answered(KNOCK_S)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def run(self, repeats: int) -> Laps:
        """Send frames one by one, each after the answer to the one before.

        Returns:
            Times from receiving the message to having published the mask, by the node's own clock.

        Raises:
            NodeError: The node has ended or does not answer.
        """
        timings = [self._send_until_answered(SEND_AGAIN_S) for _ in range(repeats)]
        return {WHOLE: [Lap(each["latency_ms"] - each["wait_ms"], each["inference_ms"]) for each in timings]}

    def overload(self, hz: float, seconds: float) -> tuple[float, float]:
        """Send frames at a fixed rate, without waiting for answers.

        Returns:
            Masks per second, from the first to the last arrival; and how many cores this process kept busy meanwhile,
            which sends and receives, and which a robot does not have beside the node.

        Raises:
            NodeError: The node has ended or does not answer.
        """
        self._arrivals.clear()
        began, cpu_began = time.perf_counter(), time.process_time()
        for number in range(round(hz * seconds)):
            time.sleep(max(0.0, began + number / hz - time.perf_counter()))
            self._publish()
        cores = (time.process_time() - cpu_began) / (time.perf_counter() - began)
        time.sleep(SETTLE_S)
        self._process.check()
        arrivals = list(self._arrivals)
        self._timings.clear()
        if len(arrivals) < 2:
            raise NodeError(f"{len(arrivals)} masks came back in {seconds:g} s of {hz:.0f} images a second", self._log)
        return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]), cores

    def _send_until_answered(self, patience_s: float) -> dict[str, float]:
        """The timing of the first frame to be answered, which need not be the last one sent."""
        deadline, sent = time.perf_counter() + TIMEOUT_S, set[int]()
        while time.perf_counter() < deadline:
            sent.add(self._publish())
            with self._changed:
                if self._changed.wait_for(lambda: sent & self._timings.keys(), patience_s):
                    return self._timings.pop(min(sent & self._timings.keys()))
            self._process.check()
        raise NodeError(f"no frame was answered within {TIMEOUT_S:.0f} s", self._log)

    def _publish(self) -> int:
        stamp_ns = time.time_ns()
        self._publisher.publish(stamped(self._images[self._num_sent % len(self._images)], stamp_ns))
        self._num_sent += 1
        return stamp_ns

    def _receive_mask(self, cdr: bytes) -> None:
        self._arrivals.append(time.perf_counter())

    def _receive_timing(self, message: Any) -> None:
        stamp = message.header.stamp
        with self._changed:
            self._timings[stamp.sec * 10**9 + stamp.nanosec] = {
                entry.key: float(entry.value) for entry in message.status[0].values
            }
            self._changed.notify_all()
