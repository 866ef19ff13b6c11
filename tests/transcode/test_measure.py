from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import Unavailable
from transcode.measure import HlsSegment, aac_codec, avc_codec, hls_segments, peak_bps

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.000000,\na.m4s\n#EXTINF:0.040000,\nb.m4s\n#EXT-X-ENDLIST\n"


def box(size_bytes: int) -> bytes:
    return size_bytes.to_bytes(4) + b"mdat" + bytes(size_bytes - 8)


def segment(seconds: float, size_bytes: int) -> HlsSegment:
    return HlsSegment("a.m4s", round(seconds * 1_000_000), size_bytes)


def test_the_peak_is_the_fattest_segment() -> None:
    assert peak_bps((segment(6, 6000), segment(6, 60_000), segment(6, 600))) == 80_000


def test_a_last_flash_of_a_segment_counts_with_the_one_before() -> None:
    assert peak_bps((segment(6, 60_000), segment(0.04, 10_000))) == 92_716


def test_a_lesson_shorter_than_half_a_segment_has_its_own_rate() -> None:
    assert peak_bps((segment(1, 1000),)) == 8000


@given(st.lists(st.tuples(st.floats(0.02, 6.03), st.integers(1, 10**7)), min_size=1, max_size=30))
@settings(deadline=None)
def test_no_segment_of_half_a_target_or_more_exceeds_the_peak(parts: list[tuple[float, int]]) -> None:
    segments = tuple(segment(*part) for part in parts)
    peak = peak_bps(segments)
    whole = sum(part.size_bytes for part in segments) * 8e6 / sum(part.duration_us for part in segments)
    assert all(part.size_bytes * 8e6 / part.duration_us <= peak for part in segments if part.duration_us >= 3_000_000)
    assert len(segments) > 1 or peak >= whole


def test_segments_are_read_with_their_sizes(tmp_path: Path) -> None:
    (tmp_path / "index.m3u8").write_text(PLAYLIST)
    (tmp_path / "a.m4s").write_bytes(box(13))
    (tmp_path / "b.m4s").write_bytes(box(8) + box(9))
    assert hls_segments(tmp_path) == (HlsSegment("a.m4s", 6_000_000, 13), HlsSegment("b.m4s", 40_000, 17))


@pytest.mark.parametrize("content", [None, b"", box(13)[:12], box(8) + b"\x00\x00", bytes(8)])
def test_a_segment_that_is_missing_or_cut_off_is_noticed(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "index.m3u8").write_text(PLAYLIST)
    (tmp_path / "a.m4s").write_bytes(box(13))
    if content is not None:
        (tmp_path / "b.m4s").write_bytes(content)
    with pytest.raises(Unavailable, match=r"b\.m4s"):
        hls_segments(tmp_path)


@pytest.mark.parametrize("kept", range(0, len(PLAYLIST) - 1, 7))
def test_a_playlist_that_is_cut_off_is_noticed(tmp_path: Path, kept: int) -> None:
    (tmp_path / "index.m3u8").write_text(PLAYLIST[:kept])
    for name in ("a.m4s", "b.m4s"):
        (tmp_path / name).write_bytes(box(9))
    with pytest.raises(Unavailable, match=r"index\.m3u8"):
        hls_segments(tmp_path)


def test_codecs_are_read_from_the_boxes() -> None:
    assert avc_codec(b"....avc1....avcC\x01\x64\x00\x1f\xff") == "avc1.64001f"
    esds = b"esds" + bytes(4) + b"\x03\x80\x80\x80\x22" + bytes(3) + b"\x04\x14\x40" + bytes(12) + b"\x05\x02\x11\x88"
    assert aac_codec(b"...." + esds) == "mp4a.40.2"
    with pytest.raises(ValueError, match="descriptor"):
        aac_codec(b"esds" + bytes(30))
