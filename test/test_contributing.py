"""What CONTRIBUTING.md, the issue forms and the citation say is so."""

import re
import subprocess

import pytest
import yaml
from conftest import ROOT
from test_packaging import VERSION

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
LARGE = ("models/light/", "models/trail/", "sample_drive/")
PICTURES = (".jpg", ".png")


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+)`", CONTRIBUTING))
    assert len(named) > 15
    missing = {name for name in named if "NAME" not in name and not (ROOT / name).exists()}
    assert missing == set()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("desert_seg/engines/engine.py", "\nENGINES = "),
        ("desert_seg/engines/build.py", "def build_engine("),
        ("desert_seg/engines/choice.py", "def candidates("),
        ("desert_seg_train/export/normalization.py", "def encoder_normalization("),
        ("desert_seg/network.py", "def _without_upsampling("),
        ("desert_seg_ros/topics.py", "\nOUTPUTS = "),
        ("desert_seg_ros/camera.py", "def _publish("),
        ("desert_seg_ros/model.py", "wanted"),
    ],
)
def test_what_has_to_be_changed_to_add_something_is_where_it_is_said_to_be(place, text):
    assert f"`{place}`" in CONTRIBUTING
    assert text in (ROOT / place).read_text()


def test_only_the_models_the_drive_and_small_pictures_are_committed():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("this copy of the project is no git checkout")
    for name in listing.stdout.rstrip("\0").split("\0"):
        if (ROOT / name).is_file() and not name.startswith(LARGE):
            limit = 2e6 if name.endswith(".gif") else 3e5
            assert (ROOT / name).stat().st_size <= limit, name
    assert {path.name for path in (ROOT / "models").iterdir()} == {"light", "trail"}


def test_the_citation_has_the_version_that_is_released():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == VERSION
    assert {"cff-version", "title", "authors", "message", "license"} <= citation.keys()


def test_the_form_for_bugs_asks_what_the_machine_is_like():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    asked = {part["id"]: part for part in form["body"] if "id" in part}
    assert "desert-seg doctor" in asked["doctor"]["attributes"]["description"]
    assert asked["doctor"]["validations"]["required"]
