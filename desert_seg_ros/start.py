"""Entry point of the executable `segment_node`: can be told to stop before the slow imports are through."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the node; ends the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # nothing has been started that would need to be ended
    from desert_seg_ros.node import run

    sys.exit(run())


if __name__ == "__main__":
    main()
