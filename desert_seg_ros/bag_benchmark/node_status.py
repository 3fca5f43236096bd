"""The node's own report on /diagnostics, as numbers. Knows nothing of rclpy.

Its counters start with the node; `Counters.since` gives them from any later time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_DROPPED = "dropped_"


@dataclass(frozen=True)
class Counters:
    """What happened to the images that reached the node.

    Attributes:
        received: Images that reached it.
        answered: Masks it published.
        dropped: Images without a mask, by cause.
        lost: Images that were published and lost on the way, according to its DDS.
    """

    received: int = 0
    answered: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0

    @property
    def pending(self) -> int:
        """Images that are neither answered nor dropped yet."""
        return self.received - self.answered - sum(self.dropped.values())

    def since(self, earlier: Counters) -> Counters:
        """The counts since then."""
        dropped = {cause: count - earlier.dropped.get(cause, 0) for cause, count in self.dropped.items()}
        return Counters(
            self.received - earlier.received, self.answered - earlier.answered, dropped, self.lost - earlier.lost
        )


@dataclass(frozen=True)
class NodeStatus:
    """One report of the node.

    Attributes:
        at_s: When it was received, on `time.perf_counter`.
        message: The node's status message.
        values: All values as published.
    """

    at_s: float
    message: str
    values: Mapping[str, str]

    @property
    def counters(self) -> Counters:
        """What happened to the images so far."""
        dropped = {
            key.removeprefix(_DROPPED): int(value) for key, value in self.values.items() if key.startswith(_DROPPED)
        }
        received, answered, lost = (int(self.values.get(key, 0)) for key in ("frames_in", "frames_out", "frames_lost"))
        return Counters(received, answered, dropped, lost)

    @property
    def num_publishers(self) -> int:
        """How many publishers the node sees on its input topic."""
        return int(self.values.get("publishers", 0))
