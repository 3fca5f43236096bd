"""What comes with this project from others: `scripts/audit.py lock` pins it, and without `lock` it is audited.

`lock` writes requirements/robot.txt, what a robot without ROS installs, with the hash of every file, and
requirements/ci.txt, constraints for everything else. The audit says whether the locks still fit setup.py, installs the
robot's into an environment of its own, lists it as CycloneDX in out/audit/sbom.json, holds every licence against
`ALLOWED`, and asks PyPI's advisories about every locked version. It ends with 1 if anything is wrong or could not be
checked. The tools live in .venv-audit; nothing here is needed to build, test or run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".venv-audit"
OUT = ROOT / "out" / "audit"
PACKAGES = ("uv>=0.5", "pip-audit>=2.7", "cyclonedx-bom>=5", "pip-licenses>=5")

ROBOT, CI = "requirements/robot.txt", "requirements/ci.txt"
LOCKS = {
    ROBOT: ("--generate-hashes", "--extra", "runtime", "--extra", "video", "--extra", "ros"),
    # Without ROS's wheels, of which there is a set for each distribution under the same names, and without hashes,
    # which pip takes for none of its constraints when the project itself has none.
    CI: tuple(
        part
        for extra in ("runtime", "train", "video", "cluster", "test", "interop", "dev")
        for part in ("--extra", extra)
    ),
}

ALLOWED = re.compile(
    r"apache|\bmit\b|mit-cmu|bsd|\bisc\b|zlib|psf|python software foundation|mpl|mozilla|epl|unlicense|any-osi|bsl-1|"
    "cc0",
    re.IGNORECASE,
)
"""Licences that put no conditions on our code; of a choice, "; " in what a package states, one is enough."""

REVIEWED = {
    "nvidia-": "CUDA libraries that torch installs, under NVIDIA's terms; no part of the node",
    "cuda-": "the same",
    "desert-seg-ros": "this project",
    "ros-fastcdr": "eProsima's, Apache-2.0 by its own LICENSE; it has no manifest of ROS",
    "ros-fastdds": "the same",
}
"""Packages, by the beginning of their names, whose licence a person has looked at."""


def main() -> int:
    """Lock, or audit."""
    if sys.argv[1:] not in ([], ["lock"]):
        sys.exit(f"error: found {sys.argv[1:]}, expected nothing or lock; see the top of {__file__}")
    if not (TOOLS / "bin" / "uv").exists():
        venv.create(TOOLS, clear=True, with_pip=True, symlinks=True)
        run(TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES)
    if sys.argv[1:] == ["lock"]:
        for name in LOCKS:
            lock(name, ROOT / name)
        return 0
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    faults = [fault for check in (stale_locks, what_ships, licences, advisories) for fault in check()]
    for fault in faults:
        print(f"error: {fault}")
    print(f"{len(faults)} faults; what was found is in {OUT.relative_to(ROOT)}")
    return 1 if faults else 0


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed; ends with its last words if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(
            f"error: {Path(command[0]).name} could not do its part:\n{(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done


def tool(name: str) -> Path:
    """The path of an installed tool."""
    return TOOLS / "bin" / name


def lock(name: str, path: Path) -> None:
    """Pin everything for all Pythons from 3.10, keeping the versions that `path` already has where they fit."""
    header = (
        f"# Written by `make lock` from setup.py: {'what a robot installs' if name == ROBOT else 'constraints for CI'}."
    )
    options = ("--universal", "--python-version", "3.10", "--no-header", "--no-annotate", "--no-emit-index-url")
    run(tool("uv"), "pip", "compile", "setup.py", *options, *LOCKS[name], "-o", path)
    path.write_text(f"{header}\n{path.read_text()}")
    print(f"{name}: {len(pins(path))} versions")


def pins(path: Path) -> list[str]:
    """`name==version` of every line of a lock, with as many versions of a package as Pythons need."""
    return re.findall(r"^[\w.-]+==[\w.+!-]+", path.read_text(), re.MULTILINE)


def stale_locks() -> list[str]:
    """Locks that setup.py has left behind."""
    stale = []
    for name in LOCKS:
        again = OUT / Path(name).name
        shutil.copy2(ROOT / name, again)
        lock(name, again)
        if again.read_text() != (ROOT / name).read_text():
            stale.append(f"{name} does not fit setup.py any more; run `make lock` and commit it")
    return stale


def what_ships() -> list[str]:
    """Install the robot's lock by its hashes, and list it."""
    environment, sbom = OUT / "robot", OUT / "sbom.json"
    run(tool("uv"), "venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    run(tool("uv"), "pip", "sync", "--quiet", "--require-hashes", "--python", python, ROBOT)
    run(tool("cyclonedx-py"), "environment", "--output-reproducible", "-o", sbom, environment)
    print(f"{sbom.relative_to(ROOT)}: {len(json.loads(sbom.read_text())['components'])} components in CycloneDX")
    shutil.rmtree(environment)
    return []


def licences() -> list[str]:
    """Packages of .venv whose licence nobody has allowed."""
    python = ROOT / ".venv" / "bin" / "python"
    listed = json.loads(run(tool("pip-licenses"), "--python", python, "--format", "json").stdout)
    found = {each["Name"]: each["License"] for each in listed}
    found |= {name: licence for name, licence in _ros_licences().items() if name in found}
    (OUT / "licences.json").write_text(json.dumps(dict(sorted(found.items())), indent=1))
    print(f"licences: {len(found)} packages")
    return [
        f"{name} is under {licence.splitlines()[0][:80]!r}; read it, and add it to REVIEWED or do without the package"
        for name, licence in sorted(found.items())
        if not all(map(ALLOWED.search, re.split(" AND |,", licence.splitlines()[0])))
        and not name.startswith(tuple(REVIEWED))
    ]


def _ros_licences() -> dict[str, str]:
    """ROS's wheels name no licence, but most of what they install is described by ROS's own manifests."""
    names: dict[str, str] = {}
    for path in (ROOT / ".venv" / "share").glob("*/package.xml"):
        licence = " AND ".join(filter(None, (each.text for each in ElementTree.parse(path).iter("license"))))
        name = path.parent.name
        wheels = [f"{prefix}{name.replace('_', '-')}" for prefix in ("ros-", "ros-kilted-")]
        names |= dict.fromkeys((name, *wheels), licence)
    return names


def advisories() -> list[str]:
    """Known vulnerabilities of what is locked, and what nothing is known about."""
    faults = []
    for name in LOCKS:
        report = OUT / f"advisories_{Path(name).stem}.json"
        versions = OUT / f"versions_{Path(name).stem}.txt"
        faults_of, unknown, wanted = [], [], sorted(set(pins(ROOT / name)))
        # One requirement for each package at a time: of different versions for different Pythons pip-audit takes one.
        for group in _groups(wanted):
            versions.write_text("\n".join(group) + "\n")
            arguments = ("-r", versions, "--no-deps", "--disable-pip", "--format", "json", "-o", report)
            done = run(tool("pip-audit"), "--progress-spinner", "off", *arguments, check=False)
            if not report.exists():
                unknown += group
                print(f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no answer'}")
                continue
            for each in json.loads(report.read_text())["dependencies"]:
                if "skip_reason" in each:
                    unknown.append(each["name"])
                faults_of += [f"{each['name']} {each['version']} has {bug['id']}" for bug in each.get("vulns", ())]
            report.unlink()
        print(f"{name}: {len(wanted) - len(unknown)} of {len(wanted)} versions are known to PyPI's advisories")
        faults += faults_of
        if unknown:
            faults.append(
                f"{name}: nothing is known of {len(unknown)} of {len(wanted)} versions, as where PyPI cannot be "
                f"reached; run this again with a network that reaches it ({', '.join(unknown[:3])} ...)"
            )
    return faults


def _groups(versions: list[str]) -> list[list[str]]:
    groups: list[dict[str, str]] = []
    for version in versions:
        name = version.partition("==")[0]
        free = next((group for group in groups if name not in group), None)
        if free is None:
            groups.append(free := {})
        free[name] = version
    return [list(group.values()) for group in groups]


if __name__ == "__main__":
    os.environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_PYTHON_DOWNLOADS": "never"}
    sys.exit(main())
