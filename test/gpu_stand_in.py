"""Lines that end in every way that lines can end."""

import os
import time

from desert_seg.errors import DataError
from speed.figures import Figure
from speed.gpu.outcome import NotRunError


def lines(setting, subject):
    def fail(error):
        raise error

    return {
        "good": lambda: [Figure("good", "answer", (42.0,), once=True)],
        "impossible": lambda: fail(NotRunError("there is no such device")),
        "wrong": lambda: fail(DataError("found one, expected two; give another")),
        "broken": lambda: fail(ZeroDivisionError("by\nzero")),
        "crash": lambda: os._exit(3),
        "endless": lambda: time.sleep(1000),
    }
