"""Points on the ground: exact where it is flat, none where nothing can be told, else a refusal with its cure."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from desert_seg.ground import (
    LIFT_M,
    MAX_BINS,
    MAX_FEET,
    GroundCamera,
    GroundError,
    Lens,
    free_points,
    obstacle_points,
    pitched_down,
)
from desert_seg.smoothing import Viewpoint
from desert_seg.traversability import LETHAL, NO_INFORMATION

HEIGHT, WIDTH = 90, 160
LENS = Lens(np.array([[120.0, 0, 79.5], [0, 120.0, 44.5], [0, 0, 1]]))
LEVEL = GroundCamera(LENS, pitched_down(0), 1.5)


def rotation(yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0):
    """Of the optical frame in a world with z up: turned left, then pitched down, then rolled clockwise."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    below = np.cross(ahead, right)
    return np.column_stack([right, below, ahead]) @ cv2.Rodrigues(np.array([0, 0, roll]))[0]


def pixel_of(points, camera, lift_m=LIFT_M):
    """Nx2 columns and rows at which the ground under Nx3 points is seen by a camera without distortion."""
    ground = points.astype(float) + lift_m * camera.down
    seen = ground @ camera.lens.intrinsics.T
    return seen[:, :2] / seen[:, 2:]


def along_ground(points, camera):
    points = points.astype(float)
    return np.linalg.norm(points - np.outer(points @ camera.down, camera.down), axis=1)


attitudes = st.builds(rotation, st.floats(-180, 180), st.floats(-30, 45), st.floats(-30, 30))


@given(attitudes, st.floats(0.3, 5), st.floats(-8, 8), st.floats(-8, 8))
def test_what_stands_on_a_flat_world_is_found_exactly_where_it_stands_whatever_the_attitude(turn, height_m, x, y):
    camera = GroundCamera(LENS, turn.T @ [0.0, 0.0, -1.0], height_m)
    seen = turn.T @ [x, y, -height_m]
    assume(seen[2] > 0.1)
    column, row = (LENS.intrinsics @ seen)[:2] / seen[2]
    distances, bearings = camera.ground(np.array([column]), np.array([row]))
    (point,) = camera.points(distances, bearings)
    assert turn @ point == pytest.approx([x, y, LIFT_M - height_m], abs=1e-3)


@given(st.integers(0, 2**32 - 1), attitudes)
@settings(max_examples=50)
def test_every_point_is_the_foot_of_something_lethal_and_within_range(seed, turn):
    camera = GroundCamera(LENS, turn.T @ [0.0, 0.0, -1.0], 1.5)
    costs = np.random.default_rng(seed).choice([0, 120, LETHAL, NO_INFORMATION], (HEIGHT, WIDTH)).astype(np.uint8)
    points = obstacle_points(costs, camera, 10.0)
    assert (along_ground(points, camera) <= 10.001).all()
    columns, rows = np.rint(pixel_of(points, camera)).astype(int).T
    below = np.where(rows + 1 < HEIGHT, costs[np.minimum(rows + 1, HEIGHT - 1), columns], 0)
    assert (costs[rows, columns] == LETHAL).all()
    assert (below != LETHAL).all()
    assert np.bincount(columns, minlength=WIDTH).max() <= MAX_FEET


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.1), attitudes)
@settings(max_examples=50)
def test_no_ray_of_free_space_reaches_an_obstacle_or_anything_unknown(seed, share, turn):
    camera = GroundCamera(LENS, turn.T @ [0.0, 0.0, -1.0], 1.5)
    random = np.random.default_rng(seed)
    costs = np.where(random.random((HEIGHT, WIDTH)) < share, random.choice([LETHAL, NO_INFORMATION]), 0).astype(
        np.uint8
    )
    points = free_points(costs, camera, 10.0)
    reach = along_ground(points, camera)
    assert (reach <= 10.001).all()
    short = reach < 9.99
    for column, row in np.rint(pixel_of(points[short], camera)).astype(int):
        assert (costs[row:, column] < LETHAL).all()
        assert row == 0 or costs[row - 1, column] >= LETHAL


