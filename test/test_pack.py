"""A rendered drive as a bag."""

import json

import cv2
import numpy as np
import pytest

from desert_seg.errors import DataError
from desert_seg.images import write_image
from desert_seg.recordings.bag import Bag, deserialize
from desert_seg.recordings.drive import open_drive
from desert_seg.recordings.pack import pack_drive


def pose(x, angle, axis):
    """A 4x4 pose, turned by Rodrigues' formula."""
    turned = np.eye(4)
    turned[:3, :3] = cv2.Rodrigues(np.array(axis, float) / np.linalg.norm(axis) * angle)[0]
    turned[0, 3] = x
    return turned


POSES = [pose(1, 0.3, [0, 0, 1]), pose(2, 3.1, [1, 2, -1]), pose(3, np.pi, [0, 1, 0])]


@pytest.fixture
def rendered(tmp_path):
    """Three frames as the renderer writes them."""
    rng = np.random.default_rng(0)
    for index in range(3):
        image = np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        write_image(tmp_path / "drive" / "Color_Images" / f"{index}.png", image)
        mask = rng.choice([100, 7100, 10000], (48, 64)).astype(np.uint16)
        write_image(tmp_path / "drive" / "Segmentation" / f"{index}.png", mask)
    matrix = [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]]
    frames = [{"T_world_camera": POSES[index].tolist()} for index in range(3)]
    camera = {"width": 64, "height": 48, "K": matrix, "distortion": [0] * 5, "frames": frames}
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


def test_odometry_turns_the_camera_s_axes_as_the_pose_does(rendered, tmp_path):
    pack_drive(rendered, tmp_path / "bag")
    with Bag(tmp_path / "bag") as bag:
        messages = [deserialize(stored) for stored in bag.messages(["/camera/odometry"])]
    assert [message.pose.pose.position.x for message in messages] == [1, 2, 3]
    for message, expected in zip(messages, POSES, strict=True):
        q = message.pose.pose.orientation
        norm = np.linalg.norm([q.x, q.y, q.z])
        vector = 2 * np.arctan2(norm, q.w) * np.array([q.x, q.y, q.z]) / norm
        np.testing.assert_allclose(cv2.Rodrigues(vector)[0], expected[:3, :3], atol=1e-9)
        assert (message.header.frame_id, message.child_frame_id) == ("odom", "camera_optical_frame")


def test_poses_that_are_not_those_of_the_frames_are_refused(rendered, tmp_path):
    (rendered / "Color_Images" / "2.png").unlink()
    with pytest.raises(DataError, match=r"found 2 images and 3 poses"):
        pack_drive(rendered, tmp_path / "bag")


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
