"""What the node is made of, without ROS: mailbox, health, parameters, worker."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desert_seg.errors import FrameError
from desert_seg.segmenter import Segmentation
from desert_seg_ros.health import DROP_CAUSES, ERROR, OK, STALE, WARN, Health
from desert_seg_ros.mailbox import Mailbox
from desert_seg_ros.parameters import NodeParameters, ParameterError
from desert_seg_ros.worker import FrameWorker, Settings


# ---------------------------------------------------------------------------------------------------- mailbox
@given(st.lists(st.integers(), min_size=1))
def test_only_the_newest_item_is_handed_out_and_every_lost_one_is_reported(items):
    mailbox = Mailbox()
    replaced = [mailbox.put(item) for item in items]
    assert replaced == [False] + [True] * (len(items) - 1)
    assert mailbox.get() == items[-1]


def test_closing_wakes_a_waiting_consumer():
    mailbox = Mailbox()
    got = []
    consumer = threading.Thread(target=lambda: got.append(mailbox.get()))
    consumer.start()
    mailbox.close()
    consumer.join(10)
    assert got == [None]


def test_a_closed_box_gives_nothing_even_if_something_is_in_it():
    mailbox = Mailbox()
    mailbox.put(1)
    mailbox.close()
    assert mailbox.get() is None


# ---------------------------------------------------------------------------------------------------- health
@pytest.fixture
def clock():
    return SimpleNamespace(now=100.0)


@pytest.fixture
def health(clock):
    return Health(lambda: clock.now)


def test_no_input_is_stale_from_the_start_and_after_a_silence(health, clock):
    assert health.report(num_publishers=1).message == "no image yet"
    assert health.report(num_publishers=0).message == "no image yet, and nobody publishes on the input topic"
    assert health.report().level == STALE
    health.frame_in()
    assert health.report().level == OK
    clock.now += 3
    report = health.report()
    assert report.level == STALE
    assert report.message == "no image for 3 s"


def test_rates_are_those_since_the_last_report_and_totals_those_since_the_start(health, clock):
    for _ in range(2):
        for _ in range(20):
            health.frame_in()
            health.frame_out(latency_ms=12.0, inference_ms=10.0)
        clock.now += 2
        values = health.report().values
        assert values["fps_in"] == values["fps_out"] == "10.0"
    assert values["frames_in"] == values["frames_out"] == "40"
    assert values["latency_ms_p95"] == "12.0"


@pytest.mark.parametrize(
    ("cause", "level"),
    [("overload", WARN), ("stale", WARN), ("bad_frame", ERROR), ("disabled", OK), ("rate_limit", OK)],
)
def test_each_cause_of_a_drop_is_counted_and_judged_until_the_next_report(health, cause, level):
    health.frame_in()
    health.drop(cause, "encoding 'x' is unknown" if cause == "bad_frame" else "")
    report = health.report()
    assert report.level == level
    assert report.values[f"dropped_{cause}"] == "1"
    if cause == "bad_frame":
        assert "encoding 'x' is unknown" in report.message
    health.frame_in()
    assert health.report().level == OK


# ---------------------------------------------------------------------------------------------------- parameters
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tta": "lots"}, "choose one of: none, flip, scales, full"),
        ({"confidence_threshold": 1.5}, "from 0.0 to 1.0"),
        ({"image_transport": "theora"}, "raw, compressed"),
        ({"threads": -1}, "from 0 to 256"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_those_that_are(change, message):
    with pytest.raises(ParameterError, match=message):
        NodeParameters().changed(change)


def test_changing_gives_a_new_set_and_ignores_names_of_others():
    before = NodeParameters()
    after = before.changed({"tta": "flip", "use_sim_time": True, "suppressed_classes": ["Sky", ""]})
    assert (before.tta, after.tta) == ("none", "flip")
    assert after.suppressed() == ("Sky",)


# ---------------------------------------------------------------------------------------------------- worker
def message(seconds, payload="good"):
    stamp = SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), data=payload)


class Bench:
    """A worker with a model that waits for the test's permission before each frame, unless told not to."""

    def __init__(self, waits=False, now=1000.0, **parameters):
        self.health, self.published, self.bad, self.crashes = Health(), [], [], []
        self.waits, self.now = waits, now
        self.segmenting, self.permission = threading.Semaphore(0), threading.Semaphore(0)
        self.worker = FrameWorker(
            segmenter=self,
            settings=Settings(NodeParameters().changed(parameters), None),
            health=self.health,
            decode=self.decode,
            now_ns=lambda: int(self.now * 1e9),
            wants_confidence=lambda: False,
            publish=self.published.append,
            on_bad_frame=self.bad.append,
            on_crash=self.crashes.append,
        )
        self.worker.start()

    def decode(self, message):
        if message.data == "broken":
            raise FrameError("the frame is broken")
        if message.data == "bug":
            raise ZeroDivisionError
        return np.zeros((2, 2, 3), np.uint8)

    def segment(self, rgb, options):
        self.segmenting.release()
        if self.waits:
            assert self.permission.acquire(timeout=10)
        return Segmentation(np.zeros((2, 2), np.uint8), None, 0.0, 1.0, 0.0)

    def counts(self):
        values = self.health.report().values
        drops = {cause: int(values[f"dropped_{cause}"]) for cause in DROP_CAUSES if values[f"dropped_{cause}"] != "0"}
        return int(values["frames_in"]), int(values["frames_out"]), drops

    def feed(self, *messages):
        """Put messages one by one, each when the fate of the one before is known; returns the stamps published."""
        for each in messages:
            self.worker.put(each)
            deadline = time.monotonic() + 10
            while (counts := self.counts())[0] > counts[1] + sum(counts[2].values()):
                assert time.monotonic() < deadline, counts
        self.worker.stop()
        return [frame.header.stamp.sec + frame.header.stamp.nanosec / 1e9 for frame in self.published]


