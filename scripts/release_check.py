"""What is released works without the checkout: `make release-check`.

Builds the sdist, and from it the wheel, out of the files that git knows; looks for what the programs need in both;
installs the wheel into a fresh environment; and runs the demo from there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
SHARED = ("config", "launch", "models", "sample_drive", "resource", "desert_seg", "desert_seg_ros", "desert_seg_train")
"""Folders of which every file has to be in the sdist and in the wheel."""

EXTRAS = "runtime,ros"
DEMO = ["--limit", "10"]


def main() -> None:
    """Check everything; ends with exit code 1 at the first thing that is wrong."""
    start = time.monotonic()
    names = tracked_files()
    with tempfile.TemporaryDirectory(prefix="desert_seg_release_") as folder:
        work = Path(folder)
        wheel, sdist = build(names, work)
        refuse_missing(names, wheel, sdist)
        say(f"{wheel.name}, {megabytes(wheel)}, and {sdist.name}, {megabytes(sdist)}, hold every file")
        programs = install(wheel, work / "fresh")
        try_programs(programs, work)
    say(f"ready to be released, after {time.monotonic() - start:.0f} s")


def say(text: str) -> None:
    """Print one line."""
    print(f"[release-check] {text}", flush=True)


def megabytes(path: Path) -> str:
    """The size of a file."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


def tracked_files() -> list[str]:
    """Names of all files that git knows, relative to the checkout."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        sys.exit(f"error: {ROOT} is no git checkout, expected one, so that only its files are released; clone it")
    return [name for name in listing.stdout.rstrip("\0").split("\0") if (ROOT / name).is_file()]


def build(names: list[str], work: Path) -> tuple[Path, Path]:
    """The wheel, built from the sdist, and the sdist, built from a copy of the files."""
    source, out = work / "source", work / "dist"
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)], "the build failed")
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def refuse_missing(names: list[str], wheel: Path, sdist: Path) -> None:
    """End if one of the two lacks a file that a program may read."""
    needed = {name for name in names if name.split("/")[0] in SHARED}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {_original(name) for name in archive.namelist()}
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    for path, found in ((wheel, in_wheel), (sdist, in_sdist)):
        missing = sorted(needed - found)
        if missing:
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            sys.exit(
                f"error: {path.name} lacks {missing[0]}{more}; add it to package_data or data_files in setup.py, "
                "or remove it from git"
            )
    version = ElementTree.parse(ROOT / "package.xml").getroot().findtext("version")
    if f"-{version}-" not in wheel.name:
        sys.exit(f"error: found {wheel.name}, expected version {version} of package.xml; look at setup.py")


def _original(name: str) -> str:
    """The name in the checkout of a file in the wheel."""
    shared = name.partition(".data/data/share/")[2]
    if shared.startswith("ament_index/"):
        return f"resource/{Path(shared).name}"
    return shared.removeprefix("desert_seg_ros/") or name


def install(wheel: Path, place: Path) -> Path:
    """A fresh environment with the wheel in it; returns the folder of its programs."""
    say(f"installing it with the extras {EXTRAS} into a fresh environment")
    venv.create(place, with_pip=True, symlinks=True)
    run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", f"{wheel}[{EXTRAS}]"], "pip failed")
    return place / "bin"


def try_programs(programs: Path, work: Path) -> None:
    """Run what a person would run first, in a folder that is not the checkout."""
    for name in ("desert-seg", "desert-seg-replay", "desert-seg-benchmark", "segment_node"):
        run([str(programs / name), "--version"], f"{name} does not start", work)
    run([str(programs / "desert-seg-demo"), *DEMO, "--out", str(work / "demo")], "the demo failed", work)
    for name in ("contact_sheet.png", "masks.mp4", "report.json"):
        if not (work / "demo" / name).is_file():
            sys.exit(f"error: the demo wrote no {name}; run it in the checkout: make demo")


def run(command: list[str], failure: str, folder: Path | None = None) -> None:
    """Run a program with the environment that a stranger would have; ends if it fails."""
    program = Path(command[0])
    unset = ("PYTHONPATH", "VIRTUAL_ENV", "_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"AMENT_PREFIX_PATH": str(program.parent.parent), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:] + done.stderr[-4000:], file=sys.stderr)
        sys.exit(f"error: {failure}, see above: {' '.join(command)}")


if __name__ == "__main__":
    main()
