"""Averaging scores over time: an exponential average, moved with the camera, begun anew when the past is no guide."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desert_seg.smoothing import MAX_GAP_S, MAX_ROTATION_DEG, MAX_TRANSLATION_M, Smoother, Viewpoint

GRID, SIZE, HEIGHT_M = (48, 80), (480, 800), 1.5
INTRINSICS = np.array([[500.0, 0, 399.5], [0, 500.0, 239.5], [0, 0, 1]])


def scores(seed=0, shape=(3, *GRID)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def looking_ahead(forward_m=0.0, yaw_deg=0.0, pitch_deg=-10.0):
    """A camera over flat ground, driving along the world's x axis."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.cross(ahead, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack([right, np.cross(ahead, right), ahead])
    pose[:3, 3] = [forward_m, 0, HEIGHT_M]
    return Viewpoint(pose, INTRINSICS, SIZE, HEIGHT_M)


def painted_ground(viewpoint):
    """Scores of a world whose ground is striped and whose sky is plain, as that camera sees them."""
    rows, columns = np.mgrid[: GRID[0], : GRID[1]]
    pixels = np.stack([(columns + 0.5) * 10 - 0.5, (rows + 0.5) * 10 - 0.5, np.ones(GRID)]).reshape(3, -1)
    rays = viewpoint.pose[:3, :3] @ np.linalg.inv(INTRINSICS) @ pixels
    with np.errstate(divide="ignore"):
        reach = np.where(rays[2] < -0.02, -HEIGHT_M / rays[2], np.inf)
    along = viewpoint.pose[0, 3] + np.where(np.isinf(reach), 0, reach * rays[0])
    stripes = np.where((reach < 12), np.sin(2 * along), 0.0)
    return stripes.reshape(1, *GRID).astype(np.float32)


@given(st.floats(0.0, 0.95), st.integers(2, 6))
def test_without_poses_it_is_the_exponential_average(weight, num_frames):
    smoother, expected = Smoother(), None
    for number in range(num_frames):
        new = scores(number)
        expected = new if expected is None else weight * expected + (1 - weight) * new
        found = smoother.update(new, 0.1 * number, weight)
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("view", [None, looking_ahead()])
def test_a_picture_that_does_not_change_is_its_own_average(view):
    smoother = Smoother()
    for number in range(4):
        found = smoother.update(scores(), 0.1 * number, 0.8, view)
    assert np.allclose(found, scores(), atol=1e-4)


def test_the_result_does_not_live_in_the_engine_s_buffer():
    buffer = scores()
    found = Smoother().update(buffer, 0.0, 0.5)
    buffer[:] = 0
    assert np.array_equal(found, scores())


@pytest.mark.parametrize("motion", [{"forward_m": 0.4}, {"yaw_deg": 6.0}, {"forward_m": 0.4, "yaw_deg": 2.0}])
def test_with_poses_what_was_seen_of_the_ground_is_moved_to_where_it_is_now(motion):
    before, now = looking_ahead(), looking_ahead(**motion)
    truth = painted_ground(now)
    errors = {}
    for poses in (True, False):
        smoother = Smoother()
        smoother.update(painted_ground(before), 0.0, 0.9, before if poses else None)
        found = smoother.update(truth, 0.1, 0.9, now if poses else None)
        inside = np.s_[:, 22:-4, 12:-12]  # near ground that both saw
        errors[poses] = np.abs(found - truth)[inside].mean()
    assert errors[True] < 0.3 * errors[False]


@pytest.mark.parametrize(
    ("stamp_s", "view", "shape"),
    [
        (MAX_GAP_S + 0.01, looking_ahead(), (3, *GRID)),
        (-0.1, looking_ahead(), (3, *GRID)),
        (0.1, looking_ahead(forward_m=MAX_TRANSLATION_M + 0.1), (3, *GRID)),
        (0.1, looking_ahead(yaw_deg=MAX_ROTATION_DEG + 1), (3, *GRID)),
        (0.1, looking_ahead(), (3, 24, 40)),
        (0.1, replace(looking_ahead(), world="map"), (3, *GRID)),
    ],
    ids=["gap", "bag begins again", "jump", "turn", "another grid", "another world"],
)
def test_where_the_past_is_no_guide_the_average_begins_anew(stamp_s, view, shape):
    smoother = Smoother()
    smoother.update(scores(1), 0.0, 0.9, looking_ahead())
    new = scores(2, shape)
    assert np.array_equal(smoother.update(new, stamp_s, 0.9, view), new)
