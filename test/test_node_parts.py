"""What the node is made of, without ROS: mailbox, health, parameters, worker."""

import itertools
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_folder import Seer, seer

from desert_seg.errors import FrameError
from desert_seg.labels import IGNORE
from desert_seg.segmenter import ScoredFrame, Segmentation, Segmenter
from desert_seg_ros.budget import WINDOW, Effort, LatencyBudget, efforts
from desert_seg_ros.environment import use_dds_profile
from desert_seg_ros.health import CALM, DROP_CAUSES, ERROR, OK, STALE, WARN, Health, News, Report, Surroundings, Timing
from desert_seg_ros.mailbox import Mailbox
from desert_seg_ros.model import Settings
from desert_seg_ros.parameters import NodeParameters, ParameterError
from desert_seg_ros.qos_overrides import check_overrides
from desert_seg_ros.worker import FrameWorker, Lane


# ---------------------------------------------------------------------------------------------------- mailbox
@given(st.lists(st.integers(), min_size=1))
def test_only_the_newest_item_is_handed_out_and_every_lost_one_is_reported(items):
    mailbox = Mailbox()
    replaced = [mailbox.put("front", item) for item in items]
    assert replaced == [False] + [True] * (len(items) - 1)
    assert mailbox.get() == {"front": items[-1]}


@given(st.lists(st.tuples(st.sampled_from(["front", "left", "rear"]), st.integers()), min_size=1))
def test_however_often_one_camera_sends_the_newest_of_every_other_is_handed_out_with_it(items):
    mailbox = Mailbox()
    for camera, item in items:
        mailbox.put(camera, item)
    assert mailbox.get() == dict(items)


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
    mailbox.put("front", 1)
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
    assert health.report().message == "no image yet"
    nobody = Surroundings(num_publishers=0)
    assert health.report(nobody).message == "no image yet, and nobody publishes on the input topic"
    assert health.report().level == STALE
    health.frame_in(1, 0.0)
    assert health.report().level == OK
    clock.now += 3
    report = health.report()
    assert report.level == STALE
    assert report.message == "no image for 3 s"


def test_rates_are_those_since_the_last_report_and_totals_those_since_the_start(health, clock):
    for _ in range(2):
        for number in range(20):
            health.frame_in(round(1e9 * clock.now) + number * 10**8, 0.01)
            health.frame_out(Timing((0.0, 1.0, 0.5, 8.0, 2.0, 0.5), latency=12.0))
        clock.now += 2
        values = health.report().values
        assert values["fps_in"] == values["fps_out"] == "10.0"
    assert values["frames_in"] == values["frames_out"] == "40"
    assert values["latency_ms_p95"] == "12.0"
    assert values["inference_ms_p50"] == "8.0"
    assert values["age_s"] == "0.010"


@pytest.mark.parametrize(
    ("cause", "level"),
    [("overload", WARN), ("stale", WARN), ("bad_frame", ERROR), ("disabled", OK), ("rate_limit", OK)],
)
def test_each_cause_of_a_drop_is_counted_and_judged_until_the_next_report(health, cause, level):
    health.frame_in(1, 0.0)
    health.drop(cause, "encoding 'x' is unknown" if cause == "bad_frame" else "")
    report = health.report()
    assert report.level == level
    assert report.values[f"dropped_{cause}"] == "1"
    if cause == "bad_frame":
        assert "encoding 'x' is unknown" in report.message
    health.frame_in(2, 0.0)
    assert health.report().level == OK


@pytest.mark.parametrize(
    ("around", "level", "message"),
    [
        (Surroundings(failure="division by zero"), ERROR, "the worker stopped: division by zero"),
        (Surroundings(busy_s=9.0), ERROR, "the worker has not finished a frame for 9 s"),
        (Surroundings(min_rate_hz=5.0), WARN, "images come at 1.0 Hz, expected at least 5 Hz"),
        (Surroundings(effort="tta none at 0.75 of the input size"), WARN, "the latency budget allows only tta none"),
        (Surroundings(is_active=False), WARN, "not active: it does not listen until it is activated"),
        (Surroundings(mismatches=["/rviz subscribes to /segment/mask with another"]), WARN, "/rviz subscribes"),
    ],
)
def test_what_is_amiss_around_the_camera_is_said_in_words(health, clock, around, level, message):
    clock.now += 1
    health.frame_in(1, 0.0)
    report = health.report(around)
    assert report.level == level
    assert message in report.message
    health.frame_in(2, 0.0)
    assert health.report().level == OK


