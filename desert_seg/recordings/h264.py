"""Detects lost frames in H.264, which decoders silently conceal with older pixels. ITU-T H.264, 7.3 and 7.4.3."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_START_CODE = re.compile(rb"\x00\x00\x01")
_SPS, _SLICE, _IDR_SLICE = 7, 1, 5
_HEADER_BYTES = 64
"""Bytes of a slice to parse: more than the fields read here take."""

_MAX_SPS_BYTES = 1024
"""Bytes of a sequence parameter set to parse: more than it has."""

_PROFILES_WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


def nal_units(packet: bytes) -> Iterator[bytes]:
    """The network abstraction layer units of an Annex B byte stream, of H.264 or HEVC, without their start codes.

    What has no start code, as in MP4 files, has no units either.
    """
    starts = [found.end() for found in _START_CODE.finditer(packet)]
    for start, following in pairwise([*starts, len(packet) + 3]):
        if (end := following - 3) > start:
            yield packet[start:end]


class FrameNumbers:
    """Follows `frame_num` through a stream: it counts the frames that others are predicted from."""

    def __init__(self) -> None:
        self._sps: _SequenceParameters | None = None
        self._last: int | None = None

    def restart(self) -> None:
        """Accept whatever frame comes next."""
        self._last = None

    def is_next(self, packet: bytes) -> bool:
        """Whether the frame in a packet is complete, as far as can be seen, and follows without a loss.

        A key frame always follows. Frames that no other is predicted from may be lost.
        """
        try:
            return all(self._follows(unit) for unit in nal_units(packet))
        except ValueError:
            return False

    def _follows(self, unit: bytes) -> bool:
        kind, is_reference = unit[0] & 0x1F, bool(unit[0] & 0x60)
        if kind == _SPS:
            self._sps = _read_sps(_Bits(unit[1:_MAX_SPS_BYTES]))
        if kind not in (_SLICE, _IDR_SLICE) or self._sps is None:
            return True
        number = _read_frame_number(_Bits(unit[1:_HEADER_BYTES]), self._sps)
        may_jump = kind == _IDR_SLICE or self._sps.gaps_allowed
        if self._last is not None and not may_jump and (number - self._last) % (1 << self._sps.frame_number_bits) > 1:
            return False
        if is_reference:
            self._last = number
        return True


@dataclass(frozen=True)
class _SequenceParameters:
    frame_number_bits: int
    has_colour_planes: bool
    gaps_allowed: bool


class _Bits:
    """Reads numbers from a unit's payload."""

    def __init__(self, payload: bytes) -> None:
        data = payload.replace(b"\0\0\3", b"\0\0")  # 7.4.1: inserted so that no start code arises
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._position = 0

    def fixed(self, num_bits: int) -> int:
        """u(n)."""
        bits = self._bits[self._position : self._position + num_bits]
        if len(bits) < num_bits:
            raise ValueError("cut short")
        self._position += num_bits
        return int(bits or "0", 2)

    def golomb(self) -> int:
        """ue(v)."""
        one = self._bits.find("1", self._position)
        if one < 0:
            raise ValueError("cut short")
        num_zeros, self._position = one - self._position, one
        return self.fixed(num_zeros + 1) - 1

    def signed_golomb(self) -> int:
        """se(v)."""
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _read_sps(bits: _Bits) -> _SequenceParameters:
    profile = bits.fixed(8)
    bits.fixed(16)
    bits.golomb()
    has_colour_planes = False
    if profile in _PROFILES_WITH_CHROMA_FORMAT:
        chroma_format = bits.golomb()
        if chroma_format == 3:
            has_colour_planes = bool(bits.fixed(1))
        bits.golomb()
        bits.golomb()
        bits.fixed(1)
        if bits.fixed(1):
            for index in range(12 if chroma_format == 3 else 8):
                if bits.fixed(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    frame_number_bits = bits.golomb() + 4
    if frame_number_bits > 16:
        raise ValueError("is no sequence parameter set")
    order_count_type = bits.golomb()
    if order_count_type == 0:
        bits.golomb()
    elif order_count_type == 1:
        bits.fixed(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    return _SequenceParameters(frame_number_bits, has_colour_planes, bool(bits.fixed(1)))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last


def _read_frame_number(bits: _Bits, sps: _SequenceParameters) -> int:
    for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
        bits.golomb()
    if sps.has_colour_planes:
        bits.fixed(2)
    return bits.fixed(sps.frame_number_bits)
