"""Make `.venv` and install this project into it: `python3 scripts/bootstrap.py runtime`, `dev`, `jazzy` or `node`.

`runtime` is what `make demo` needs (no torch), `dev` is everything that `make test` needs, and `jazzy` makes a second
environment, `.venv-jazzy`, with what the node's own tests need on the wheels of that older ROS; `node` makes the same
with the wheels in use and the Python that runs this, `.venv-3.12` for one. Where ROS 2 is sourced the environment sees
that ROS; elsewhere rclpy comes from wheels. A run without changes takes a moment; edited files are
installed again. Needs nothing but the standard library.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - refuse before newer syntax fails
    sys.exit(f"error: this is Python {sys.version.split()[0]}, desert_seg needs 3.10 or newer; run python3.10 or newer")

import configparser
import ctypes.util
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APART = {"jazzy": ".venv-jazzy", "node": f".venv-{sys.version_info.major}.{sys.version_info.minor}"}
"""Profiles that have an environment of their own, which never sees a sourced ROS."""
VENV = ROOT / APART.get("".join(sys.argv[1:]), ".venv")
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "bootstrap.json"
LOG = VENV / "install.log"
SOURCES = (
    *("package.xml", "setup.cfg", "setup.py"),
    *("config", "desert_seg", "desert_seg_ros", "desert_seg_train", "launch", "models", "resource", "sample_drive"),
)
EXTRAS = {
    "runtime": ["runtime"],
    "dev": ["runtime", "train", "video", "cluster", "test", "interop", "dev"],
    "jazzy": ["runtime", "test", "interop"],
    "node": ["runtime", "test", "interop"],
}


def main() -> None:
    """Bring `.venv` up to date."""
    if len(sys.argv) != 2 or sys.argv[1] not in EXTRAS:
        sys.exit(f"error: found {sys.argv[1:]}, expected one of {', '.join(EXTRAS)}; see the top of {__file__}")
    start = time.monotonic()
    ros = None if sys.argv[1] in APART else sourced_ros()
    base = f"{sys.version}, rclpy of {ros or 'wheels'}, in {VENV}"
    found = installed()
    if found.get("base") != base:
        found = {}
    wanted = {
        "base": base,
        "profile": "dev" if found.get("profile") == "dev" else sys.argv[1],
        "requirements": digest(ROOT / "setup.py"),
        "project": digest(*source_files()),
    }
    if found == wanted:
        return
    if not found:
        create(ros)
    if all(found.get(key) == wanted[key] for key in ("profile", "requirements")):
        say("installing the files that changed")
        install_project([], ["--no-deps", "--force-reinstall"])
    else:
        say(f"installing packages for {wanted['profile']} (log: {LOG.relative_to(ROOT)})")
        pip("setuptools>=70.1,<80")
        wheels = "ros-jazzy" if wanted["profile"] == "jazzy" else "ros"
        extras = EXTRAS[wanted["profile"]] + ([] if ros else [wheels])
        # Compiling everything takes a minute and much disk; Python compiles what it imports.
        install_project(extras, ["--no-compile", *system_numpy(ros)])
        if wanted["profile"] == "dev":
            install_system_packages()
    link_executables()
    STAMP.write_text(json.dumps(wanted, indent=1))
    say(f"ready after {time.monotonic() - start:.0f} s")


def installed() -> dict[str, str]:
    """What the last complete run recorded; empty if a run was interrupted or its Python is gone."""
    if not PYTHON.exists():
        return {}
    try:
        found: dict[str, str] = json.loads(STAMP.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def say(text: str) -> None:
    """Print one line."""
    print(f"[setup] {text}", flush=True)


def source_files() -> list[Path]:
    """Every file that is part of an installation."""
    paths = [path for name in SOURCES for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    return sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def digest(*paths: Path) -> str:
    """A hash of names and contents."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def sourced_ros() -> str | None:
    """Name of the sourced ROS 2 distribution that this Python can use; None = use the wheels."""
    distribution = os.environ.get("ROS_DISTRO")
    if distribution and os.environ.get("AMENT_PREFIX_PATH"):
        if importlib.util.find_spec("rclpy"):
            return distribution
        sys.exit(
            f"error: ROS 2 {distribution} is sourced but {sys.executable} cannot import rclpy; "
            "run this with the Python that ROS uses, usually /usr/bin/python3, or in a shell without ROS"
        )
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit(
            f"error: there are no ROS 2 wheels for {sys.platform} on {platform.machine()}, only for Linux on x86_64; "
            "install ROS 2, source its setup.bash and run this again"
        )
    return None


