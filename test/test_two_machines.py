"""Training on two machines, which are network namespaces of this one."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from labelled_folder import write_folder

from desert_seg.artifact import load_artifact

pytest.importorskip("torch")


def namespaces_are_allowed():
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    cable = "unshare --map-root-user --net --mount ip link add cable type veth"
    return subprocess.run(cable.split(), capture_output=True, check=False).returncode == 0


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.skipif(not namespaces_are_allowed(), reason="this machine lets nobody make network namespaces and a cable")
def test_two_machines_see_one_loss_which_is_that_of_a_single_process_with_the_same_batch(tmp_path):
    """Batch statistics, Dice and dropout are those of half a batch on each machine, hence the tolerance."""
    program = [str(ROOT / "test" / "training_machine.py"), "train", "--config", "config/smoke.yaml"]
    program += ["--sources", str(write_folder(tmp_path / "data", frames=4)), "falcon7", "1"]
    program += ["--batch-size", "8", "--sampling.height", "32", "--sampling.width", "64"]
    losses = {}
    for name, start in (("one", [sys.executable]), ("two", ["scripts/two_machines.sh"])):
        (tmp_path / f"losses of {name}").mkdir()
        environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*start, *program, "--out", str(tmp_path / name)],
            env=environment | {"LOSSES": str(tmp_path / f"losses of {name}")},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert load_artifact(tmp_path / name / "artifact").digest
        written = sorted((tmp_path / f"losses of {name}").iterdir())
        losses[name] = [[float(line) for line in path.read_text().splitlines()] for path in written]
    (alone,), (first, second) = losses["one"], losses["two"]
    assert first == second
    assert len(first) == 4
    assert first == pytest.approx(alone, rel=0.03)
