from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.model import AudioTrack, Probe, VideoTrack
from transcode.ladder import HLS_SEGMENT_S, AudioRung, VideoRung, rungs_for

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
    assert [rung.name for rung in rungs] == ["720p", "480p", "360p", "240p", "audio"]
    assert [(rung.width_px, rung.height_px) for rung in pictures(camera(1920, 1080))] == [
        (1280, 720),
        (852, 480),
        (640, 360),
        (426, 240),
    ]
    assert [rung.cap_kbps for rung in pictures(camera(1920, 1080))] == [1000, 450, 250, 120]


def test_the_lowest_rung_halves_its_frame_rate() -> None:
    assert [float(rung.frame_rate) for rung in pictures(camera(1920, 1080))] == [25, 25, 25, 12.5]
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
    assert [type(rung) for rung in rungs_for(source(None))] == [AudioRung]
    assert all(isinstance(rung, VideoRung) for rung in rungs_for(source(camera(640, 480), ())))


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
