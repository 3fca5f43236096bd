"""A ROS node of its own context, for programs that measure or watch another node in the same process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node


@contextmanager
def spinning_node(name: str) -> Iterator[Node]:
    """A node in a ROS context of its own, whose callbacks run in a thread that has ended when the block ends.

    It installs no signal handlers and ignores the process's arguments, which may hold another node's parameters.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    with ExitStack() as stack:
        context = rclpy.Context()
        rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(context.shutdown)
        node = rclpy.create_node(name, context=context)
        stack.callback(node.destroy_node)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, name="spin", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(executor.shutdown)
        yield node
