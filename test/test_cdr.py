"""The stamp of a serialised message and whole images, read in the bytes."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore

from desert_seg.errors import FrameError
from desert_seg_ros.cdr import image_of, stamp_of, stamped

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


def image(frame_id="camera", encoding="rgb8", size=(2, 3), big=0, little=True):
    """A raw image and the same serialised."""
    time, header, raw = (
        TYPES.types[name] for name in ("builtin_interfaces/msg/Time", "std_msgs/msg/Header", "sensor_msgs/msg/Image")
    )
    data = np.arange(size[0] * size[1], dtype=np.uint8)
    message = raw(header(time(-7, 8), frame_id), *size, encoding, big, size[1], data)
    return message, bytes(TYPES.serialize_cdr(message, raw.__msgtype__, little_endian=little))


@given(
    st.text(max_size=9),
    st.text(max_size=9),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.booleans(),
    st.booleans(),
)
def test_an_image_is_read_in_place_as_it_was_serialised_in_either_byte_order(frame_id, encoding, size, big, little):
    message, data = image(frame_id, encoding, size, int(big), little)
    read = image_of(data, lambda *header: header)
    assert read.header == (-7, 8, frame_id)
    assert (read.height, read.width, read.encoding, read.is_bigendian, read.step) == (*size, encoding, big, size[1])
    assert read.data == message.data.tobytes()
    assert read.data.obj is data


@pytest.mark.parametrize("encoding", ["rgb8", "mono16", ""])
def test_bytes_that_end_anywhere_within_an_image_are_refused(encoding):
    data = image(encoding=encoding)[1]
    for length in range(len(data)):
        with pytest.raises(FrameError, match="publish"):
            image_of(data[:length], lambda *header: header)


@given(st.binary(max_size=80), st.integers(4, 60))
def test_an_image_of_any_bytes_is_read_or_refused(junk, at):
    with contextlib.suppress(FrameError):
        image_of(image()[1][:at] + junk, lambda *header: header)