@pytest.mark.parametrize(
    ("age", "words"),
    [(3.0, "3.0 s behind"), (-2.5, "2.5 s ahead of"), (8e5, "9 days behind"), (3e4, "8 hours behind")],
)
def test_stamps_far_from_the_clock_are_a_warning_that_says_what_to_do(health, age, words):
    health.frame_in(1, age)
    report = health.report()
    assert report.level == WARN
    assert words in report.message
    assert "use_sim_time" in report.message


def test_a_bag_that_begins_again_and_a_clock_that_jumps_are_said_once(health):
    for stamp in (5, 6, 1):
        health.frame_in(stamp, 0.0)
    health.clock_jumped()
    report = health.report()
    assert "stamps went back" in report.message
    assert "the clock jumped" in report.message
    assert (report.values["stamps_back"], report.values["clock_jumps"]) == ("1", "1")
    health.frame_in(2, 0.0)
    assert health.report().level == OK


@pytest.mark.parametrize("stamp", [0, 5])
def test_a_driver_that_sets_no_stamps_is_named_until_it_does(health, stamp):
    for _ in range(5):
        health.frame_in(stamp, 1.8e9)
    report = health.report()
    assert report.level == WARN
    assert report.message.startswith("the driver does not set stamps")
    assert "days behind" not in report.message
    assert "went back" not in report.message
    for stamp in (6, 7):
        health.clock_jumped()
        health.frame_in(stamp, 0.0)
    health.report()
    health.frame_in(8, 0.0)
    assert health.report().level == OK


def test_stamps_a_nanosecond_apart_are_stamps(health):
    for number in range(5):
        health.frame_in(1_795_000_000_000_000_000 + number, 0.0)
    assert health.report().level == OK


def test_one_image_that_is_sent_again_is_no_driver_without_stamps(health):
    for stamp in (0, 1, 1, 2):
        health.frame_in(stamp, 0.0)
    assert health.report().level == OK


def test_masks_whose_scores_were_not_finite_are_an_error_while_they_come(health):
    health.frame_in(1, 0.0)
    health.frame_not_finite()
    report = health.report()
    assert (report.level, report.values["frames_not_finite"]) == (ERROR, "1")
    assert report.message.startswith("1 masks are unknown where the network's scores were not finite: choose another")
    health.frame_in(2, 0.0)
    report = health.report()
    assert (report.level, report.values["frames_not_finite"]) == (OK, "1")


def test_images_lost_on_the_way_are_said_whether_some_arrive_or_none(health):
    health.frames_lost(7)
    report = health.report()
    assert (report.level, report.values["frames_lost"]) == (STALE, "7")
    assert "7 images were lost on the way here: start the camera driver with the Fast DDS profile" in report.message
    health.frame_in(1, 0.0)
    health.frames_lost(2)
    report = health.report()
    assert (report.level, report.values["frames_lost"]) == (WARN, "9")
    assert report.message.startswith("2 images were lost")
    health.frame_in(2, 0.0)
    assert health.report().level == OK


def told(*levels):
    news = News()
    return [level for level in levels if news.is_news(Report(level, "", {}))]


def test_a_change_for_the_worse_is_news_at_once_and_that_all_is_well_only_when_it_lasts():
    assert told(STALE, STALE, WARN, WARN, *[OK] * CALM, OK, ERROR) == [STALE, WARN, OK, ERROR]


def test_a_fault_that_comes_and_goes_is_told_once():
    assert told(WARN, OK, WARN, OK, OK, WARN, OK) == [WARN]


def test_frames_unlike_those_the_model_knows_are_a_warning(health):
    health.frame_in(1, 0.0)
    health.frame_out(Timing((0.0,) * 6, 1.0), shift=3.4)
    assert "unlike those the model knows (domain shift 3.4)" in health.report().message


def test_of_several_things_amiss_the_worst_gives_the_level_and_all_are_said(health):
    health.frame_in(1, 0.0)
    health.drop("overload")
    health.drop("bad_frame", "half an image")
    report = health.report()
    assert report.level == ERROR
    assert "half an image" in report.message
    assert "1 frames dropped because newer ones came" in report.message


