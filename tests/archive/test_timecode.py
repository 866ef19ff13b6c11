"""Milliseconds in, milliseconds out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.timecode import clock_from_ms, ms_from_seconds, ms_from_webvtt, seconds_from_ms, webvtt_from_ms

ANY_MS = st.integers(min_value=0, max_value=400 * 3_600_000)


@given(ANY_MS)
def test_every_time_survives_webvtt_and_seconds(ms: int) -> None:
    assert ms_from_webvtt(webvtt_from_ms(ms)) == ms
    assert ms_from_seconds(seconds_from_ms(ms)) == ms


def test_seconds_round_half_up() -> None:
    assert ms_from_seconds("12.3455") == 12346
    assert ms_from_seconds(0.0005) == 1
    assert ms_from_seconds("0.000499") == 0


@pytest.mark.parametrize(
    ("text", "ms"), [("01:02.500", 62_500), ("00:00:01,250", 1_250), ("100:00:00.000", 360_000_000)]
)
def test_other_spellings_are_read(text: str, ms: int) -> None:
    assert ms_from_webvtt(text) == ms


@pytest.mark.parametrize("text", ["", "1:2:3", "00:60.000", "00:00:00.00", "-00:00:01.000", "00:00:00.000 -->"])
def test_what_is_no_timecode_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="not a timecode"):
        ms_from_webvtt(text)


def test_there_is_no_time_before_the_start() -> None:
    with pytest.raises(ValueError, match="no time"):
        webvtt_from_ms(-1)


def test_people_read_short_clocks() -> None:
    assert [clock_from_ms(ms) for ms in (0, 65_000, 3_723_999)] == ["0:00", "1:05", "1:02:03"]
