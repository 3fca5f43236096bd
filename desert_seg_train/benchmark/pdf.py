"""Prints a page as PDF with a headless Chromium, if there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIMEOUT_S = 120


def print_pdf(page: Path, pdf: Path) -> str:
    """Print a page.

    Args:
        page: HTML file.
        pdf: File to write.

    Returns:
        Empty on success, else why there is no PDF.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return f"no PDF: found none of {', '.join(BROWSERS)} on PATH; open the page in a browser and print it there"
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={profile}"]
        if os.geteuid() == 0:  # Chromium refuses to sandbox root, the user of most containers
            command.append("--no-sandbox")
        command += [f"--print-to-pdf={pdf.resolve()}", page.resolve().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"no PDF: {browser} failed ({error})"
    if done.returncode or not pdf.is_file():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"no PDF: {browser} failed with exit code {done.returncode} ({last})"
    return ""
