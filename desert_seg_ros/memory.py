"""Memory of one frame that is kept for the next, by a setting of glibc's allocator. Knows nothing of ROS."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Names in glibc's malloc.h."""

_LARGEST_ARRAY_BYTES = 32 * 2**20
"""The largest that glibc allows."""

_KEPT_BYTES = 64 * 2**20


def keep_freed_memory() -> None:
    """Have arrays of up to 32 MiB reuse memory that was freed, of which up to 64 MiB are kept.

    As glibc comes, it returns the memory of large arrays to the kernel, which then clears every page of them anew for
    each frame. Where there is another C library, nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_ARRAY_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
