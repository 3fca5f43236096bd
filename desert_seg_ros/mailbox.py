"""A mailbox with one slot per camera, which holds the newest item.

It stands between callbacks that must not wait and a worker that may be slow.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Producers put, one consumer gets; an item not fetched in time is replaced by the next in its slot.

    The consumer gets the items of all slots at once, so that a fast camera cannot starve another.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._items: dict[str, Item] = {}
        self._closed = False

    def put(self, slot: str, item: Item) -> bool:
        """Leave an item, without waiting.

        Returns:
            True if an older item had not been fetched and is lost.
        """
        with self._condition:
            replaced = slot in self._items
            self._items[slot] = item
            self._condition.notify()
        return replaced

    def get(self) -> dict[str, Item] | None:
        """Wait for items and take those of all slots; None once the box is closed, even if something is left."""
        with self._condition:
            self._condition.wait_for(lambda: self._items or self._closed)
            items, self._items = self._items, {}
            return None if self._closed else items

    def close(self) -> None:
        """Wake the consumer for the last time."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