def system_numpy(ros: str | None) -> list[str]:
    """Pip arguments that keep a sourced ROS on the numpy it was compiled against."""
    if ros is None or importlib.util.find_spec("numpy") is None:
        return []
    import numpy

    constraints = VENV / "constraints.txt"
    constraints.write_text(f"numpy=={numpy.__version__}\n")
    return ["--constraint", str(constraints)]


def create(ros: str | None) -> None:
    """A fresh, empty environment."""
    if Path(sys.prefix).resolve() == VENV:
        sys.exit("error: this is the Python of .venv, which has to be made anew; run deactivate and then this again")
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            "error: this Python has no ensurepip, which a virtual environment needs; "
            f"install it (Debian, Ubuntu: sudo apt install python{version}-venv) and run this again"
        )
    if os.pathsep in str(VENV):
        sys.exit(f"error: found '{os.pathsep}' in the path {ROOT}, expected none; move the checkout and run this again")
    say(f"creating {VENV.name} ({f'on top of ROS 2 {ros}' if ros else 'rclpy from wheels'})")
    STAMP.unlink(missing_ok=True)
    try:
        venv.create(VENV, clear=True, with_pip=True, symlinks=True, system_site_packages=ros is not None)
    except subprocess.CalledProcessError as error:
        said = error.output.decode(errors="replace").strip().splitlines()
        sys.exit(
            f"error: ensurepip could not put pip into {VENV} ({said[-1] if said else error}), expected free disk space "
            f"and an undamaged {sys.executable}; free some or choose another Python, and run this again"
        )


def install_project(extras: list[str], options: list[str]) -> None:
    """Install from a copy, so that no build folder is left in the checkout and no old one is used."""
    with tempfile.TemporaryDirectory() as folder:
        for path in source_files():
            target = Path(folder) / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        # Without --use-pep517 a pip before 23.1 runs the old `setup.py install`, which leaves no .dist-info.
        pip("--use-pep517", "--no-build-isolation", *options, folder + (f"[{','.join(extras)}]" if extras else ""))


def pip(*arguments: str) -> None:
    """Install with pip, silently unless it fails."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    # The Python of another environment with ROS wheels sets these for its children; ours must find its own libraries.
    marks = ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in marks}
    # While pip works there is no stamp: if it or this script is killed, the next run starts afresh.
    aside = STAMP.with_suffix(".aside")
    if STAMP.exists():
        STAMP.rename(aside)
    with LOG.open("a") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if aside.exists() and code >= 0:  # A failing pip undoes what it began.
        aside.rename(STAMP)
    if code:
        print("\n".join(LOG.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
        sys.exit(
            "error: pip could not install the packages, see the lines above; check the network and the free disk "
            f"space and run this again (whole log: {LOG})"
        )


def install_system_packages() -> None:
    """Install what some tests need besides Python, if permitted; without it those tests are skipped."""
    missing = {}
    if not ctypes.util.find_library("EGL"):
        missing["rendering"] = ["libegl1", "libgl1", "libgl1-mesa-dri"]
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        missing["HTML reports in a browser"] = ["chromium", "fonts-dejavu-core"]
    if not missing:
        return
    packages = [package for group in missing.values() for package in group]
    untested = f"{' and '.join(missing)} will not be tested"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        say(f"{untested}; to change that: sudo apt install {' '.join(packages)}")
        return
    say(f"installing for tests: {' '.join(packages)}")
    with LOG.open("a") as log:
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", *command], stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        say(f"apt-get could not install them, so {untested} (whole log: {LOG})")


def link_executables() -> None:
    """Put the commands where `ros2 run` and `ros2 launch` look for them: under lib/<package>."""
    pattern = "lib/python*/site-packages/desert_seg_ros-*.dist-info/entry_points.txt"
    found = list(VENV.glob(pattern))
    if len(found) != 1:
        sys.exit(
            f"error: found {len(found)} files {VENV / pattern} after pip had installed, expected one; look for what "
            f"sends pip elsewhere in {LOG} and in `{PYTHON} -m pip config list`, unset it and run this again"
        )
    parser = configparser.ConfigParser()
    parser.read(found[0])
    folder = VENV / "lib" / "desert_seg_ros"
    folder.mkdir(exist_ok=True)
    for name in parser["console_scripts"]:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(VENV / "bin" / name)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("error: interrupted before everything was installed; run this again")
    except OSError as error:
        sys.exit(
            f"error: {error}, expected to be able to write {VENV} and temporary files; "
            "free some disk space or make the checkout writable for this user, and run this again"
        )
