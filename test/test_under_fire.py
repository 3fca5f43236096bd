"""What goes wrong on robots, thrown at the real node: nonsense on the input topic, peers that come and go, signals."""

import os
import random
import re
import signal
import time
from array import array
from pathlib import Path

import cv2
import pytest

rclpy = pytest.importorskip("rclpy")

from ros import DiagnosticArray, mask_of, values_of  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

BETWEEN = 20
"""Malformed messages between two good ones."""

AT_ONCE = 4
"""Nodes that start and end beside each other, as in a robot's launch file."""

END_S = 6.0
"""How long a node may take to end, beside three others that start and the rest of the tests."""


def counters(peer, health):
    """Frames in, frames out, and drops by cause, as the node last reported them."""
    values = values_of(peer, health)
    drops = {key.removeprefix("dropped_"): int(value) for key, value in values.items() if key.startswith("dropped_")}
    return int(values.get("frames_in", 0)), int(values.get("frames_out", 0)), drops


def settled(peer, health):
    """The counters once the node has seen everything and said so twice."""
    seen = []

    def same_again():
        seen.append(counters(peer, health))
        frames_in, frames_out, drops = seen[-1]
        return frames_in and frames_in == frames_out + sum(drops.values()) and seen[-1]

    before = len(health)
    peer.until(lambda: len(health) > before + 2, "two more reports")
    return peer.until(same_again, "every frame to be accounted for")


def nonsense(generator):
    """An Image of some kind that cannot be segmented."""
    kind = generator.randrange(9)
    message = Image(height=24, width=32, encoding="rgb8", step=96, data=array("B", bytes(24 * 96)))
    message.header.frame_id = generator.choice(["camera", "", "kämera \U0001f3dc", "x" * 300])
    if kind == 0:
        message.encoding = generator.choice(["", "thermal32", "rgb", "32FC1", "bayer", "RGB8", "\U0001f3dc"])
    elif kind == 1:
        message.height, message.width = generator.choice([(0, 32), (24, 0), (0, 0)])
    elif kind == 2:
        message.data = array("B", generator.randbytes(generator.randrange(24 * 96)))
    elif kind == 3:
        message.step = generator.randrange(96)
    elif kind == 4:
        message.height, message.width = 2**32 - 1, 2**32 - 1
    elif kind == 5:
        message.encoding, message.height, message.width = "nv12", 23, 31
        message.data = array("B", bytes(5))
    elif kind == 6:
        message.encoding, message.width, message.step = "yuv422", 31, 62
    elif kind == 7:
        message.data = array("B")
    else:
        message.encoding, message.step = generator.choice([("mono16", 63), ("rgba8", 127), ("bayer_rggb16", 10)])
    message.header.stamp.sec = generator.choice([0, -1, 2**31 - 1, -(2**31), 1234])
    return message


