"""Entry point of the executable `segment_node`: stops at once when told to, at any moment."""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> None:
    """Run the node; ends the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # nothing has been started that needs cleaning up
    from desert_seg_ros.process import run

    code = run()
    gc.collect()  # the rest of DDS frees its shared memory
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # unloading the engine takes a second, and a stuck worker would never end


if __name__ == "__main__":
    main()
