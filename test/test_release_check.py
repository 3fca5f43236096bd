"""scripts/release_check.py: a release that lacks a file is not made."""

import sys
import tarfile
import zipfile

import pytest
from conftest import ROOT
from test_packaging import VERSION

sys.path.insert(0, str(ROOT / "scripts"))

import release_check

NAMES = ["desert_seg/labels.py", "models/light/model.onnx", "resource/desert_seg_ros", "docs/index.md"]


def built(folder, names, version=VERSION):
    """A wheel and an sdist of empty files, laid out as setuptools does."""
    wheel, sdist = folder / f"desert_seg_ros-{version}-py3-none-any.whl", folder / f"desert_seg_ros-{version}.tar.gz"
    shared = f"desert_seg_ros-{version}.data/data/share"
    with zipfile.ZipFile(wheel, "w") as archive, tarfile.open(sdist, "w:gz") as source:
        for name in names:
            source.addfile(tarfile.TarInfo(f"desert_seg_ros-{version}/{name}"))
            if name.startswith("resource/"):
                name = f"{shared}/ament_index/resource_index/packages/desert_seg_ros"
            elif not name.startswith("desert_seg"):
                name = f"{shared}/desert_seg_ros/{name}"
            archive.writestr(name, "")
    return wheel, sdist


def test_a_release_with_every_file_of_the_programs_passes(tmp_path):
    release_check.refuse_missing(NAMES, *built(tmp_path, NAMES[:3]))


@pytest.mark.parametrize("lost", NAMES[:3])
def test_a_release_that_lacks_a_file_is_refused_by_its_name(lost, tmp_path):
    with pytest.raises(SystemExit, match=f"lacks {lost}; add it to"):
        release_check.refuse_missing(NAMES, *built(tmp_path, [name for name in NAMES if name != lost]))


def test_a_release_of_another_version_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=rf"expected version {VERSION} of package\.xml"):
        release_check.refuse_missing(NAMES, *built(tmp_path, NAMES, "0.0.9"))
