"""The raw observations of a run, without interpretation. Knows nothing of rclpy.

Times are on `time.perf_counter`, in seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from desert_seg.recordings.bag import BagWriter
from desert_seg.recordings.image_topic import IMAGE
from desert_seg_ros.bag_benchmark.frames import PreparedFrame
from desert_seg_ros.bag_benchmark.node_status import Counters, NodeStatus
from desert_seg_ros.bag_benchmark.pace import Pace
from desert_seg_ros.bag_benchmark.resources import Sample
from desert_seg_ros.cdr import stamped


@dataclass
class Sent:
    """A published frame.

    Attributes:
        index: Index of the frame in the drive.
        at_s: Just before its image was published.
        due_s: When it should have been published; in lockstep the same.
        answered_s: When its mask arrived; None if it never did.
    """

    index: int
    at_s: float
    due_s: float
    answered_s: float | None = None


@dataclass(frozen=True)
class Recording:
    """What was seen in a run.

    Attributes:
        pace: How fast frames were published.
        sent: Every published frame, in order.
        counters: What the node counted during the run.
        status: The node's last report.
        ready_s: From starting the node to its subscription, a duration; None if it was running already.
        first_mask_s: From starting the node to its first mask, a duration; None if it was running already.
        pid: The node's process; None if unknown.
        samples: Resource use of processes, from before the first frame to after the last mask.
        peak_rss_bytes: The node's peak memory since its start; None if its process is unknown.
        mask_bag: The first mask of every frame of the drive, with the drive's stamps.
        mask_topic: The masks' topic in it.
        masked: Positions in the drive of the frames with a mask, in the order of the bag.
    """

    pace: Pace
    sent: Sequence[Sent]
    counters: Counters
    status: NodeStatus
    ready_s: float | None
    first_mask_s: float | None
    pid: int | None
    samples: Sequence[Sample]
    peak_rss_bytes: int | None
    mask_bag: Path
    mask_topic: str
    masked: Sequence[int]

    @property
    def answered(self) -> list[Sent]:
        """The frames whose mask arrived, in the order they were sent."""
        return [sent for sent in self.sent if sent.answered_s is not None]


class Ledger:
    """Which frames were sent and which are answered; written by the sender's and the receiver's threads."""

    def __init__(self, writer: BagWriter, mask_topic: str) -> None:
        """Start empty; the first mask of every frame goes to `writer`."""
        self.sent: list[Sent] = []
        self.num_masks = 0
        self._writer, self._mask_topic = writer, mask_topic
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[Sent, PreparedFrame]] = {}
        self._kept: dict[int, int] = {}

    def note(self, stamp_ns: int, at_s: float, frame: PreparedFrame, due_s: float | None) -> None:
        """Enter a frame that is being published under a unique stamp; `due_s` is None in lockstep."""
        sent = Sent(frame.index, at_s, at_s if due_s is None else due_s)
        with self._lock:
            self.sent.append(sent)
            self._waiting[stamp_ns] = (sent, frame)

    def on_mask(self, stamp_ns: int, at_s: float, cdr: bytes) -> None:
        """Enter a mask."""
        with self._lock:
            if stamp_ns not in self._waiting:
                return
            sent, frame = self._waiting.pop(stamp_ns)
            sent.answered_s = at_s
            self.num_masks += 1
        if frame.index not in self._kept:
            self._kept[frame.index] = frame.recorded_ns
            self._writer.write(self._mask_topic, IMAGE, frame.recorded_ns, stamped(cdr, frame.stamp_ns))

    @property
    def masked(self) -> list[int]:
        """Positions of the frames whose masks were written, in the order of time, as they are read back."""
        return sorted(self._kept, key=self._kept.__getitem__)

    def num_unanswered(self, newest: int) -> int:
        """How many of the `newest` frames have no mask yet."""
        return sum(sent.answered_s is None for sent in self.sent[-newest:])
