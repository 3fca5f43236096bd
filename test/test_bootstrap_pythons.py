"""scripts/bootstrap.py at work: with every Python that the README promises, interrupted, and unable to write."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import copy_checkout

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="no ROS 2 wheels for this machine"
    ),
]

# What a fresh shell has and pip may need; nothing of a sourced ROS, of its wheels or of an activated .venv.
KEPT = re.compile(r"HOME|LANG|TMPDIR|REQUESTS_CA_BUNDLE|(PIP|PYENV|SSL|XDG)_\w+|\w+_proxy", re.IGNORECASE)
FOLDERS = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != Path(sys.prefix, "bin")]
ENVIRONMENT = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)} | {
    "PATH": os.pathsep.join(FOLDERS)
}
# Where it does not matter what the project needs, a few seconds instead of half a minute.
PROJECT_ALONE = ENVIRONMENT | {"PIP_NO_DEPS": "1"}


def start(
    checkout: Path, profile: str, environment: dict[str, str], python: str = sys.executable, largest: str = "unlimited"
) -> subprocess.Popen[str]:
    """Start the bootstrap in a process group of its own, in which no file can grow beyond `largest` half kilobytes."""
    limited = ["sh", "-c", f'ulimit -f {largest}; exec "$@"', "sh"]
    return subprocess.Popen(
        [*limited, python, "scripts/bootstrap.py", profile],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def install(checkout: Path, environment: dict[str, str], python: str = sys.executable) -> str:
    """Run the profile `runtime`, which has to end well, and return what it printed."""
    process = start(checkout, "runtime", environment, python)
    printed, errors = process.communicate()
    assert process.returncode == 0, printed + errors
    return printed


def output(*command: str | Path) -> str:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def find_python(minor: int) -> str:
    name = f"python3.{minor}"
    on_path = shutil.which(name, path=ENVIRONMENT["PATH"])
    of_pyenv = map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))
    for python in filter(None, (on_path, *of_pyenv)):
        ask = [python, "-c", "import ensurepip"]
        if subprocess.run(ask, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"no {name} with ensurepip on this machine")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files git knows or would add; removed afterwards, for an environment has 650 MB."""
    root = tmp_path_factory.mktemp("checkout")
    copy_checkout(root)
    yield root
    shutil.rmtree(root)


@pytest.mark.parametrize("minor", range(10, 15), ids=lambda minor: f"3.{minor}")
def test_the_runtime_is_installed_and_its_commands_answer(checkout: Path, minor: int) -> None:
    python = find_python(minor)
    shutil.rmtree(checkout / ".venv", ignore_errors=True)
    install(checkout, ENVIRONMENT, python)
    programs = checkout / ".venv" / "bin"
    for name in ("desert-seg-demo", "desert-seg-replay", "desert-seg-benchmark"):
        assert f"usage: {name}" in output(programs / name, "--help")
    assert (checkout / ".venv/lib/desert_seg_ros/segment_node").resolve(strict=True) == programs / "segment_node"
    versions = "import sys, desert_seg_ros, rclpy; print(sys.version_info.minor)"
    assert output(programs / "python", "-c", versions) == f"{minor}\n"
    assert install(checkout, ENVIRONMENT, python) == "", "there was nothing left to do"


def test_an_interrupted_run_says_so_and_the_next_one_starts_afresh(checkout: Path) -> None:
    install(checkout, PROJECT_ALONE)
    with (checkout / "package.xml").open("a") as manifest:
        manifest.write("<!-- edited -->\n")
    process = start(checkout, "runtime", PROJECT_ALONE)
    while (checkout / ".venv" / "bootstrap.json").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (1, "error: interrupted before everything was installed; run this again\n")
    assert "creating .venv" in install(checkout, PROJECT_ALONE)


def test_an_installation_that_fails_leaves_the_one_before_in_use(checkout: Path) -> None:
    install(checkout, PROJECT_ALONE)
    process = start(checkout, "dev", ENVIRONMENT | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""})
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("error: pip could not install the packages, see the lines above; check")
    assert install(checkout, PROJECT_ALONE) == "", "there was nothing to repair"


@pytest.mark.parametrize("largest", ["0", "200"], ids=["nothing", "pip"])
def test_a_file_that_cannot_be_written_is_one_sentence(checkout: Path, largest: str) -> None:
    shutil.rmtree(checkout / ".venv", ignore_errors=True)
    process = start(checkout, "runtime", PROJECT_ALONE, largest=largest)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(r"error: .*File too large.*, expected .*; free some .*run this again\n", errors)
