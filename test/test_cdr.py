"""The stamp of a serialised message, read from its first bytes."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore

from desert_seg.errors import FrameError
from desert_seg_ros.cdr import stamp_of, stamped

TYPES = get_typestore(Stores.LATEST)
SECONDS, NANOSECONDS = st.integers(-(2**31), 2**31 - 1), st.integers(0, 10**9 - 1)


def compressed_image(seconds=1, nanoseconds=2, frame_id="camera", little=True):
    """Serialised."""
    time, header, image = (
        TYPES.types[name]
        for name in ("builtin_interfaces/msg/Time", "std_msgs/msg/Header", "sensor_msgs/msg/CompressedImage")
    )
    message = image(header(time(seconds, nanoseconds), frame_id), "jpeg", np.zeros(9, np.uint8))
    return bytes(TYPES.serialize_cdr(message, image.__msgtype__, little_endian=little))


@given(SECONDS, NANOSECONDS, st.text(max_size=20), st.booleans())
def test_the_stamp_is_the_one_that_was_serialised_in_either_byte_order(seconds, nanoseconds, frame_id, little):
    assert stamp_of(compressed_image(seconds, nanoseconds, frame_id, little)) == seconds * 10**9 + nanoseconds


@given(SECONDS, NANOSECONDS, st.booleans())
def test_another_stamp_is_all_that_is_changed(seconds, nanoseconds, little):
    expected = compressed_image(seconds, nanoseconds, little=little)
    assert stamped(compressed_image(little=little), seconds * 10**9 + nanoseconds) == expected


@given(st.integers(0, len(compressed_image()) - 1))
def test_bytes_that_end_within_the_header_are_refused_and_those_that_end_later_still_have_a_stamp(length):
    header = 16 + len("camera\0")
    if length >= header:
        assert stamp_of(compressed_image()[:length]) == 1_000_000_002
    else:
        with pytest.raises(FrameError, match=f"found {length} bytes that do not begin with a header in CDR; publish"):
            stamp_of(compressed_image()[:length])


@pytest.mark.parametrize("start", [b"\xff\xff", b"\0\2", b"\1\0", b"\0\7"])
def test_another_encoding_than_plain_cdr_is_refused(start):
    data = start + compressed_image()[2:]
    for read in (stamp_of, lambda data: stamped(data, 0)):
        with pytest.raises(FrameError, match="do not begin with a header"):
            read(data)


@given(st.binary(max_size=40))
def test_bytes_from_anywhere_have_a_stamp_or_are_refused(data):
    with contextlib.suppress(FrameError):
        assert abs(stamp_of(data)) < 2**62
