"""What to do about a path at which nothing is."""

from __future__ import annotations

import re
from pathlib import Path

_SCHEME = re.compile(r"(?:^|/)([a-z][a-z0-9+.-]+):/")  # of `https://x`, from which a Path takes one slash


def cure_of_absent(path: str | Path, usual: str) -> str:
    """The cure that a path shows by itself: of an address, of `~` and of variables; else the usual one."""
    text = str(path)
    if scheme := _SCHEME.search(text):
        return "give the path without file://" if scheme[1] == "file" else "download it, and give the path of the file"
    if text.startswith("~") or "/~" in text or "$" in text:
        return "write ~ and variables out, which a shell replaces only where they are not in quotes"
    return usual
