import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import Unavailable
from tests.transcode.clips import make, picture, raw, x264
from transcode import fmp4
from transcode.ladder import VideoRung
from transcode.measure import HlsSegment, peak_bps, settled

PICTURE = VideoRung("180p", 320, 180, Fraction(25), 25, 120)


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
    half_us = max(part.duration_us for part in segments) // 2
    assert all(part.size_bytes * 8e6 / part.duration_us <= peak for part in segments if part.duration_us >= half_us)
    assert len(segments) > 1 or peak >= whole


@pytest.fixture(scope="module")
def rung_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ffmpeg's HLS muxer leaves: an init, two hls_segments and a playlist."""
    directory = tmp_path_factory.mktemp("rung")
    hls = ["-f", "hls", "-hls_time", "1", "-hls_segment_type", "fmp4", "-hls_playlist_type", "vod"]
    names = ["-hls_segment_filename", str(directory / "seg-%05d.m4s"), "-hls_segment_options", "movflags=+cmaf"]
    make(directory / "index.m3u8", picture(seconds=1.6), x264("-g", "25"), *hls, *names)
    return directory


@pytest.fixture
def rung(rung_dir: Path, tmp_path: Path) -> Path:
    return shutil.copytree(rung_dir, tmp_path / "rung")


def test_segments_are_measured_and_set_to_their_place_in_the_lesson(rung: Path) -> None:
    before = [len(fmp4.placed((rung / f"seg-0000{n}.m4s").read_bytes(), 0, 1)) for n in (0, 1)]
    found = settled(rung, PICTURE, start_us=240_000_000, first_segment=40)
    assert [(one.name, one.duration_us, one.size_bytes) for one in found] == [
        ("seg-00000.m4s", 1_000_000, before[0]),
        ("seg-00001.m4s", 600_000, before[1]),
    ]
    ticks = fmp4.timescale((rung / "init.mp4").read_bytes())
    begins = [fmp4.begins_at((rung / one.name).read_bytes()) for one in found]
    assert begins == [240 * ticks, 241 * ticks]
    for one in found:
        keyframe = rung / "keyframe.mp4"
        segment = (rung / one.name).read_bytes()
        keyframe.write_bytes((rung / "init.mp4").read_bytes() + segment[: one.keyframe_bytes])
        assert len(raw(keyframe, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray")) == 320 * 180


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "zeros"])
def test_a_segment_that_is_missing_or_cut_off_is_noticed(rung: Path, damage: str) -> None:
    path = rung / "seg-00001.m4s"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut off": content[:-1], "zeros": bytes(len(content))}[damage])
    with pytest.raises(Unavailable, match=r"seg-00001\.m4s"):
        settled(rung, PICTURE, start_us=0, first_segment=0)


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9])
def test_a_playlist_that_is_cut_off_is_noticed(rung: Path, share: float) -> None:
    text = (rung / "index.m3u8").read_text()
    (rung / "index.m3u8").write_text(text[: int(share * len(text))])
    with pytest.raises(Unavailable, match=r"index\.m3u8"):
        settled(rung, PICTURE, start_us=0, first_segment=0)