# ---------------------------------------------------------------------------------------------------- parameters
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tta": "lots"}, "choose one of: none, flip, scales, full"),
        ({"confidence_threshold": 1.5}, "from 0.0 to 1.0"),
        ({"image_transport": "theora"}, "raw, compressed"),
        ({"threads": -1}, "from 0 to 256"),
        ({"region": [0.5, 0.0, 0.2, 1.0]}, "top, left, bottom, right"),
        ({"region": [0.5]}, "top, left, bottom, right"),
        ({"cameras": ["front", "front"]}, "different names"),
        ({"cameras": ["a/b"]}, "letters, digits and _"),
        ({"cameras": ["", "left"]}, "different names"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_those_that_are(change, message):
    with pytest.raises(ParameterError, match=message):
        NodeParameters().changed(change)


@pytest.mark.parametrize(
    ("policy", "value", "is_allowed"),
    [
        ("reliability", "reliable", True),
        ("reliability", "relaible", False),
        ("history", "keep_last", True),
        ("history", "keep", False),
        ("depth", 5, True),
        ("depth", 0, False),
        ("depth", "deep", False),
    ],
)
def test_a_quality_of_service_that_there_is_not_is_refused_with_those_there_are(policy, value, is_allowed):
    overrides = {f"qos_overrides./image.subscription.{policy}": value, "qos": "of somebody else"}
    if is_allowed:
        check_overrides(overrides)
        return
    with pytest.raises(ParameterError, match=f"subscription.{policy} is {value!r}; (choose one of|it must be)"):
        check_overrides(overrides)


def test_changing_gives_a_new_set_and_ignores_names_of_others():
    before = NodeParameters()
    after = before.changed({"tta": "flip", "use_sim_time": True, "suppressed_classes": ["Sky", ""]})
    assert (before.tta, after.tta) == ("none", "flip")
    assert after.suppressed() == ("Sky",)


# ---------------------------------------------------------------------------------------------------- environment
@pytest.fixture
def environ(monkeypatch):
    """The environment, without what a person may have chosen in it."""
    for name in (*PROFILES, "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    return monkeypatch


PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
SHIPPED = Path("/shipped.xml")


def chosen():
    return [os.environ.get(name) for name in PROFILES]


@pytest.mark.parametrize(
    ("library", "expected"),
    [("libfastrtps.so.2.14", [str(SHIPPED), None]), ("libfastdds.so.3.2", [None, str(SHIPPED)])],
)
def test_shared_memory_is_made_large_enough_under_the_name_that_fast_dds_reads(environ, tmp_path, library, expected):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / library).touch()
    environ.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    use_dds_profile(SHIPPED)
    assert chosen() == expected


@pytest.mark.parametrize("name", [*PROFILES, "FASTDDS_BUILTIN_TRANSPORTS"])
def test_what_a_person_has_chosen_for_dds_stays(environ, tmp_path, name):
    (tmp_path / "mine").write_text("<dds/>")
    environ.setenv(name, str(tmp_path / "mine"))
    use_dds_profile(SHIPPED)
    assert str(SHIPPED) not in chosen()


def test_where_shared_memory_is_small_its_segments_stay_small(environ):
    environ.setattr("desert_seg.dds.ROOM_BYTES", 1 << 62)
    use_dds_profile(SHIPPED)
    assert chosen() == [None, None]


# ---------------------------------------------------------------------------------------------------- worker
def message(seconds, payload="good"):
    stamp = SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), data=payload)