def test_above_the_horizon_there_is_no_obstacle_and_free_ground_ends_at_the_range():
    costs = np.zeros((HEIGHT, WIDTH), np.uint8)
    costs[:45] = LETHAL  # down to the horizon
    assert len(obstacle_points(costs, LEVEL, 1000.0)) == 0
    free = free_points(costs, LEVEL, 10.0)
    assert len(free) == WIDTH
    assert along_ground(free, LEVEL) == pytest.approx(np.full(WIDTH, 10.0), abs=1e-4)


def test_of_a_column_the_feet_count_and_not_what_towers_above_them():
    costs = np.zeros((HEIGHT, WIDTH), np.uint8)
    for top, bottom in ((50, 60), (62, 70)):
        costs[top:bottom, 30] = LETHAL
    found = pixel_of(obstacle_points(costs, LEVEL, 100.0), LEVEL)
    assert found == pytest.approx(np.array([[30, 69], [30, 59]]), abs=1e-3)
    free = pixel_of(free_points(costs, LEVEL, 100.0), LEVEL)
    assert any(free[:, 0].round() == 30)
    assert free[30] == pytest.approx([30, 70], abs=1e-3)


def test_columns_that_begin_with_an_obstacle_or_with_nothing_known_have_no_free_space():
    costs = np.zeros((HEIGHT, WIDTH), np.uint8)
    costs[-1, :40], costs[-1, 40:80] = LETHAL, NO_INFORMATION
    assert len(free_points(costs, LEVEL, 10.0)) == 80


