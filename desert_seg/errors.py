"""The errors this project raises on purpose.

Every message is one sentence a person can act on: what was found, what was expected, what to do. Commands print
the message and exit with 1; the node logs it. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

MAX_LENGTH = 2000
"""Longest message in characters; text that it quotes may come from outside and be megabytes long."""


def shortened(text: str) -> str:
    """A long text without its middle: what was found is at its beginning, the cure at its end."""
    half = (MAX_LENGTH - 3) // 2
    return text if len(text) <= MAX_LENGTH else f"{text[:half]} … {text[-half:]}"


class DesertSegError(Exception):
    """Base of all expected failures."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class ArtifactError(DesertSegError):
    """A model artifact is missing, damaged, or of another format."""


class DataError(DesertSegError):
    """An image, mask, label map, dataset folder or bag is not what it should be."""


class OutputError(DataError):
    """A result cannot be written: the disk is full, read-only, or something else is in its place."""


class EngineError(DesertSegError):
    """An inference engine is unknown, not installed, or cannot run on the requested device."""


class FrameError(DesertSegError):
    """One camera frame cannot be used; the next one may."""


_OUT_OF_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "insufficient memory",
    "allocate memory",
    "start new thread",
    "resource temporarily unavailable",
    "failed to map segment from shared object",
    "could not execute a primitive",
)
"""How it is said, in lower case: by C++, ONNX Runtime, CUDA and zlib, OpenCV, torch and the system; of threads, which
need memory, too, by Python and C++; by the loader of libraries; by oneDNN, which gives no reason and hardly has any
other."""

_OTHER_CAUSES = ("memory in static tls", "failed to map segment from shared object: operation not permitted")
"""What sounds alike, but comes of the order of imports, or of a disk without programs (noexec)."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, is a lack of memory, by whatever type a library raises."""
    if error is None or isinstance(error, BlockingIOError):  # a full pipe or a lock is temporarily unavailable, too
        return False
    text = str(error).lower()
    for other in _OTHER_CAUSES:
        text = text.replace(other, "")
    says_so = isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)
    return says_so or is_out_of_memory(error.__cause__ or error.__context__)


def quoted(text: str, length: int = 60) -> str:
    """A found text in quotes, cut to `length` characters, because it may have any size."""
    shown = repr(text[: length + 1])
    return shown if len(shown) <= length + 2 else f"{shown[:length]}…'"
