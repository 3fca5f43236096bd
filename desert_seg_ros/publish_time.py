"""Measures publishing: `python -m desert_seg_ros.publish_time 960x540 ...` prints milliseconds as a JSON list.

Real DDS with the node's quality of service and one subscriber, on this machine alone; medians, sizes in turns.
`desert-seg profile` runs it as a program, because it does not import ROS.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from statistics import median

import numpy as np

from desert_seg.errors import DesertSegError
from desert_seg.recordings.image_codec import fill_image
from desert_seg_ros.environment import require_ros
from desert_seg_ros.side_node import spinning_node

TIMEOUT_S = 10.0
SEND_AGAIN_S = 0.1
NUM_ROUNDS = 20


def publish_times(sizes: list[tuple[int, int]]) -> list[float]:
    """Milliseconds of publishing a mono8 image of each (H, W).

    Raises:
        DesertSegError: ROS cannot be started here, or nothing published is received.
    """
    require_ros()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    from sensor_msgs.msg import Image

    from desert_seg_ros.camera import output_qos

    heard = threading.Event()
    with spinning_node("desert_seg_publish_time") as node:
        publisher = node.create_publisher(Image, "~/mask", output_qos())
        node.create_subscription(Image, "~/mask", lambda _: heard.set(), output_qos(), raw=True)
        deadline = time.monotonic() + TIMEOUT_S
        while not heard.is_set():
            if time.monotonic() > deadline:
                raise DesertSegError(f"found nobody who hears what is published within {TIMEOUT_S:.0f} s")
            publisher.publish(Image())
            heard.wait(SEND_AGAIN_S)
        taken: list[list[float]] = [[] for _ in sizes]
        for _ in range(NUM_ROUNDS):
            for size, times in zip(sizes, taken, strict=True):
                message = Image()
                fill_image(message, np.zeros(size, np.uint8), "mono8", message.header)
                began = time.perf_counter()
                publisher.publish(message)
                times.append((time.perf_counter() - began) * 1e3)
    return [median(times) for times in taken]


def main() -> None:
    """The program."""
    sizes = [(int(height), int(width)) for width, _, height in (text.partition("x") for text in sys.argv[1:])]
    try:
        sys.stdout.write(json.dumps(publish_times(sizes)) + "\n")
    except DesertSegError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
