"""A rendered drive as a bag."""

import json

import numpy as np
import pytest

from desert_seg.errors import DataError
from desert_seg.images import write_image
from desert_seg_ros.drive import open_drive
from desert_seg_ros.pack import pack_drive


@pytest.fixture
def rendered(tmp_path):
    """Three frames as the renderer writes them."""
    rng = np.random.default_rng(0)
    for index in range(3):
        image = np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        write_image(tmp_path / "drive" / "Color_Images" / f"{index}.png", image)
        mask = rng.choice([100, 7100, 10000], (48, 64)).astype(np.uint16)
        write_image(tmp_path / "drive" / "Segmentation" / f"{index}.png", mask)
    camera = {"width": 64, "height": 48, "K": [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]], "distortion": [0] * 5}
    (tmp_path / "drive" / "camera.json").write_text(json.dumps(camera))
    return tmp_path / "drive"


@pytest.mark.parametrize("name", ["bag", "drive.mcap"])
def test_the_bag_holds_images_masks_and_calibration_at_the_asked_rate(rendered, tmp_path, name):
    pack_drive(rendered, tmp_path / name, hz=20)
    packed, source = list(open_drive(tmp_path / name).frames()), list(open_drive(rendered).frames())
    assert [frame.stamp_ns - packed[0].stamp_ns for frame in packed] == [0, 50_000_000, 100_000_000]
    for after, before in zip(packed, source, strict=True):
        assert np.array_equal(after.ground_truth(), before.ground_truth())
        assert np.abs(after.rgb().astype(int) - before.rgb()).mean() < 20
        assert (after.camera_info.width, after.camera_info.height, after.camera_info.k[2]) == (64, 48, 31.5)
    assert (tmp_path / name).is_file() is name.endswith(".mcap")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["drive", name])


def test_the_same_drive_gives_the_same_bytes(rendered, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pack_drive(rendered, tmp_path / name / "drive.mcap")
    assert (tmp_path / "a" / "drive.mcap").read_bytes() == (tmp_path / "b" / "drive.mcap").read_bytes()


def test_quality_is_lowered_to_fit_and_what_can_never_fit_is_refused(rendered, tmp_path):
    pack_drive(rendered, tmp_path / "large.mcap")
    pack_drive(rendered, tmp_path / "small.mcap", max_mb=0.11)
    assert (tmp_path / "small.mcap").stat().st_size < (tmp_path / "large.mcap").stat().st_size
    with pytest.raises(DataError, match=r"more than 0\.01 MB"):
        pack_drive(rendered, tmp_path / "none.mcap", max_mb=0.01)
    assert not (tmp_path / "none.mcap").exists()


def test_a_folder_without_a_camera_file_is_refused(rendered, tmp_path):
    (rendered / "camera.json").unlink()
    with pytest.raises(DataError, match=r"camera\.json: is not a renderer's camera file"):
        pack_drive(rendered, tmp_path / "bag")
