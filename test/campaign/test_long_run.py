"""A live node for half an hour, while everything about it changes: nothing grows, nothing slows down, nothing is lost.

SOAK_MINUTES in the environment says how long, the default is 30; the figures of every round are in out/long_run.json.
"""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from conftest import ROOT
from ros import DiagnosticArray, values_of
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from desert_seg.files import write_text
from desert_seg_ros.bag_benchmark.resources import process_use

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
ROUND_S = 20.0
"""One round has every rate, every change and every reload once; rounds are compared."""

CALM = 0.9
"""Share of the machine's processor time above which latencies say more of the machine than of the node."""

RATES_HZ = (5, 15, 30, 60)
SIZES = ((135, 240), (240, 320), (90, 160), (270, 480))
OUTPUTS = ("mask_color", "overlay", "confidence", "unknown", "traversability")
CHANGES = (
    ("overlay_alpha", (0.3, 0.7)),
    ("confidence_threshold", (0.0, 0.4)),
    ("smoothing", (0.0, 0.5)),
    ("suppressed_classes", (["Rocks"], [""])),
    ("max_rate_hz", (20.0, 0.0)),
)


@dataclass(frozen=True)
class Round:
    """What the node had at the end of a round, and how long frames took in it, median and 95th percentile."""

    memory_mb: float
    threads: int
    descriptors: int
    shared_memory: int
    latency_ms_p50: float
    latency_ms_p95: float
    busy_share: float


def machine_busy_s():
    """Processor time that the whole machine has spent."""
    ticks = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def shared_memory_of(process_id):
    """Files in shared memory that the process has mapped."""
    lines = Path(f"/proc/{process_id}/maps").read_text().splitlines()
    return {line.split()[-1] for line in lines if "/dev/shm/" in line}


class Camera:
    """Sends frames at a rate, and takes the time until the mask of each is back."""

    def __init__(self, peer, frame):
        self.peer, self.frame, self.number = peer, frame, 0
        self.sent, self.latencies_ms = {}, []
        peer.subscriptions.append(peer.node.create_subscription(Image, f"/{peer.name}/mask", self._arrived, 10))

    def _arrived(self, mask):
        sent = self.sent.pop(mask.header.stamp.sec, None)
        if sent is not None:
            self.latencies_ms.append(1e3 * (time.monotonic() - sent))

    def run(self, seconds, rate, size):
        """Send for so long at a rate, frames of a size."""
        frame, end, due = cv2.resize(self.frame, size[::-1]), time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end:
            if time.monotonic() >= due:
                self.number += 1
                self.sent[self.number] = time.monotonic()
                self.peer.send(frame, stamp=(self.number, 0))
                due = max(due + 1 / rate, time.monotonic())
            rclpy.spin_once(self.peer.node, timeout_sec=0.005)

    def taken(self):
        """The latencies so far; forgets them and what was never answered."""
        latencies, self.latencies_ms = self.latencies_ms, []
        self.sent.clear()
        return latencies


def settled(peer, health):
    """What the node has counted, once nothing is in its hands."""

    def counted():
        values = {key: int(value) for key, value in values_of(peer, health).items() if value.isdecimal()}
        dropped = sum(count for key, count in values.items() if key.startswith("dropped_"))
        return values.get("frames_in") and values["frames_in"] == values["frames_out"] + dropped and values

    before = len(health)
    peer.until(lambda: len(health) > before + 2, "two more reports")
    return peer.until(counted, "every frame to be accounted for")


@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + 600)
def test_a_node_that_runs_for_long_stays_as_it_is_while_everything_around_it_changes(start, frame, record_property):
    process, peer = start("long_run", "-p", "threads:=1")
    pid, generator, passing = process.process.pid, random.Random(1), []
    peer.until_ready()
    health, camera = peer.listen("/diagnostics", DiagnosticArray), Camera(peer, frame)
    end, rounds = time.monotonic() + 60 * MINUTES, []
    while time.monotonic() < end or len(rounds) < 4:
        busy, begun = machine_busy_s(), time.monotonic()
        for number, rate in enumerate(RATES_HZ):
            size = SIZES[(number + len(rounds)) % len(SIZES)]
            topic = generator.choice(OUTPUTS)
            passing.append(peer.node.create_subscription(Image, f"/long_run/{topic}", lambda _: None, 1))
            camera.run(ROUND_S / len(RATES_HZ), rate, size)
            if len(passing) > 2:
                peer.node.destroy_subscription(passing.pop(0))
        for name, (changed, usual) in CHANGES:
            assert peer.set_parameter(name, changed) == (True, "")
            camera.run(0.5, 15, SIZES[0])
            assert peer.set_parameter(name, usual) == (True, "")
        latencies = camera.taken()  # while a model is loaded, frames wait longer, and that is no drift
        assert peer.ask("reload_model", Trigger, Trigger.Request()).success
        camera.run(1.0, 15, SIZES[0])
        camera.taken()
        health[:-5] = []
        use = process_use(pid)
        p50, p95 = np.percentile(latencies, (50, 95))
        rounds.append(
            Round(
                memory_mb=use.rss_bytes / 1e6,
                threads=use.num_threads,
                descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
                shared_memory=len(shared_memory_of(pid)),
                latency_ms_p50=float(p50),
                latency_ms_p95=float(p95),
                busy_share=(machine_busy_s() - busy) / (time.monotonic() - begun) / (os.cpu_count() or 1),
            )
        )
    counted = settled(peer, health)
    figures = {"sent": camera.number, "counted": counted, "rounds": [asdict(each) for each in rounds]}
    write_text(ROOT / "out" / "long_run.json", json.dumps(figures, indent=1))
    assert process.process.poll() is None
    assert "Traceback" not in process.output()
    assert counted["dropped_bad_frame"] == 0
    assert counted["frames_in"] + counted["frames_lost"] <= camera.number
    # The first rounds fill caches: of graphs, of buffers, of the allocator. The rest is cut into halves.
    steady = rounds[len(rounds) // 4 :]
    early, late = steady[: len(steady) // 2], steady[len(steady) // 2 :]

    def middle(part, name):
        return float(np.median([getattr(each, name) for each in part]))

    assert middle(late, "memory_mb") < 1.05 * middle(early, "memory_mb") + 5
    for name in ("threads", "descriptors", "shared_memory"):
        assert max(getattr(each, name) for each in late) <= max(getattr(each, name) for each in early) + 1, name
    # What else runs on the machine makes frames wait, too: only rounds that had a core to spare are compared.
    calm = [[each.latency_ms_p95 for each in part if each.busy_share < CALM] for part in (early, late)]
    if all(calm):
        assert min(calm[1]) < 1.5 * min(calm[0]) + 5, calm
    record_property("minutes of a live node", round((time.monotonic() - end) / 60 + MINUTES))
