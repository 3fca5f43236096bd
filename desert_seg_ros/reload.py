"""The service ~/reload_model: loads the artifact again beside the model in use, then swaps the two."""

from __future__ import annotations

import threading
import traceback
import types
from collections.abc import Callable, Generator

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from desert_seg.errors import DesertSegError, shortened
from desert_seg_ros.model import Model

TURN_S = 0.01
"""Longest wait of other callbacks while a model is being reloaded."""


class ReloadService:
    """See the module."""

    def __init__(self, node: Node, load: Callable[[], Model], swap: Callable[[Model], None]) -> None:
        """Offer the service.

        Args:
            node: The node that offers it.
            load: Called in a thread of its own; returns the new model, warmed up.
            swap: Called in that thread with the new model, to make it the one in use.
        """
        self._node, self._load, self._swap = node, load, swap
        group = MutuallyExclusiveCallbackGroup()  # a service that has not answered yet blocks its group
        self._service = node.create_service(Trigger, "~/reload_model", self._on_reload, callback_group=group)

    def close(self) -> None:
        """Withdraw the service."""
        self._node.destroy_service(self._service)

    async def _on_reload(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        thread = threading.Thread(target=self._reload, args=(response,), name="reload", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(TURN_S)
            await _others()
        return response

    def _reload(self, response: Trigger.Response) -> None:
        try:
            model = self._load()
            self._swap(model)
        except Exception as error:  # whatever is wrong with the new model, the old one works
            known = isinstance(error, DesertSegError)
            reason = str(error) if known else f"the new model failed with {type(error).__name__} ({error})"
            response.success, response.message = False, f"{shortened(reason)}; the model in use stays"
            details = "" if known else "\n" + traceback.format_exc()
            self._node.get_logger().error(response.message + details)
            return
        response.success, response.message = True, f"runs {model.segmenter.card.name} {model.segmenter.digest[:12]}"


@types.coroutine
def _others() -> Generator[None, None, None]:
    """Awaited in a callback, lets the executor run others that are ready."""
    yield
