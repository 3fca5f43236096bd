"""The process around the node: joins ROS, brings the node up, forwards what the core logs, and ends in time.

The node itself is `node`, the executable `start`.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence

import rclpy
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn

from desert_seg.errors import DesertSegError, shortened
from desert_seg.memory import keep_freed_memory
from desert_seg.share import share_directory
from desert_seg_ros.environment import node_cure, require_ros, security_cure, start_ros, use_dds_profile
from desert_seg_ros.node import STOP_S, SegmentationNode
from desert_seg_ros.parameter_files import unused_parameter_files
from desert_seg_ros.remappings import unused_remappings

LOOK_S = 0.5
"""How often to check whether the process is to end."""

KEPT_BYTES = 2**26
"""Memory that frames have freed and that is kept for the next ones."""


def run(arguments: Sequence[str]) -> int:
    """Run the node until it is told to stop.

    Args:
        arguments: For rclpy, from `--ros-args` on.

    Returns:
        The process's exit code. A worker that is stuck in a frame may still have a thread.
    """
    try:
        require_ros()
        use_dds_profile(share_directory() / "config" / "fastdds_shm.xml")
    except DesertSegError as error:
        return _refuse(str(error))
    keep_freed_memory(KEPT_BYTES)
    # rclpy's own handler ends the spinning; Python's would raise KeyboardInterrupt anywhere in the clean-up.
    told_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_stop.set())
    try:
        start_ros(arguments)
    except DesertSegError as error:
        return _refuse(str(error))
    if told_to_stop.is_set():  # before rclpy's handler was there to hear it
        rclpy.try_shutdown()
        return 0
    node, code = None, 0
    starting = _Starting()
    try:
        node = SegmentationNode()
        logging.getLogger("desert_seg").addHandler(_ToRosout(node))
        for sentence in (
            *unused_parameter_files(arguments, node.get_fully_qualified_name()),
            *unused_remappings(arguments, node, node.parameters.cameras),
        ):
            node.get_logger().warning(sentence)
        # A multi-threaded executor takes ten times as long to deliver an image, time that the engine then lacks. It
        # ends before the node is destroyed, because what it was about to deliver is in use until then.
        with SingleThreadedExecutor() as executor:
            executor.add_node(node)
            if not node.parameters.autostart or starting.run(node):
                # A signal wakes the executor before it shuts ROS down (rclpy's signal_handler.cpp): one without a timer
                # may go back to waiting in between, for ever.
                while rclpy.ok():
                    executor.spin_once(timeout_sec=LOOK_S)
            else:
                code = 1 if rclpy.ok() else 0
    except (DesertSegError, ParameterException) as error:
        code = _refuse(_first_line(error))
    except ExternalShutdownException:
        pass
    except (RCLError, InvalidHandle) as error:
        if rclpy.ok():
            found = _first_line(error)
            cure = security_cure(found) or node_cure(found)
            code = _refuse(f"ROS did not start the node ({found}); {cure}")
    finally:
        if node is not None:
            starting.wait(STOP_S)
            node.end()
        rclpy.try_shutdown()
    if node is not None and node.failure:
        code = 1
    return code


class _ToRosout(logging.Handler):
    """Forwards what the core logs to the node's log."""

    def __init__(self, node: SegmentationNode) -> None:
        super().__init__()
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        # rclpy allows one severity per call site, so each needs a line of its own.
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


class _Starting:
    """Configures and activates in a thread, so that a slowly loading model does not delay the end of the process."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._done = False
        self._error: Exception | None = None

    def run(self, node: SegmentationNode) -> bool:
        """Returns whether the node is active; False, too, if the process was told to stop meanwhile."""
        self._thread = threading.Thread(target=self._start, args=(node,), daemon=True)
        self._thread.start()
        while self._thread.is_alive() and rclpy.ok():
            self._thread.join(0.05)
        if self._error is not None:
            raise self._error
        return self._done

    def wait(self, timeout_s: float) -> None:
        """Wait for the thread; while it runs, DDS cannot end without leaving its shared memory behind."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                sys.stderr.write("ended while the model was still loading; Fast DDS's shared memory stays behind\n")

    def _start(self, node: SegmentationNode) -> None:
        try:
            transitions = (node.trigger_configure, node.trigger_activate)
            self._done = all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)
        except Exception as error:
            self._error = error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refuse(reason: str) -> int:
    sys.stderr.write(f"error: {shortened(reason)}\n")
    return 1
