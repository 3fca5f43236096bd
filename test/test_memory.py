"""The memory of a frame is kept for the next."""

import subprocess
import sys

PROGRAM = """
import resource
import numpy as np
from desert_seg.memory import keep_freed_memory

def pages_cleared():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    planes = [np.ones(2 * 2**20, np.uint8) for _ in range(10)]
    del planes
    planes = [np.ones(2 * 2**20, np.uint8) for _ in range(10)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory(2**26)
pages_cleared()
print(pages_cleared())
"""


def test_arrays_of_a_frame_s_size_reuse_memory_whose_pages_need_not_be_cleared_again():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100
