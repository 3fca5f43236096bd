"""A box that holds one item, the newest. Between a callback that must not wait and a worker that may be slow."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """One producer puts, one consumer gets; an item that was not fetched in time is replaced by the next."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Leave an item, at once.

        Returns:
            True if an older item had not been fetched and is lost.
        """
        with self._condition:
            replaced = self._item is not None
            self._item = item
            self._condition.notify()
        return replaced

    def get(self) -> Item | None:
        """Wait for an item and take it; None once the box is closed, even if an item is left."""
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Wake the consumer for the last time."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
