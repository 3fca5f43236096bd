"""Entry point of the executable `segment_node`: stops at once when told to, at any moment."""

from __future__ import annotations

import gc
import os
import signal
import sys

USAGE = """\
usage: segment_node [--help | --version] [--ros-args ...]

The segmentation node: subscribes to a camera's images and publishes class
masks, until it is told to stop.

  segment_node --ros-args -r image:=/camera/image_raw -p artifact:=light
  segment_node --ros-args --params-file params.yaml

`ros2 param describe /segment NAME` explains a parameter of a running node;
docs/reference/parameters.md lists them all.
"""


def main() -> None:
    """Run the node; ends the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # nothing has been started that needs cleaning up
    from desert_seg_ros.environment import split_ros_arguments

    own, ros = split_ros_arguments(sys.argv[1:])
    if own:
        _answer(own)
        return
    from desert_seg_ros.process import run

    code = run(ros)
    gc.collect()  # the rest of DDS frees its shared memory
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # unloading the engine takes a second, and a stuck worker would never end


def _answer(arguments: list[str]) -> None:
    """Print what is asked for instead of running the node; exits with 1 if that is nothing we know."""
    from desert_seg.errors import DesertSegError
    from desert_seg.program import fail, installed_version

    try:
        if arguments in (["--help"], ["-h"]):
            sys.stdout.write(USAGE)
        elif arguments == ["--version"]:
            sys.stdout.write(f"segment_node {installed_version()}\n")
        else:
            raise DesertSegError(
                f"found the argument {arguments[0]!r}, expected --help, --version or --ros-args; write parameters and "
                "remappings after --ros-args"
            )
    except DesertSegError as error:
        fail(str(error))


if __name__ == "__main__":
    main()
