from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.model import AudioTrack, Probe, VideoTrack
from transcode.ladder import HLS_SEGMENT_S, AudioRung, VideoRung, View, copy_rung, rungs_for, views_of

SOUND = (AudioTrack(1, "aac", 2, 48000),)
rates = st.sampled_from(["25/1", "30000/1001", "24000/1001", "50/1", "60000/1001", "15/1", "1/2", "5/1", "14985/1000"])
tracks = st.builds(
    VideoTrack,
    index=st.just(0),
    codec=st.just("h264"),
    width=st.integers(16, 8192),
    height=st.integers(16, 8192),
    frame_rate=rates | st.fractions(Fraction(1, 10), 120).map(lambda rate: f"{rate.numerator}/{rate.denominator}"),
    rotation=st.sampled_from([0, 90, 180, 270]),
)


def source(track: VideoTrack | None, sound: tuple[AudioTrack, ...] = SOUND) -> Probe:
    return Probe("matroska,webm", 60_000, 10**6, (track,) if track else (), sound)


def pictures(track: VideoTrack) -> list[VideoRung]:
    return [rung for rung in rungs_for(source(track)) if isinstance(rung, VideoRung)]


def camera(width: int, height: int, rate: str = "25/1", rotation: int = 0) -> VideoTrack:
    return VideoTrack(0, "h264", width, height, rate, rotation)


def test_a_lesson_in_full_hd_gets_every_rung() -> None:
    rungs = rungs_for(source(camera(1920, 1080)))
    assert [rung.name for rung in rungs] == ["720p", "480p", "360p", "240p", "audio", "audio48", "opus"]
    assert [(rung.width_px, rung.height_px) for rung in pictures(camera(1920, 1080))] == [
        (1280, 720),
        (852, 480),
        (640, 360),
        (426, 240),
    ]
    assert [rung.cap_kbps for rung in pictures(camera(1920, 1080))] == [1000, 450, 250, 120]


def test_every_rung_keeps_the_lessons_frame_rate() -> None:
    assert [float(rung.frame_rate) for rung in pictures(camera(1920, 1080))] == [25, 25, 25, 25]
    assert [float(rung.frame_rate) for rung in pictures(camera(1920, 1080, "10/1"))] == [10, 10, 10, 10]


def test_television_and_fast_rates_come_out_whole() -> None:
    wanted = {"30000/1001": 30, "60000/1001": 30, "24000/1001": 24, "50/1": 25, "120/1": 30, "1/3": 1}
    assert {rate: pictures(camera(640, 360, rate))[0].frame_rate for rate in wanted} == wanted


def test_a_phone_held_upright_is_measured_by_its_shorter_side() -> None:
    upright = [(rung.width_px, rung.height_px) for rung in pictures(camera(1080, 1920))]
    assert upright[0] == (720, 1280)
    assert upright == [(rung.width_px, rung.height_px) for rung in pictures(camera(1920, 1080, rotation=270))]


def test_a_small_source_keeps_its_size() -> None:
    assert [(rung.name, rung.width_px, rung.height_px) for rung in pictures(camera(319, 181))] == [("180p", 318, 180)]


def test_sound_alone_and_picture_alone_are_lessons() -> None:
    assert {type(rung) for rung in rungs_for(source(None))} == {AudioRung}
    assert all(isinstance(rung, VideoRung) for rung in rungs_for(source(camera(640, 480), ())))


def test_every_view_has_rungs_under_its_own_name() -> None:
    teacher, screen = camera(1280, 720), replace(camera(854, 480), index=2, view="screen")
    both = Probe("matroska,webm", 60_000, 10**6, (teacher, screen), SOUND)
    assert [rung.name for rung in rungs_for(both)] == [
        *("720p", "480p", "360p", "240p"),
        *("screen-480p", "screen-360p", "screen-240p"),
        *("audio", "audio48", "opus"),
    ]


def test_views_never_share_a_name() -> None:
    track = camera(640, 360)
    cameras = (replace(track, view="teacher"), replace(track, view="teacher"), track, track)
    names = [view.name for view in views_of(Probe("matroska,webm", 60_000, 10**6, cameras, ()))]
    assert names == ["main", "teacher", "view3", "view4"]


@pytest.mark.parametrize(
    ("changed", "kbps", "gop_ms", "kept"),
    [
        ({}, 3000, 10_000, True),
        ({"codec": "hevc"}, 3000, 10_000, False),
        ({"width": 1280, "height": 720}, 3000, 10_000, False),
        ({"width": 3840, "height": 2160}, 3000, 10_000, False),
        ({"rotation": 90}, 3000, 10_000, False),
        ({"interlaced": True}, 3000, 10_000, False),
        ({"pixel_format": "yuv420p10le"}, 3000, 10_000, False),
        ({}, 9000, 10_000, False),
        ({}, 3000, 60_000, False),
    ],
)
def test_a_picture_is_kept_as_it_is_only_where_phones_and_lines_bear_it(
    changed: dict[str, Any], kbps: int, gop_ms: int, *, kept: bool
) -> None:
    view = View("main", replace(camera(1920, 1080), **changed))
    rung = copy_rung(view, kbps=kbps, longest_gop_ms=gop_ms)
    assert (rung is not None) is kept
    if rung is not None:
        assert (rung.name, rung.width_px, rung.height_px) == ("1080p", 1920, 1080)


@given(tracks)
@settings(deadline=None)
def test_no_picture_is_larger_than_its_source_and_there_is_always_one(track: VideoTrack) -> None:
    turned = track.rotation in (90, 270)
    width, height = (track.height, track.width) if turned else (track.width, track.height)
    rungs = pictures(track)
    assert rungs
    for rung in rungs:
        assert 0 < rung.width_px <= width
        assert 0 < rung.height_px <= height
        assert rung.width_px % 2 == rung.height_px % 2 == 0
        # Rounded down by less than two pixels on each side.
        assert abs(Fraction(rung.width_px * height, width) - rung.height_px) <= 2 + Fraction(2 * height, width)


@given(tracks)
@settings(deadline=None)
def test_every_rung_holds_whole_pictures_between_the_same_cuts(track: VideoTrack) -> None:
    fastest = max(rung.frame_rate for rung in pictures(track))
    for rung in pictures(track):
        assert (rung.frame_rate * HLS_SEGMENT_S).denominator == 1
        assert (fastest / rung.frame_rate).denominator == 1
        assert 0 < rung.frame_rate <= 30


@given(tracks)
@settings(deadline=None)
def test_names_are_distinct_and_larger_pictures_come_first(track: VideoTrack) -> None:
    rungs = pictures(track)
    assert len({rung.name for rung in rungs}) == len(rungs)
    assert rungs == sorted(rungs, key=lambda rung: -rung.width_px * rung.height_px)