def test_while_a_frame_is_segmented_only_the_newest_of_the_others_waits():
    bench = Bench(waits=True)
    bench.worker.put(message(1))
    assert bench.segmenting.acquire(timeout=10)
    for second in (2, 3, 4):
        bench.worker.put(message(second))
    bench.permission.release(2)
    assert bench.segmenting.acquire(timeout=10)
    bench.worker.stop()
    assert [frame.header.stamp.sec for frame in bench.published] == [1, 4]
    assert bench.counts() == (4, 2, {"overload": 2})


def test_a_broken_frame_is_counted_named_and_skipped():
    bench = Bench()
    assert bench.feed(message(1), message(2, "broken"), message(3)) == [1, 3]
    assert bench.bad == ["the frame is broken"]
    assert bench.counts() == (3, 2, {"bad_frame": 1})


def test_any_other_failure_is_handed_on_so_that_the_process_can_end():
    bench = Bench()
    bench.worker.put(message(1, "bug"))
    bench.worker._thread.join(10)
    assert [type(error) for error in bench.crashes] == [ZeroDivisionError]


def test_frames_older_than_the_limit_are_dropped_as_stale():
    bench = Bench(now=1000.0, max_age_s=0.5)
    assert bench.feed(message(999.4), message(999.6), message(1000.2)) == pytest.approx([999.6, 1000.2])
    assert bench.counts()[2] == {"stale": 1}


def test_the_rate_limit_goes_by_stamps_and_a_bag_that_starts_again_is_not_early():
    bench = Bench(max_rate_hz=10.0)
    stamps = [5.0, 5.05, 5.1, 5.19, 5.2, 1.0, 1.05, 1.1]
    assert bench.feed(*map(message, stamps)) == pytest.approx([5.0, 5.1, 5.2, 1.0, 1.1])
    assert bench.counts()[2] == {"rate_limit": 3}


def test_a_disabled_node_drops_and_says_so():
    bench = Bench(enabled=False)
    assert bench.feed(message(1)) == []
    assert bench.counts()[2] == {"disabled": 1}
