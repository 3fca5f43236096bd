"""Processes that end with the one that started them."""

import os
import select
import subprocess
import sys

from conftest import ROOT

START = """
import multiprocessing, os, signal, subprocess, sys, time
from desert_seg.parent import end_with_parent, ending_with_us
def sleep(parent):
    end_with_parent(parent, signal.SIGKILL)
    print("ready", flush=True)
    time.sleep(600)
if __name__ == "__main__":
    ready = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
    subprocess.Popen(ending_with_us(ready))
    multiprocessing.get_context("fork").Process(target=sleep, args=(os.getpid(),)).start()
    time.sleep(600)
"""


def test_they_end_when_it_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", START], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert [parent.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
    parent.kill()
    parent.wait()
    # All of them have our end of the pipe: it is closed once the last has ended.
    assert select.select([parent.stdout], [], [], 60)[0]
    assert os.read(parent.stdout.fileno(), 1) == b""


def test_one_whose_starter_has_ended_already_ends(tmp_path):
    code = "from desert_seg.parent import end_with_parent; end_with_parent(1, 15); print('went on')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
