"""One run against the live node: start it, publish frames at a pace, receive the masks, stop it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from desert_seg.recordings.bag import BagWriter
from desert_seg_ros.bag_benchmark.frames import PreparedFrame, first_whole
from desert_seg_ros.bag_benchmark.link import Link
from desert_seg_ros.bag_benchmark.node_process import IMAGE_TOPIC, NODE_NAME, NodeError, NodeProcess, running
from desert_seg_ros.bag_benchmark.node_status import Counters, NodeStatus
from desert_seg_ros.bag_benchmark.pace import Length, Lockstep, Pace, schedule
from desert_seg_ros.bag_benchmark.recording import Ledger, Recording
from desert_seg_ros.bag_benchmark.resources import Sampler, peak_rss_bytes

START_TIMEOUT_S = 90.0
"""The first start on a machine compiles the network, which takes a while on a slow board."""

REPORT_TIMEOUT_S = 10.0
"""The node reports once a second."""

LAST_MASKS_TIMEOUT_S = 1.0
"""A mask that the node published this long ago has arrived or is lost."""

ANSWER_TIMEOUT_S = 60.0
"""In lockstep, a frame without a mask after this long is given up."""

MOST_GIVEN_UP = 3
"""In lockstep, this many frames given up in a row end the run."""

MOST_REFUSED = 10
"""A node that has dropped the first frame this often without an answer will not answer."""

GAP_S = 0.005
"""Least time between two frames in lockstep: the node's reader holds one, and takes it within that time."""

_WAKE_S = 0.05
"""Longest wait without checking the node's process."""

_IN_FLIGHT_S = 0.2
"""An image that was sent this long ago has arrived or is lost."""


@dataclass(frozen=True)
class Subject:
    """The node under test: one that `command` starts, or one that is running already.

    Attributes:
        transport: Kind of images it accepts, `raw` or `compressed`.
        name: Name of the node, without leading slash.
        image_topic: Base name of its image topic.
        command: Starts it; empty if it is running.
        log: File for the output of a node that is started.
        pid: Process of a running node; None = unknown, so that its resource use is not measured.
    """

    transport: str
    name: str = NODE_NAME
    image_topic: str = IMAGE_TOPIC
    command: Sequence[str] = ()
    log: Path = Path("node.log")
    pid: int | None = None


def measure(
    subject: Subject,
    read: Callable[[], Iterable[PreparedFrame]],
    pace: Pace,
    length: Length,
    mask_bag: Path,
    progress: Callable[[int, int], None] = lambda sent, masks: None,
) -> Recording:
    """Start the node if necessary, publish frames, record the masks, stop the node.

    Args:
        subject: The node.
        read: Yields the frames of one pass over the drive, at least one.
        pace: How fast.
        length: Length of the run.
        mask_bag: Bag to write; an older one is replaced.
        progress: Called with the number of images sent and of masks received so far.

    Raises:
        NodeError: The node did not start, ended too early or does not answer.
        DataError: The bag cannot be written.
    """
    with ExitStack() as stack:
        writer = stack.enter_context(BagWriter(mask_bag, overwrite=True))
        link = stack.enter_context(Link(subject.name, subject.image_topic, subject.transport))
        started = time.perf_counter()
        process = stack.enter_context(running(subject.command, subject.log)) if subject.command else None
        conductor = _Conductor(link, process)
        conductor.find(subject)
        ready, first_mask, before = conductor.warm_up(first_whole(read(), subject.transport))
        pid = process.pid if process else subject.pid
        ledger = Ledger(writer, link.mask_topic)
        link.on_mask = ledger.on_mask
        with Sampler(pid) as sampler:
            conductor.play(read, pace, length, ledger, progress)
            status = conductor.settle(ledger, before)
        link.on_mask = lambda *_: None
        progress(len(ledger.sent), ledger.num_masks)
        return Recording(
            pace=pace,
            sent=ledger.sent,
            counters=status.counters.since(before),
            status=status,
            ready_s=ready - started if process else None,
            first_mask_s=first_mask - started if process else None,
            pid=pid,
            samples=sampler.samples,
            peak_rss_bytes=None if pid is None else peak_rss_bytes(pid),
            mask_bag=mask_bag,
            mask_topic=link.mask_topic,
            masked=ledger.masked,
        )