class Bench:
    """A worker with a model that waits for the test's permission before each frame, unless told not to."""

    card = seer().card

    def __init__(self, waits=False, now=1000.0, cameras=("",), **parameters):
        self.health, self.published, self.bad, self.crashes = Health(), [], [], []
        self.batches, self.scales, self.timings, self.num_decoded = [], [], [], 0
        self.waits, self.now = waits, now
        self.segmenting, self.permission = threading.Semaphore(0), threading.Semaphore(0)
        self.worker = FrameWorker(
            lanes={camera: self.lane(camera) for camera in cameras},
            settings=Settings(NodeParameters().changed(parameters), SimpleNamespace(segmenter=self), None),
            now_ns=lambda: int(self.now * 1e9),
            on_bad_frame=self.bad.append,
            on_crash=self.crashes.append,
        )
        self.worker.start()

    def decode(self, message, options=None):
        if isinstance(message, ScoredFrame):
            return Segmentation(np.zeros((2, 2), np.uint8), None, 0.0, 1.0, 0.0)
        self.num_decoded += 1
        if message.data == "broken":
            raise FrameError("the frame is broken")
        if message.data == "bug":
            raise ZeroDivisionError
        return message.header, np.zeros((2, 2, 3), np.uint8)

    def put(self, message, camera=""):
        stamp = message.header.stamp
        self.worker.put(camera, stamp.sec * 10**9 + stamp.nanosec, message)

    def lane(self, camera):
        return Lane(
            health=self.health,
            decode=self.decode,
            wanted=frozenset,
            view=lambda header, height_m: None,
            publish=lambda frame: self.published.append(frame),
            publish_timing=lambda header, timing: self.timings.append(timing),
        )

    def score(self, frames, options):
        self.batches.append(len(frames))
        self.scales.append(options.scale)
        self.segmenting.release()
        if self.waits:
            assert self.permission.acquire(timeout=10)
        whole = (slice(0, 2), slice(0, 2))
        return [ScoredFrame(np.zeros((7, 1, 1), np.float32), frame, (2, 2), whole, 0.0, 1.0) for frame in frames]

    def domain_shift(self, scored):
        return None

    def counts(self):
        values = self.health.report().values
        drops = {cause: int(values[f"dropped_{cause}"]) for cause in DROP_CAUSES if values[f"dropped_{cause}"] != "0"}
        return int(values["frames_in"]), int(values["frames_out"]), drops

    def feed(self, *messages):
        """Put messages one by one, each when the fate of the one before is known; returns the stamps published."""
        for each in messages:
            self.put(each)
            deadline = time.monotonic() + 10
            while (counts := self.counts())[0] > counts[1] + sum(counts[2].values()):
                assert time.monotonic() < deadline, counts
        self.worker.stop()
        return [frame.header.stamp.sec + frame.header.stamp.nanosec / 1e9 for frame in self.published]


def test_while_a_frame_is_segmented_only_the_newest_of_the_others_waits():
    bench = Bench(waits=True)
    bench.put(message(1))
    assert bench.segmenting.acquire(timeout=10)
    for second in (2, 3, 4):
        bench.put(message(second))
    bench.permission.release(2)
    assert bench.segmenting.acquire(timeout=10)
    bench.worker.stop()
    assert [frame.header.stamp.sec for frame in bench.published] == [1, 4]
    assert bench.counts() == (4, 2, {"overload": 2})
    assert bench.num_decoded == 2, "what is replaced costs nothing but its place"


def test_a_broken_frame_is_counted_named_and_skipped():
    bench = Bench()
    assert bench.feed(message(1), message(2, "broken"), message(3)) == [1, 3]
    assert bench.bad == ["the frame is broken"]
    assert bench.counts() == (3, 2, {"bad_frame": 1})


class BlindToSky(Seer):
    """Sees, until a frame is bright; then nothing can be told of the sky."""

    def scores(self, images):
        scores = super().scores(images).astype(np.float32)
        if images.mean() > 100:
            scores[:, 6] = np.nan
        return scores


@pytest.mark.parametrize(("speed", "scale"), [("fast", 0.5), ("balanced", 1.0), ("fine", 1.25)])
def test_the_speed_is_the_input_size_which_a_budget_lowers_further(speed, scale):
    bench = Bench(speed=speed, latency_budget_ms=0.001)
    bench.feed(*(message(1.0 + number) for number in range(20)))
    assert (bench.scales[0], bench.scales[-1]) == (scale, 0.5 * scale)


def test_a_frame_without_finite_scores_is_unknown_and_counted_and_leaves_nothing_in_the_average():
    bench = Bench(smoothing=0.5)
    whole = seer()
    segmenter = Segmenter(BlindToSky(), whole.card, whole.digest)
    parameters = NodeParameters().changed({"smoothing": 0.5})
    bench.worker.settings = Settings(parameters, SimpleNamespace(segmenter=segmenter), None)
    brightness = {"dark": 30, "bright": 180}
    bench.decode = lambda message: (message.header, np.full((2, 2, 3), brightness[message.data], np.uint8))
    bench.worker._lanes[""] = bench.lane("")
    bench.feed(message(1.0, "dark"), message(1.1, "bright"), message(1.2, "dark"))
    assert [np.unique(frame.segmentation.mask).tolist() for frame in bench.published] == [[1], [IGNORE], [1]]
    report = bench.health.report()
    assert report.values["frames_not_finite"] == "1"


def test_any_other_failure_is_handed_on_so_that_the_process_can_end():
    bench = Bench()
    bench.put(message(1, "bug"))
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


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_without_stamps_the_rate_limit_goes_by_the_time_of_arrival(seconds):
    bench = Bench(max_rate_hz=1000.0)
    for number in (1, 2, 3):
        begun = time.perf_counter()
        bench.put(message(seconds))
        while bench.counts()[1] < number or time.perf_counter() < begun + 0.001:  # as long as the limit asks for
            assert time.perf_counter() < begun + 10, bench.counts()
    bench.worker.stop()
    slow = Bench(max_rate_hz=0.001)
    assert slow.feed(message(seconds), message(seconds), message(seconds)) == [seconds]
    assert slow.counts()[2] == {"rate_limit": 2}