@pytest.mark.parametrize(
    "num_malformed", [400, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_among_malformed_images_every_good_one_is_answered_and_every_bad_one_counted(
    start, frame, num_malformed, record_property
):
    """The node takes images best effort and keeps one, so it may never see some; what it saw, it accounts for."""
    process, peer = start("images")
    peer.until_ready()
    begun = time.monotonic()
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    generator, answered = random.Random(7), 0
    for sent in range(num_malformed):
        peer.publishers["image"].publish(nonsense(generator))
        rclpy.spin_once(peer.node, timeout_sec=0.004)  # a fast camera's pace
        if sent % BETWEEN == 0:
            assert mask_of(peer.exchange(frame, masks)).shape == frame.shape[:2]
            answered += 1
    frames_in, frames_out, drops = settled(peer, health)
    assert answered <= frames_out <= frames_in
    assert frames_in - frames_out == drops["bad_frame"] + drops["overload"]
    assert drops["bad_frame"] > num_malformed / 4
    assert process.process.poll() is None
    assert 0 < process.output().count("[ERROR]") <= 1 + (time.monotonic() - begun) / 5, "one line in five seconds"
    assert "Traceback" not in process.output()
    record_property("attacks", num_malformed)


def test_broken_compressed_images_are_survived_likewise(start, frame):
    process, peer = start("compressed", "-p", "image_transport:=compressed")
    peer.until_ready("image/compressed")
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    whole, generator = cv2.imencode(".jpg", frame)[1].tobytes(), random.Random(8)
    publish = peer.publishers["image/compressed"].publish
    for _ in range(20):
        for _ in range(10):
            cut = generator.randrange(len(whole))
            data = generator.choice([b"", whole[:cut], whole[:cut] + generator.randbytes(40), generator.randbytes(99)])
            form = generator.choice(["jpeg", "png", "", "16UC1; compressedDepth", "\U0001f3dc"])
            publish(CompressedImage(format=form, data=array("B", data)))
            rclpy.spin_once(peer.node, timeout_sec=0.004)
        before = len(masks)
        good = CompressedImage(format="jpeg", data=array("B", whole))
        peer.until(lambda good=good, before=before: publish(good) or len(masks) > before, "a mask")
    half = CompressedImage(format="jpeg", data=array("B", whole[:40]))  # alone, so that none newer takes its place
    peer.until(lambda: publish(half) or counters(peer, health)[2].get("bad_frame"), "a broken image to be counted")
    settled(peer, health)
    assert "Traceback" not in process.output()


def test_restarted_publishers_new_resolutions_time_jumps_and_bag_loops_are_all_followed(start, frame):
    process, peer = start("restless", "-p", "use_sim_time:=true", "-p", "max_rate_hz:=30.0")
    peer.until_ready()
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    clock = peer.node.create_publisher(Clock, "/clock", 10)
    generator = random.Random(9)
    for second in (100, 101, 500, 501, 100, 101, 5, 2_000_000, 100):  # forward, and back as when a bag loops
        message = Clock()
        message.clock.sec = second
        clock.publish(message)
        peer.node.destroy_publisher(peer.publishers["image"])
        peer.publishers["image"] = peer.node.create_publisher(Image, "image", 10)
        peer.until_ready()
        height, width = generator.randrange(32, 300), generator.randrange(32, 400)
        mask = peer.exchange(cv2.resize(frame, (width, height)), masks, stamp=(second, generator.randrange(10**9)))
        assert (mask.height, mask.width) == (height, width)
    settled(peer, health)
    values = values_of(peer, health)
    assert int(values["clock_jumps"]) >= 4
    assert int(values["stamps_back"]) >= 3
    assert "Traceback" not in process.output()


def resident_mb(process_id):
    """Memory in use, megabytes."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_camera_far_too_fast_builds_up_no_queue_and_no_memory_and_every_frame_is_accounted_for(start, frame):
    process, peer = start("flooded")
    peer.until_ready()
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    peer.exchange(frame, masks)

    def flood(seconds):
        """Send frames without a pause between; returns the number of the last."""
        end, begun = time.monotonic() + seconds, flood.number
        while time.monotonic() < end:
            flood.number += 1
            peer.send(frame, stamp=(flood.number, 0))
            rclpy.spin_once(peer.node, timeout_sec=0.001)
        assert flood.number - begun > 2 * len([each for each in masks if each.header.stamp.sec > begun]), "no flood"
        return flood.number

    flood.number = 10**9
    flood(2.0)
    memory = resident_mb(process.process.pid)
    last = flood(6.0)
    before = len(masks)
    peer.until(lambda: masks[-1].header.stamp.sec == last, "the mask of the newest frame")
    assert len(masks) - before <= 3, "one in hand, the newest, and one that was on its way to us"
    stamps = [mask.header.stamp.sec for mask in masks[1:]]
    assert stamps == sorted(stamps)
    assert resident_mb(process.process.pid) < 1.05 * memory
    _, _, drops = settled(peer, health)
    assert drops["overload"] > 0
    assert "Traceback" not in process.output()


def test_subscribers_that_come_and_go_five_times_a_second_disturb_nobody(start, frame):
    process, peer = start("churned")
    peer.until_ready()
    masks, health = peer.listen("mask", Image), peer.listen("/diagnostics", DiagnosticArray)
    passing, generator, stamp = [], random.Random(5), 1_000_000
    peer.exchange(frame, masks, stamp=(stamp, 0))
    for _ in range(25):
        topic = generator.choice(["mask_color", "overlay", "confidence", "unknown", "traversability"])
        passing.append(peer.node.create_subscription(Image, f"/churned/{topic}", lambda message: None, 1))
        if len(passing) > 2:
            peer.node.destroy_subscription(passing.pop(0))
        next_one = time.monotonic() + 0.2
        while time.monotonic() < next_one:
            if masks[-1].header.stamp.sec == stamp:
                stamp += 1
                peer.send(frame, stamp=(stamp, 0))
            rclpy.spin_once(peer.node, timeout_sec=0.01)
    peer.until(lambda: masks[-1].header.stamp.sec == stamp, "the mask of the last image")
    stamps = [mask.header.stamp.sec for mask in masks]
    assert stamps == sorted(stamps)
    assert set(stamps) == set(range(1_000_000, stamp + 1))
    settled(peer, health)
    assert "Traceback" not in process.output()


def shared_memory_of(process_id):
    """Fast DDS's segments that a process has mapped; the semaphores of ports belong to a whole domain."""
    try:
        maps = Path(f"/proc/{process_id}/maps").read_text()
    except OSError:
        return set()
    return {
        path for path in re.findall(r"/dev/shm/\S+", maps) if re.match(r"/dev/shm/(fastdds|fastrtps)_[0-9a-f]", path)
    }


@pytest.mark.parametrize("groups", [2, pytest.param(25, marks=pytest.mark.soak)])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_node_told_to_end_at_any_moment_ends_cleanly_and_leaves_no_shared_memory(
    start, frame, how, groups, record_property
):
    generator = random.Random(how.value)
    for group in range(groups):
        # While they import, join ROS, load the model, and work.
        moments = [0.0 if number == group == 0 else 4 * generator.random() ** 2 for number in range(AT_ONCE)]
        nodes = [start(f"ending{group}_{number}_{how.name.lower()}") for number in range(AT_ONCE)]
        endings = [Ending(process, moment) for (process, _), moment in zip(nodes, moments, strict=True)]
        begun, peer = time.monotonic(), nodes[0][1]
        while not all(ending.checked for ending in endings):
            for ending in endings:
                ending.go_on(time.monotonic() - begun, how)
            peer.send(frame)
            rclpy.spin_once(peer.node, timeout_sec=0.01)
        assert not left_behind(endings)
    record_property("kills", groups * AT_ONCE)


def left_behind(endings):
    """Segments that nobody uses any more. A node has mapped those of the others, too, so they are asked together."""
    in_use = set().union(*map(shared_memory_of, others_running()))
    # Where loading alone takes longer than the time there is to end, as on a machine under load, the node says so.
    excused = set().union(*(ending.memory for ending in endings if "still loading" in ending.process.output()))
    seen = set().union(*(ending.memory for ending in endings))
    return {path for path in seen - in_use - excused if os.path.exists(path)}  # noqa: PTH110 - paths of the kernel's


class Ending:
    """A node that is told to end at a moment after its start, in seconds, and is looked at when it has."""

    def __init__(self, process, moment):
        self.process, self.moment = process, moment
        self.told = self.memory = None
        self.checked = False

    def go_on(self, now, how):
        if self.told is None and now >= self.moment:
            self.memory, self.told = shared_memory_of(self.process.process.pid), now
            self.process.process.send_signal(how)
        elif not self.checked and self.process.process.poll() is not None:
            self.check(self.process.process.returncode, how)
            self.checked = True
        assert self.checked or self.told is None or now - self.told < END_S, (self.moment, self.process.output())

    def check(self, code, how):
        said = self.process.output()
        # In the first instants there is no Python yet, or none of ours, that could know better than to die of it.
        is_early = self.moment < 0.6
        assert code == 0 or (is_early and code in (-how, 1)), (self.moment, code, said)
        assert "Traceback" not in said or is_early, (self.moment, said)


def others_running():
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
