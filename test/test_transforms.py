"""Coordinate frames over time: laws of composition, inversion and interpolation, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from desert_seg_ros.transforms import (
    HISTORY_NS,
    MAX_FRAMES,
    Sample,
    TransformBuffer,
    TransformError,
    inverse,
    matrix,
    slerp,
)

SECOND = 10**9
NOTHING = (0.0, 0.0, 0.0)
AHEAD = (0.0, 0.0, 0.0, 1.0)

translations = st.tuples(*[st.floats(-100, 100)] * 3)
rotations = (
    st.tuples(*[st.floats(-1, 1)] * 4)
    .filter(lambda q: math.hypot(*q) > 0.1)
    .map(lambda q: tuple(value / math.hypot(*q) for value in q))
)


def add(buffer, child, parent, stamp_ns=0, translation=NOTHING, rotation=AHEAD, is_static=False):
    buffer.add(child, Sample(stamp_ns, parent, translation, rotation), is_static=is_static)


def near(one, other):
    return np.allclose(one, other, atol=1e-6)


def robot():
    """A camera on a base that drives 1 m a second along x in odom, which lies at y = 5 in map."""
    buffer = TransformBuffer()
    add(buffer, "odom", "map", translation=(0.0, 5.0, 0.0), is_static=True)
    add(buffer, "camera", "base", translation=(0.0, 0.0, 2.0), is_static=True)
    add(buffer, "wheel", "base", translation=(1.0, 0.0, 0.0), is_static=True)
    for second in range(5):
        add(buffer, "base", "odom", second * SECOND, (float(second), 0.0, 0.0))
    return buffer


# ---------------------------------------------------------------------------------------------------- laws
@given(st.lists(st.tuples(translations, rotations, st.booleans(), st.integers(0, 100)), min_size=3, max_size=6))
@settings(max_examples=40, deadline=None)
def test_ways_compose_and_the_way_back_is_the_inverse(edges):
    buffer, names = TransformBuffer(), ["root"]
    for translation, rotation, is_static, parent in edges:
        names.append(f"frame {len(names)}")
        add(buffer, names[-1], names[parent % (len(names) - 1)], 7, translation, rotation, is_static)
    first, middle, last = names[1:4]
    whole = buffer.lookup(first, last, 7)
    assert np.allclose(whole, buffer.lookup(first, middle, 7) @ buffer.lookup(middle, last, 7), atol=1e-4)
    assert np.allclose(buffer.lookup(last, first, 7), np.linalg.inv(whole), atol=1e-4)
    assert np.allclose(inverse(whole) @ whole, np.eye(4), atol=1e-4)


def test_the_way_between_two_branches_leads_over_their_nearest_common_frame():
    buffer = robot()
    found = buffer.lookup("wheel", "camera", 10**15)  # that the base was somewhere then is not asked
    assert near(found[:3, 3], (-1, 0, 2))
    assert near(buffer.lookup("map", "camera", 2 * SECOND)[:3, 3], (2, 5, 2))
    assert near(buffer.lookup("camera", "map", 2 * SECOND)[:3, 3], (-2, -5, -2))


@given(translations, translations, rotations, rotations, st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_between_samples_translation_goes_on_a_line_and_rotation_on_the_shortest_arc(one, other, before, after, share):
    buffer = TransformBuffer()
    add(buffer, "base", "odom", 0, one, before)
    add(buffer, "base", "odom", SECOND, other, after)
    stamp = round(share * SECOND)
    found, share = buffer.lookup("odom", "base", stamp), stamp / SECOND
    assert np.allclose(found[:3, 3], (1 - share) * np.array(one) + share * np.array(other), atol=1e-6)
    whole, part = (angle(matrix(NOTHING, before), end) for end in (matrix(NOTHING, after), found))
    assume(whole < 3.1)  # half a turn has two shortest arcs
    assert part == pytest.approx(share * whole, abs=1e-5)
    assert angle(found, matrix(NOTHING, after)) == pytest.approx((1 - share) * whole, abs=1e-5)


def angle(one, other):
    turn = one[:3, :3].T @ other[:3, :3]
    return 2 * math.asin(min(np.linalg.norm(turn - np.eye(3)) / math.sqrt(8), 1.0))


@given(rotations, rotations, st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_rotations_are_interpolated_as_scipy_does_it(before, after, share):
    transform = pytest.importorskip("scipy.spatial.transform")
    assume(abs(sum(a * b for a, b in zip(before, after, strict=True))) > 1e-3)
    oracle = transform.Slerp([0, 1], transform.Rotation.from_quat([before, after]))(share).as_matrix()
    assert near(matrix(NOTHING, slerp(before, after, share))[:3, :3], oracle)


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_samples_may_come_in_any_order_and_twice(order):
    buffer = TransformBuffer()
    for second in (*order, *order):
        add(buffer, "base", "odom", second * SECOND, (float(second) ** 2, 0.0, 0.0))
    found = [buffer.lookup("odom", "base", round(at * SECOND))[0, 3] for at in (0, 0.5, 3, 4.5, 5)]
    assert near(found, [0, 0.5, 9, 20.5, 25])


@given(rotations, rotations, translations, translations, st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_the_answers_are_tf2_s(before, after, one, other, share):
    tf2_py = pytest.importorskip("tf2_py", reason="needs tf2_py, which every ROS has and the wheels lack")
    geometry_msgs = pytest.importorskip("geometry_msgs.msg")
    from rclpy.duration import Duration
    from rclpy.time import Time

    ours, theirs = TransformBuffer(), tf2_py.BufferCore(Duration(seconds=10))
    for stamp_ns, place, turn in ((0, one, before), (SECOND, other, after)):
        add(ours, "base", "odom", stamp_ns + SECOND, place, turn)
        message = geometry_msgs.TransformStamped(child_frame_id="base")
        message.header.frame_id, message.header.stamp.sec = "odom", 1 + stamp_ns // SECOND
        (message.transform.translation.x, message.transform.translation.y, message.transform.translation.z) = place
        turned = message.transform.rotation
        turned.x, turned.y, turned.z, turned.w = turn
        theirs.set_transform(message, "test")
    stamp_ns = SECOND + round(share * SECOND)
    found = theirs.lookup_transform_core("odom", "base", Time(nanoseconds=stamp_ns)).transform
    translation = found.translation.x, found.translation.y, found.translation.z
    rotation = found.rotation.x, found.rotation.y, found.rotation.z, found.rotation.w
    assert np.allclose(ours.lookup("odom", "base", stamp_ns), matrix(translation, rotation), atol=1e-6)


# ---------------------------------------------------------------------------------------------------- time
def test_a_transform_within_the_tolerance_of_its_samples_is_taken_and_farther_away_refused():
    buffer = robot()
    assert buffer.lookup("odom", "base", 4 * SECOND + 10, tolerance_ns=10)[0, 3] == 4
    assert buffer.lookup("odom", "base", -10, tolerance_ns=10)[0, 3] == 0
    for stamp_ns in (4 * SECOND + 11, -11):
        with pytest.raises(TransformError, match=r"of base in odom is known from 0\.000 to 4\.000 s, and asked for at"):
            buffer.lookup("odom", "base", stamp_ns, tolerance_ns=10)


def test_only_the_last_ten_seconds_are_kept():
    buffer = TransformBuffer()
    for tenth in range(300):
        add(buffer, "base", "odom", tenth * SECOND // 10)
    assert buffer.lookup("odom", "base", 299 * SECOND // 10 - HISTORY_NS) is not None
    with pytest.raises(TransformError, match=r"from 19\.900 to 29\.900 s"):
        buffer.lookup("odom", "base", 19 * SECOND)


def test_a_bag_that_begins_again_is_followed():
    buffer = TransformBuffer()
    add(buffer, "base", "odom", 100 * SECOND)
    for second in (3, 5):
        add(buffer, "base", "odom", second * SECOND, (float(second), 0.0, 0.0))
    assert buffer.lookup("odom", "base", 4 * SECOND)[0, 3] == 4


def test_after_a_jump_of_the_clock_only_what_is_static_is_known():
    buffer = robot()
    buffer.clear()
    assert near(buffer.lookup("map", "odom", 0)[:3, 3], (0, 5, 0))
    with pytest.raises(TransformError, match="do not lead from base to odom"):
        buffer.lookup("odom", "base", SECOND)


def test_a_frame_that_was_moved_to_another_parent_is_where_it_was_until_then():
    buffer = TransformBuffer()
    add(buffer, "odom", "map", is_static=True, translation=(10.0, 0.0, 0.0))
    add(buffer, "base", "odom", 0, (1.0, 0.0, 0.0))
    add(buffer, "base", "map", SECOND, (2.0, 0.0, 0.0))
    assert [buffer.lookup("map", "base", stamp)[0, 3] for stamp in (0, SECOND // 2, SECOND)] == [11, 11, 2]


# ---------------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        ("map", "lidar", "no transform of frame 'lidar' has come .known: base, camera, map, odom, wheel.; publish"),
        ("earth", "camera", "no transform leads to 'earth' .known: base, camera, map, odom, wheel.; name one of these"),
    ],
)
def test_a_missing_frame_is_named_with_those_that_are_known(target, source, message):
    with pytest.raises(TransformError, match=message):
        robot().lookup(target, source, SECOND)


def test_a_gap_in_the_chain_is_named():
    buffer = robot()
    add(buffer, "anchor", "earth", is_static=True)
    with pytest.raises(TransformError, match=r"lead from camera to map but not to earth .*; publish that of map"):
        buffer.lookup("earth", "camera", SECOND)


def test_without_any_transforms_that_is_said():
    with pytest.raises(TransformError, match="no transforms have come, expected some from camera to odom; start"):
        TransformBuffer().lookup("odom", "camera", 0)


def test_a_circle_is_refused():
    buffer = TransformBuffer()
    add(buffer, "a", "b")
    add(buffer, "b", "a")
    add(buffer, "c", "d")
    with pytest.raises(TransformError, match="circle"):
        buffer.lookup("d", "a", 0)


@pytest.mark.parametrize(
    ("child", "parent", "translation", "rotation"),
    [
        ("base", "base", NOTHING, AHEAD),
        ("", "odom", NOTHING, AHEAD),
        ("base", "/", NOTHING, AHEAD),
        ("base", "odom", (math.nan, 0.0, 0.0), AHEAD),
        ("base", "odom", NOTHING, (0.0, 0.0, 0.0, 0.0)),
        ("base", "odom", NOTHING, (0.0, 0.0, 0.0, math.nan)),
        ("base", "odom", NOTHING, (0.0, 0.0, 0.0, 1.1)),
    ],
)
def test_what_is_no_transform_is_refused_and_changes_nothing(child, parent, translation, rotation):
    buffer = robot()
    with pytest.raises(TransformError, match="correct its publisher"):
        add(buffer, child, parent, SECOND, translation, rotation)
    assert near(buffer.lookup("map", "camera", SECOND), robot().lookup("map", "camera", SECOND))


def test_a_leading_slash_in_a_name_is_no_part_of_it():
    buffer = TransformBuffer()
    add(buffer, "/base", "/odom", translation=(1.0, 0.0, 0.0))
    assert buffer.lookup("odom", "/base", 0)[0, 3] == 1
    assert buffer.frames() == ["base", "odom"]


def test_names_that_come_without_end_take_no_more_than_so_much_room():
    buffer = robot()
    for number in range(2 * MAX_FRAMES):
        add(buffer, f"track_{number}", "odom")
        if number % 100 == 0:
            add(buffer, "base", "odom", 5 * SECOND + number)
    assert len(buffer.frames()) <= MAX_FRAMES + 5
    assert buffer.lookup("odom", "base", 5 * SECOND, SECOND) is not None