@pytest.mark.parametrize("width", [MAX_BINS + 1, 1920])
def test_wide_masks_lose_no_column_and_clouds_stay_bounded(width):
    lens = Lens(np.array([[1000.0, 0, (width - 1) / 2], [0, 1000.0, 99.5], [0, 0, 1]]))
    camera = GroundCamera(lens, pitched_down(20), 1.5)
    costs = np.zeros((200, width), np.uint8)
    for column in range(width):
        costs[:], costs[150, column] = 0, LETHAL
        if column in (0, 1, width // 2, width - 2, width - 1):
            ((found, row),) = pixel_of(obstacle_points(costs, camera, 100.0), camera)
            assert abs(found - column) <= width / MAX_BINS
            assert row == pytest.approx(150, abs=1e-3)
    costs[::2] = LETHAL
    assert len(obstacle_points(costs, camera, 100.0)) <= MAX_BINS * MAX_FEET


@pytest.mark.parametrize(
    ("distortion", "is_fisheye"),
    [
        ((-0.3, 0.1, 0.001, -0.001, 0.0), False),
        ((0.5, -0.1, 0, 0, 0.01, 0.8, 0.0, 0.01), False),
        ((0.1, -0.02, 0.01, 0), True),
    ],
)
def test_distances_are_exact_through_a_lens_that_distorts(distortion, is_fisheye):
    lens = Lens(np.array([[120.0, 0, 79.5], [0, 120.0, 44.5], [0, 0, 1]]), distortion, is_fisheye)
    camera = GroundCamera(lens, pitched_down(10), 1.5)
    places = np.array([[x, z] for x in (-1.0, 0.0, 0.7) for z in (3.0, 5.0, 9.0)])
    turn = rotation(pitch_deg=10)
    seen = np.column_stack([places[:, 1], -places[:, 0], np.full(len(places), -1.5)]) @ turn
    project = cv2.fisheye.projectPoints if is_fisheye else cv2.projectPoints
    pixels = project(seen[:, None], np.zeros(3), np.zeros(3), lens.intrinsics, np.array(distortion))[0].reshape(-1, 2)
    distances, bearings = camera.ground(pixels[:, 0], pixels[:, 1])
    assert distances == pytest.approx(np.hypot(*places.T), abs=1e-2)
    assert camera.points(distances, bearings) == pytest.approx(seen - LIFT_M * camera.down, abs=1e-2)


def test_pixels_that_no_ray_can_reach_give_no_points():
    lens = replace(LENS, distortion=(-0.9, 0.0, 0.0, 0.0))  # its picture ends before the corners do
    costs = np.full((HEIGHT, WIDTH), LETHAL, np.uint8)
    points = obstacle_points(costs, GroundCamera(lens, pitched_down(30), 1.5), 100.0)
    assert 0 < len(points) < WIDTH
    assert np.isfinite(points).all()
    free = free_points(costs * 0, GroundCamera(lens, pitched_down(30), 1.5), 100.0)
    assert np.isfinite(free).all()


@pytest.mark.parametrize("turn", [np.eye(3), rotation(roll_deg=90), rotation(roll_deg=180), rotation(pitch_deg=70)])
def test_a_camera_that_is_not_upright_and_a_pose_of_other_axes_are_refused(turn):
    with pytest.raises(
        GroundError, match=r"degrees away from pointing down, .* mount it upright, and give the pose of its"
    ):
        GroundCamera(LENS, turn.T @ [0.0, 0.0, -1.0], 1.5)


class TestOfMessages:
    """From CameraInfo, poses and parameters."""

    messages = pytest.importorskip("sensor_msgs.msg")

    def info(self, **changes):
        fields = {"height": HEIGHT, "width": WIDTH, "k": LENS.intrinsics.ravel(), "p": np.eye(3, 4).ravel()}
        return self.messages.CameraInfo(**{**fields, **changes})

    def points(self, sight, costs=None, wanted=frozenset({"obstacles", "free_space"}), **parameters):
        from desert_seg_ros.ground_points import ground_points
        from desert_seg_ros.parameters import NodeParameters

        if costs is None:
            costs = np.zeros((HEIGHT, WIDTH), np.uint8)
            costs[60:70, 30] = LETHAL
        return ground_points(costs, sight, replace(NodeParameters(), **parameters), wanted)

    def sight(self, info, topic="/camera/image_raw", viewpoint=None, problem=""):
        from desert_seg_ros.ground_points import Sight

        return Sight(topic, info, viewpoint, problem)

    def test_height_pitch_and_range_are_the_parameters(self):
        found = self.points(self.sight(self.info()), camera_height_m=2.0, camera_pitch_deg=5.0, obstacles_range_m=20.0)
        camera = GroundCamera(LENS, pitched_down(5), 2.0)
        assert pixel_of(found["obstacles"], camera) == pytest.approx(np.array([[30, 69]]), abs=1e-3)
        assert along_ground(found["free_space"], camera).max() == pytest.approx(20.0, abs=1e-3)

    def test_where_there_is_no_obstacle_the_cloud_is_empty_and_still_one_of_x_y_and_z(self):
        from desert_seg_ros.messages import cloud_message

        none = self.points(self.sight(self.info()), np.zeros((HEIGHT, WIDTH), np.uint8))["obstacles"]
        cloud = cloud_message(none, self.info().header)
        assert (cloud.height, cloud.width, len(cloud.data)) == (1, 0, 0)
        assert [field.name for field in cloud.fields] == ["x", "y", "z"]

    def test_only_what_is_wanted_is_computed(self):
        assert self.points(self.sight(self.info()), wanted={"free_space"}).keys() == {"free_space"}

    def test_the_attitude_of_a_pose_goes_before_the_parameter(self):
        pose = np.eye(4)
        pose[:3, :3] = rotation(120, 12, 3)
        viewpoint = Viewpoint(pose, LENS.intrinsics, (HEIGHT, WIDTH), 1.5)
        found = self.points(self.sight(self.info(), viewpoint=viewpoint), camera_pitch_deg=-20.0)
        camera = GroundCamera(LENS, pose[:3, :3].T @ [0.0, 0.0, -1.0], 1.5)
        assert pixel_of(found["obstacles"], camera) == pytest.approx(np.array([[30, 69]]), abs=1e-3)

    def test_a_calibration_of_images_twice_as_large_gives_the_same_points(self):
        twice = self.info(height=2 * HEIGHT, width=2 * WIDTH, k=(LENS.intrinsics * [[2], [2], [1]]).ravel())
        small, large = (self.points(self.sight(info)) for info in (self.info(), twice))
        assert all(np.allclose(small[name], large[name]) for name in small)

    def test_p_counts_for_rectified_images_and_k_with_the_distortion_for_others(self):
        matrix = np.column_stack([LENS.intrinsics, np.zeros(3)])
        bent = {
            "k": (100.0, 0, 79.5, 0, 100.0, 44.5, 0, 0, 1),
            "d": (-0.1, 0.0, 0.0, 0.0),
            "distortion_model": "plumb_bob",
        }
        info = self.info(p=matrix.ravel(), **bent)
        plain = self.points(self.sight(self.info()))["obstacles"]
        for topic in ("/camera/image_rect", "/zed/rgb/color/rect/image", "/left/image_rect_color/compressed"):
            assert np.allclose(self.points(self.sight(info, topic))["obstacles"], plain)
        for topic in ("/camera/image_raw", "/corrected/direct/image"):
            assert not np.allclose(self.points(self.sight(info, topic))["obstacles"], plain)

    def test_below_the_region_nothing_is_known_and_the_ground_above_is_free(self):
        costs = np.zeros((HEIGHT, WIDTH), np.uint8)
        costs[72:] = NO_INFORMATION
        assert len(self.points(self.sight(self.info()), costs)["free_space"]) == 0
        assert len(self.points(self.sight(self.info()), costs, region=(0.0, 0.0, 0.8, 1.0))["free_space"]) == WIDTH

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            (None, "no camera_info has come: publish the camera's calibration"),
            ({"height": 50}, "camera_info is for images of another shape"),
            ({"k": np.zeros(9)}, "no camera matrix in K, so the camera is not calibrated: run camera_calibration"),
            ({"k": np.full(9, np.nan)}, "no camera matrix in K"),
            ({"k": [100.0, 0, 80, 0, 100, 45, 0, 0, 0]}, "no camera matrix in K"),
            ({"d": [np.nan] * 5, "distortion_model": "plumb_bob"}, "no camera matrix in K"),
            ({"d": [0.1], "distortion_model": "plumb_bob"}, "1 coefficients of the distortion model 'plumb_bob'"),
            ({"d": [0.1] * 5, "distortion_model": "ds"}, "model 'ds', and only plumb_bob, .* give the node rectified"),
        ],
    )
    def test_without_a_calibration_that_fits_there_are_no_points_but_a_cure(self, changes, words):
        with pytest.raises(GroundError, match=words):
            self.points(self.sight(None if changes is None else self.info(**changes)))

    @given(
        st.lists(st.floats(allow_nan=False), min_size=4, max_size=4),
        st.sampled_from(
            [("plumb_bob", 5), ("rational_polynomial", 8), ("rational_polynomial", 14), ("equidistant", 4)]
        ),
        st.data(),
    )
    def test_no_calibration_however_absurd_ends_the_node(self, numbers, model, data):
        name, count = model
        coefficients = data.draw(st.lists(st.floats(allow_nan=False), min_size=count, max_size=count))
        fx, cx, fy, cy = numbers
        info = self.info(k=[fx, 0, cx, 0, fy, cy, 0, 0, 1], d=coefficients, distortion_model=name)
        try:
            found = self.points(self.sight(info))
        except GroundError:
            return
        assert all(np.isfinite(points).all() for points in found.values())

    def test_a_camera_that_publishes_a_part_of_its_picture_sees_the_ground_as_the_whole_does(self):
        whole = self.info(height=HEIGHT + 20, width=WIDTH + 40)
        whole.k = np.add(LENS.intrinsics, [[0, 0, 30], [0, 0, 10], [0, 0, 0]]).ravel()
        whole.roi.x_offset, whole.roi.y_offset, whole.roi.width, whole.roi.height = 30, 10, WIDTH, HEIGHT
        part, plain = self.points(self.sight(whole)), self.points(self.sight(self.info()))
        assert all(np.allclose(part[name], plain[name]) for name in plain)

    def test_where_poses_come_a_frame_without_one_is_refused_rather_than_taken_for_level(self):
        with pytest.raises(GroundError, match="the pose is late"):
            self.points(self.sight(self.info(), problem="the pose is late"))
