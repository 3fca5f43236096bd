"""Publishing with somebody listening, on this machine alone: to time it where no node runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from desert_seg.errors import DesertSegError
from desert_seg_ros.environment import require_ros
from desert_seg_ros.side_node import spinning_node

TIMEOUT_S = 10.0
SEND_AGAIN_S = 0.1


@contextmanager
def heard_publisher() -> Iterator[tuple[Callable[[], Any], Callable[[Any], None]]]:
    """Publish on real DDS, with the node's quality of service, to a subscription in this process.

    Yields:
        What makes a sensor_msgs/Image, and what publishes it.

    Raises:
        DesertSegError: ROS cannot be started here, or nothing published is heard.
    """
    require_ros()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    from sensor_msgs.msg import Image

    from desert_seg_ros.camera import output_qos

    heard = threading.Event()
    with spinning_node("desert_seg_profile") as node:
        publisher = node.create_publisher(Image, "~/mask", output_qos())
        node.create_subscription(Image, "~/mask", lambda _: heard.set(), output_qos(), raw=True)
        deadline = time.monotonic() + TIMEOUT_S
        while not heard.is_set():
            if time.monotonic() > deadline:
                raise DesertSegError(f"found nobody who hears what is published within {TIMEOUT_S:.0f} s")
            publisher.publish(Image())
            heard.wait(SEND_AGAIN_S)
        yield Image, publisher.publish
