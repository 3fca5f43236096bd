"""Entry point of the executable `segment_node`: can be told to stop at any moment, and then stops at once."""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> None:
    """Run the node; ends the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # nothing has been started that would need to be ended
    from desert_seg_ros.process import run

    code = run()
    gc.collect()  # what is left of DDS takes its shared memory with it
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # unloading the engine takes a second, waiting for a stuck worker would take for ever


if __name__ == "__main__":
    main()
