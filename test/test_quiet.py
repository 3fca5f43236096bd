"""A robot speaks to nobody: no engine or library reports its use, asks the network or leaves an id."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytest.importorskip("torch")

RUN = """
import sys
import numpy as np
from desert_seg.segmenter import Segmenter
for engine in ("openvino", "onnxruntime", "torch"):
    Segmenter.load(sys.argv[1], engine, "cpu", "f32").segment(np.zeros((90, 160, 3), np.uint8))
"""


def without_network():
    """The command prefix that takes the network away; skips where that is not allowed."""
    for prefix in (["unshare", "-n"], ["unshare", "-rn"]) if shutil.which("unshare") else ():
        if (
            shutil.which("unshare")
            and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
        ):
            return prefix
    pytest.skip("this machine does not let a process give up its network (unshare -n)")


def traced(log):
    """The command prefix that notes down what goes to a socket; empty where strace is missing or not allowed."""
    prefix = ["strace", "--seccomp-bpf", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(log)]
    allowed = shutil.which("strace") and subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if allowed and allowed.returncode == 0 else []


@pytest.fixture(scope="module")
def quiet_run(tmp_path_factory):
    """All engines run, away from any build server: home folder and trace of sockets."""
    folder = tmp_path_factory.mktemp("quiet")
    home, log = folder / "home", folder / "trace"
    home.mkdir()
    told = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in told} | {"HOME": str(home)}
    command = [*without_network(), *traced(log), sys.executable, "-c", RUN, str(ROOT / "models" / "light")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return home, log


def test_nothing_is_written_into_the_home_folder_but_caches(quiet_run):
    home, _ = quiet_run
    written = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert written == {(".cache", "desert_seg")}


def test_nothing_is_sent_to_an_internet_address(quiet_run):
    _, log = quiet_run
    if not log.exists():
        pytest.skip("strace is not installed, or not allowed here")
    assert [line for line in log.read_text().splitlines() if "AF_INET" in line] == []