def test_a_frame_of_stamp_zero_has_no_age_and_one_with_an_old_stamp_again_and_again_is_old():
    bench = Bench(now=1000.0, max_age_s=0.5)
    assert bench.feed(message(0), message(0), message(900), message(900)) == [0, 0]
    assert bench.counts()[2] == {"stale": 2}


def test_a_disabled_node_drops_and_says_so():
    bench = Bench(enabled=False)
    assert bench.feed(message(1)) == []
    assert bench.counts()[2] == {"disabled": 1}


def test_frames_of_several_cameras_that_wait_together_are_segmented_together_and_none_starves():
    bench = Bench(waits=True, cameras=("front", "left"))
    bench.put(message(1), "front")
    assert bench.segmenting.acquire(timeout=10)
    bench.put(message(2), "left")
    for second in (3, 4, 5):
        bench.put(message(second), "front")
    bench.permission.release(2)
    assert bench.segmenting.acquire(timeout=10)
    bench.worker.stop()
    assert bench.batches == [1, 2]
    assert sorted(frame.header.stamp.sec for frame in bench.published) == [1, 2, 5]
    assert bench.counts()[2] == {"overload": 2}


def test_how_long_a_frame_has_been_in_hand_is_known_from_outside():
    bench = Bench(waits=True)
    assert bench.worker.busy_s() is None
    bench.put(message(1))
    assert bench.segmenting.acquire(timeout=10)
    assert bench.worker.busy_s() >= 0
    assert not bench.worker.stop(timeout_s=0.01)
    bench.permission.release()
    assert bench.worker.stop()


def test_the_stages_of_a_frame_add_up_to_at_most_its_latency():
    bench = Bench()
    bench.feed(message(1))
    (timing,) = bench.timings
    assert 0 < sum(timing.stages) - 1.0 <= timing.latency  # the stand-in claims an inference of 1 ms


# ---------------------------------------------------------------------------------------------------- latency budget
def run_with(budget, views, budget_ms, full_latency_ms, frames, clock, seconds_per_frame=0.1):
    """Efforts chosen for frames whose latency follows the pixels."""
    chosen = []
    for _ in range(frames):
        chosen.append(budget.effort(views, budget_ms))
        budget.observe(full_latency_ms * chosen[-1].cost / Effort(views).cost)
        clock.now += seconds_per_frame
    return chosen


@given(st.sampled_from(["none", "flip", "scales", "full"]))
def test_efforts_go_from_all_that_is_wanted_to_ever_less(views):
    costs = [effort.cost for effort in efforts(views)]
    assert efforts(views)[0] == Effort(views)
    assert costs == sorted(costs, reverse=True)


def test_views_go_before_resolution_and_only_until_the_budget_is_kept(clock):
    chosen = run_with(LatencyBudget(lambda: clock.now), "full", 50.0, 300.0, 200, clock)
    assert chosen[0] == Effort("full")
    assert list(dict.fromkeys(chosen)) == [Effort("full"), Effort("flip"), Effort("none")]


def test_without_a_budget_nothing_is_left_out(clock):
    assert set(run_with(LatencyBudget(lambda: clock.now), "full", 0.0, 1e6, 50, clock)) == {Effort("full")}


@settings(deadline=None)
@given(st.floats(20.0, 400.0))
def test_under_a_steady_load_the_effort_settles_instead_of_swinging(full_latency_ms):
    clock = SimpleNamespace(now=0.0)
    chosen = run_with(LatencyBudget(lambda: clock.now), "full", 50.0, full_latency_ms, 600, clock)
    assert len(set(chosen[-200:])) == 1


def test_effort_comes_back_when_there_is_room_again_but_not_at_once(clock):
    budget = LatencyBudget(lambda: clock.now)
    assert run_with(budget, "flip", 50.0, 200.0, 60, clock)[-1] == Effort("none", 0.5)
    later = run_with(budget, "flip", 50.0, 20.0, 200, clock)
    steps = [effort for effort, _ in itertools.groupby(later)]
    assert steps == [Effort("none", 0.5), Effort("none", 0.75), Effort("none"), Effort("flip")]
    assert all(len(list(group)) >= WINDOW for _, group in itertools.groupby(later[later.index(steps[1]) :]))