class _Conductor:
    """Sends and waits, and checks the node's process while it waits."""

    def __init__(self, link: Link, process: NodeProcess | None) -> None:
        self._link, self._process = link, process
        self._last_publish = 0.0

    def find(self, subject: Subject) -> None:
        """Wait until the node subscribes to our images."""
        link = self._link
        if self._process is None and not self._wait(lambda: link.status is not None, REPORT_TIMEOUT_S):
            others = ", ".join(sorted(link.heard_of)) or "none"
            raise NodeError(
                f"found no node {subject.name!r} that reports on /diagnostics, and of others: {others}; "
                "check --node and ROS_DOMAIN_ID"
            )
        timeout = REPORT_TIMEOUT_S if self._process is None else START_TIMEOUT_S
        if not self._wait(lambda: link.num_listeners > 0, timeout, wake_s=0.01):
            raise self._failure(f"nobody subscribed to {link.image_topic} within {timeout:.0f} s")
        if stranger := link.stranger():
            raise NodeError(stranger)

    def warm_up(self, frame: PreparedFrame) -> tuple[float, float, Counters]:
        """Send one frame repeatedly until its mask comes: before discovery is complete, messages are lost.

        Returns:
            When the node had subscribed, when the mask arrived, and the node's counters after that.
        """
        link, ready = self._link, time.perf_counter()
        before = Counters() if link.status is None else link.status.counters
        stamps: set[int] = set()
        arrivals: list[float] = []

        def on_mask(stamp_ns: int, at_s: float, _: bytes) -> None:
            if stamp_ns in stamps:
                arrivals.append(at_s)

        link.on_mask = on_mask
        while not arrivals and time.perf_counter() < ready + START_TIMEOUT_S:
            self._publish(frame, lambda stamp_ns, _: stamps.add(stamp_ns))
            self._wait(lambda: bool(arrivals), _WAKE_S)
            self._give_up_if_refused(before)
        if not arrivals:
            raise self._failure(f"no mask came back within {START_TIMEOUT_S:.0f} s")
        status = self._account(lambda status: status.counters.since(before).answered > 0)
        if status is None:
            raise self._failure(f"the node did not account for its first frames within {REPORT_TIMEOUT_S:.0f} s")
        return ready, arrivals[0], status.counters

    def _give_up_if_refused(self, before: Counters) -> None:
        """Raise NodeError if the node drops everything it receives, and not because it is busy."""
        counters = Counters() if self._link.status is None else self._link.status.counters.since(before)
        refused = {cause: count for cause, count in counters.dropped.items() if count and cause != "overload"}
        if not counters.answered and sum(refused.values()) >= MOST_REFUSED:
            causes = ", ".join(f"{count} as {cause.replace('_', ' ')}" for cause, count in refused.items())
            raise self._failure(f"the node drops the first frame again and again: {causes}")

    def play(
        self,
        read: Callable[[], Iterable[PreparedFrame]],
        pace: Pace,
        length: Length,
        ledger: Ledger,
        progress: Callable[[int, int], None],
    ) -> None:
        """Send each frame when it is due."""
        begin, given_up = time.perf_counter(), 0
        for due, frame in schedule(read, pace, length):
            if isinstance(pace, Lockstep):
                given_up = 0 if self._await_turn(ledger, pace.window) else given_up + 1
                if given_up == MOST_GIVEN_UP:
                    raise self._failure(f"the node left {given_up} frames in a row without a mask")
                self._sleep_until(self._last_publish + GAP_S)
                if length.seconds is not None and time.perf_counter() - begin >= length.seconds:
                    return
            due_s = None if due is None else begin + due
            if due_s is not None:
                self._sleep_until(due_s)
            self._publish(frame, partial(ledger.note, frame=frame, due_s=due_s))
            progress(len(ledger.sent), ledger.num_masks)

    def settle(self, ledger: Ledger, before: Counters) -> NodeStatus:
        """Wait, for a bounded time, until the node has accounted for what it received and its masks have arrived."""
        status = self._account(lambda _: True) or self._link.status
        assert status is not None, "a warm node has reported"
        num_masks = status.counters.since(before).answered
        self._wait(lambda: ledger.num_masks >= num_masks, LAST_MASKS_TIMEOUT_S)
        return status

    def _await_turn(self, ledger: Ledger, window: int) -> bool:
        """Wait until few enough frames are unanswered; False if one had to be given up."""

        def is_answered() -> bool:
            return ledger.num_unanswered(window) < window

        self._wait(lambda: is_answered() or self._accounted() is not None, ANSWER_TIMEOUT_S)
        return is_answered() or self._wait(is_answered, _WAKE_S)

    def _account(self, is_complete: Callable[[NodeStatus], bool]) -> NodeStatus | None:
        """Wait for a report that accounts for every image the node received; None if there is none in time."""

        def is_settled() -> bool:
            status = self._accounted()
            return status is not None and is_complete(status)

        return self._link.status if self._wait(is_settled, REPORT_TIMEOUT_S) else None

    def _accounted(self) -> NodeStatus | None:
        """The node's last report, if it is later than the last image and no image is pending."""
        status = self._link.status
        if status is None or status.at_s < self._last_publish + _IN_FLIGHT_S or status.counters.pending:
            return None
        return status

    def _publish(self, frame: PreparedFrame, note: Callable[[int, float], None]) -> None:
        stamp_ns = self._link.new_stamp()
        self._link.publish(frame, stamp_ns, partial(note, stamp_ns))
        self._last_publish = time.perf_counter()

    def _wait(self, condition: Callable[[], bool], timeout_s: float, wake_s: float = _WAKE_S) -> bool:
        """Wait for a condition that masks and reports may fulfil; False if it is not fulfilled in time."""
        deadline = time.perf_counter() + timeout_s
        with self._link.changed:
            while not (holds := condition()) and (remaining := deadline - time.perf_counter()) > 0:
                self._link.changed.wait(min(remaining, wake_s))
                self._check()
        return holds

    def _sleep_until(self, moment: float) -> None:
        while (remaining := moment - time.perf_counter()) > 0:
            time.sleep(min(remaining, _WAKE_S))
            self._check()

    def _check(self) -> None:
        if self._process is not None:
            self._process.check()

    def _failure(self, sentence: str) -> NodeError:
        """The error, with the end of the node's log or its status."""
        self._check()
        status, log = self._link.status, self._process.log if self._process else None
        if status is None:
            return NodeError(sentence, log)
        values = status.values
        facts = {
            "it says": status.message,
            "listens to": values.get("input"),
            "last error": values.get("last_error"),
        }
        said = ", ".join(f"{name}: {value}" for name, value in facts.items() if value)
        return NodeError(f"{sentence} ({said})", log)
