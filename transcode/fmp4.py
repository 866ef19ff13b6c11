"""Fragmented MP4 as we need to know it: what an init says of its codec, when an hls_segment begins, where its keyframe
ends. Pure: bytes in, bytes or numbers out. ISO/IEC 14496-12 is the source of every offset.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"})
_SUPERFLUOUS = frozenset({b"styp", b"sidx"})
_MOST_HEADER_BYTES = 4 * 2**20
_TRUN_DATA_OFFSET, _TRUN_FIRST_FLAGS = 0x1, 0x4
_TRUN_FIELDS = (0x100, 0x200, 0x400, 0x800)  # of a sample, four bytes each: duration, size, flags, composition offset
_TRUN_SIZE = 0x200
_TFHD_FIELDS = ((0x1, 8), (0x2, 4), (0x8, 4))  # before the default sample size: base offset, description, duration
_TFHD_SIZE = 0x10


class Malformed(ValueError):
    """Not what a muxer of ours writes."""


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first content byte and end of every box, those inside containers after their container."""
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size < 8 or at + size > end:
            raise Malformed(f"box {kind!r} at {at} of {size} bytes")
        yield kind, at + 8, at + size
        if kind in _CONTAINERS:
            yield from boxes(data, at + 8, at + size)
        at += size


def timescale(init: bytes) -> int:
    """Ticks a second of the one track in this init."""
    at = _content(init, b"mdhd")
    return int.from_bytes(init[at + (20 if init[at] else 12) :][:4])


def placed(segment: bytes, ticks: int, sequence_number: int) -> bytes:
    """The same hls_segment, beginning `ticks` later, with this number among its track's fragments (from 1), and without
    what no player of a playlist reads: its brands are the init's (styp), its index holds itself alone (sidx). That is a
    hundredth of a slide's bytes. Data offsets count from moof, so nothing else moves.

    ffmpeg's HLS muxer starts every run at 0, wherever in the lesson the run began.
    """
    moved = bytearray(segment)
    superfluous: list[tuple[int, int]] = []
    for kind, at, end in boxes(segment):
        if kind == b"mfhd":
            moved[at + 4 : at + 8] = sequence_number.to_bytes(4)
        elif kind == b"tfdt":
            _add(moved, at + 4, 8 if segment[at] else 4, ticks)
        elif kind in _SUPERFLUOUS:
            superfluous.append((at - 8, end))
    for start, end in reversed(superfluous):
        del moved[start:end]
    return bytes(moved)


def begins_at(segment: bytes) -> int:
    """When an hls_segment's first sample is decoded, in ticks of its track."""
    at = _content(segment, b"tfdt")
    return int.from_bytes(segment[at + 4 :][: 8 if segment[at] else 4])


def keyframe_bytes(segment: bytes) -> int:
    """How much of a video hls_segment a player loads for its first picture alone: RFC 8216bis calls this an I-frame."""
    moof = next((at for kind, at, _ in boxes(segment) if kind == b"moof"), 0) - 8
    at = _content(segment, b"trun")
    flags = int.from_bytes(segment[at + 1 : at + 4])
    if not flags & _TRUN_DATA_OFFSET:
        raise Malformed("trun without a data offset")
    data_at = moof + int.from_bytes(segment[at + 8 : at + 12], signed=True)
    if not flags & _TRUN_SIZE:
        return data_at + _default_sample_bytes(segment)
    sample = at + 12 + (4 if flags & _TRUN_FIRST_FLAGS else 0)
    before = sum(4 for field in _TRUN_FIELDS if field < _TRUN_SIZE and flags & field)
    return data_at + int.from_bytes(segment[sample + before :][:4])


def codec_of(init: bytes) -> str:
    """RFC 6381's name for what the track in this init holds."""
    if b"avcC" in init:
        return _avc_codec(init)
    if b"dOps" in init:
        return "opus"  # as browsers spell it; ISO's "Opus" is not known to all of them
    return _aac_codec(init)


def _content(data: bytes, wanted: bytes) -> int:
    for kind, at, _ in boxes(data):
        if kind == wanted:
            return at
    raise Malformed(f"no {wanted!r}")


def _add(data: bytearray, at: int, length: int, ticks: int) -> None:
    data[at : at + length] = (int.from_bytes(data[at : at + length]) + ticks).to_bytes(length)


def _default_sample_bytes(segment: bytes) -> int:
    at = _content(segment, b"tfhd")
    flags = int.from_bytes(segment[at + 1 : at + 4])
    if not flags & _TFHD_SIZE:
        raise Malformed("no sample size")
    at += 8 + sum(length for field, length in _TFHD_FIELDS if flags & field)
    return int.from_bytes(segment[at : at + 4])


def _avc_codec(init: bytes) -> str:
    """Profile, constraints and level, as the avcC box has them."""
    start = init.index(b"avcC") + 5  # past the kind and the version
    return f"avc1.{init[start : start + 3].hex()}"


def _aac_codec(init: bytes) -> str:
    """Object type indication and audio object type, as the esds box has them."""
    at = init.index(b"esds") + 8  # past the kind, the version and the flags
    at = _descriptor(init, at, 0x03) + 3  # stream id, flags
    at = _descriptor(init, at, 0x04)
    indication = init[at]
    at = _descriptor(init, at + 13, 0x05)
    return f"mp4a.{indication:x}.{init[at] >> 3}"


def _descriptor(data: bytes, at: int, tag: int) -> int:
    """Where the content of the MPEG-4 descriptor at `at` begins; its length has seven bits a byte."""
    if data[at] != tag:
        raise Malformed(f"descriptor {data[at]:#x} where {tag:#x} should be")
    at += 1
    while data[at] & 0x80:
        at += 1
    return at + 1


def reached_ms(path: Path) -> int:
    """How far a fragmented MP4 that still grows reaches with all its tracks: where its last fragment begins. 0 before that.

    Only headers are read. What is torn at its end, or is no box, ends the walk.
    """
    scales: dict[int, int] = {}
    at, size, last = 0, path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            head = file.read(8)
            length, kind = int.from_bytes(head[:4]), head[4:]
            if length < 8 or at + length > size:
                break
            if kind in (b"moov", b"moof") and length <= _MOST_HEADER_BYTES:
                content = file.read(length - 8)
                try:
                    if kind == b"moov":
                        scales = _timescales(content)
                    else:
                        last = min(_begins_ms(content, scales), default=last)
                except (Malformed, ZeroDivisionError):
                    break
            at += length
    return last


def _timescales(moov: bytes) -> dict[int, int]:
    found: dict[int, int] = {}
    track = 0
    for kind, at, _ in boxes(moov):
        if kind == b"tkhd":
            track = int.from_bytes(moov[at + (20 if moov[at] else 12) :][:4])
        elif kind == b"mdhd":
            found[track] = int.from_bytes(moov[at + (20 if moov[at] else 12) :][:4])
    return found


def _begins_ms(moof: bytes, scales: Mapping[int, int]) -> list[int]:
    found: list[int] = []
    track = 0
    for kind, at, _ in boxes(moof):
        if kind == b"tfhd":
            track = int.from_bytes(moof[at + 4 : at + 8])
        elif kind == b"tfdt" and track in scales:
            found.append(int.from_bytes(moof[at + 4 :][: 8 if moof[at] else 4]) * 1000 // scales[track])
    return found
