"""What every test stands on: an isolated ROS, and one colcon workspace built from a clean copy of this checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

DOMAINS = range(60, 101)
"""High enough that nobody is there, low enough that their UDP ports are below those that systems hand out."""


def claim_domain() -> int:
    """A ROS domain that no other process of tests on this machine has; ours until this process ends."""
    for domain in DOMAINS:
        lock = os.open(Path(tempfile.gettempdir()) / f"desert_seg_domain_{domain}.lock", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kept open, and so locked
        except BlockingIOError:
            os.close(lock)
        else:
            return domain
    raise RuntimeError(f"all {len(DOMAINS)} ROS domains for tests are taken; end the other runs of the tests")


# Before anything imports rclpy: loopback only, a domain of our own, and the ament index of this environment.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(claim_domain())
_prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(filter(None, dict.fromkeys([sys.prefix, *_prefixes])))

# A machine that is busy is slow, and that is no fault of what is tested.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Before anything imports torch: threads that wait give their core away, or tiny trainings crawl on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder or file that the first process of a run to need it makes and all others use; never write into it.

    Args:
        tmp_path_factory: pytest's.
        name: Of the folder or file, unique in a run.
        make: Makes it at the path it is given.
    """
    # Processes of pytest-xdist have folders of their own inside the run's.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made_once"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = folder / f"{name}.finished"
        if not finished.exists():
            make(folder / name)
            finished.touch()
    return folder / name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that build or install something go first, then those of many tests, so that no long one is left alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    num_tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -num_tests[item.path]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much the campaigns of test/campaign did in this run."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    done = Counter[str]()
    for name, count in (pair for report in reports for pair in report.user_properties):
        done[name] += count
    if done:
        minutes = sum(report.duration for report in reports) / 60
        what = ", ".join(f"{count} {name}" for name, count in sorted(done.items()))
        terminalreporter.write_line(f"campaigns: {what}; {minutes:.1f} minutes of tests")


@dataclass(frozen=True)
class Workspace:
    """A built colcon workspace.

    Attributes:
        root: Holds src, build, install and log.
        environment: What a shell has after `source install/setup.bash`.
    """

    root: Path
    environment: Mapping[str, str]

    @property
    def prefix(self) -> Path:
        """Where the package is installed."""
        return self.root / "install" / "desert_seg_ros"

    def colcon(self, *arguments: str) -> str:
        """Run colcon in the workspace and return what it printed; fails with that output."""
        return colcon(*arguments, folder=self.root)


def colcon(*arguments: str, folder: Path) -> str:
    """Run this environment's colcon, without the settings of the person who runs the tests."""
    program = Path(sys.executable).with_name("colcon")
    environment = os.environ | {"COLCON_HOME": str(folder / "colcon_home")}
    command = [str(program), "--log-base", str(folder / "log"), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_checkout(folder: Path) -> None:
    """Copy the files that git knows or would add; skips the test where this is no git checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this copy of the project is no git checkout")
    for name in listed.stdout.rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The files git knows or would add, built by colcon in a workspace of their own."""

    def build(root: Path) -> None:
        copy_checkout(root / "src" / "desert_seg")
        colcon("build", folder=root)

    root = made_once(tmp_path_factory, "workspace", build)
    script = ["bash", "-c", "source install/setup.bash && env -0"]
    output = subprocess.run(script, cwd=root, capture_output=True, check=True).stdout.decode()
    environment = dict(entry.split("=", 1) for entry in output.rstrip("\0").split("\0"))
    return Workspace(root, environment)


@pytest.fixture(scope="session")
def tiny_network():
    """The light architecture with random weights."""
    pytest.importorskip("torch")
    from tiny_model import make_tiny_network

    return make_tiny_network()


@pytest.fixture(scope="session")
def tiny_artifact(tiny_network, tmp_path_factory):
    """An artifact of it with a small input size."""
    from tiny_model import make_tiny_artifact

    from desert_seg.artifact import load_artifact

    return load_artifact(made_once(tmp_path_factory, "tiny", lambda path: make_tiny_artifact(path, tiny_network)))


@pytest.fixture(scope="session")
def sample_drive():
    """The drive that comes with the project."""
    return ROOT / "sample_drive"


@pytest.fixture(scope="session")
def frame(sample_drive):
    """HxWx3 of the sample drive, small enough for every default of DDS."""
    import numpy as np

    from desert_seg.recordings.drive import open_drive

    return np.ascontiguousarray(next(open_drive(sample_drive).frames()).rgb()[::4, ::4])


@pytest.fixture(scope="module")
def ros():
    """ROS in the test's own process."""
    rclpy = pytest.importorskip("rclpy")
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def peer_of(ros):
    """Makes peers of nodes by their names; they end with the test."""
    from ros import Peer

    peers = []

    def make_peer(name):
        peers.append(Peer(name))
        return peers[-1]

    yield make_peer
    for peer in peers:
        peer.close()


@pytest.fixture
def start(peer_of, tmp_path):
    """Starts a node of a name and returns its process and a peer for it; both end with the test at the latest."""
    from ros import NodeProcess

    processes = []

    def start_node(name, *arguments, **options):
        processes.append(NodeProcess("-r", f"__node:={name}", *arguments, log=tmp_path / f"{name}.log", **options))
        return processes[-1], peer_of(name)

    yield start_node
    for process in processes:
        process.stop()
